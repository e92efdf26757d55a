//! RSA moduli have at least 2048 bits and a multiple of eight.

use super::{FIRST, Lint, Problems, View};
use crate::public_key::PublicKey;

pub(super) const LINT: Lint = Lint {
    id: "rsa_size",
    citation: "BR 6.1.5",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(bits) = view.public_key.as_ref().ok().and_then(PublicKey::rsa_bits) else {
        return;
    };
    if bits < 2048 {
        problems.error(format!("the RSA modulus has {bits} bits; at least 2048 are needed"));
    }
    if !bits.is_multiple_of(8) {
        problems.error(format!("the RSA modulus has {bits} bits, which is not a multiple of 8"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn with_rsa(modulus: &[u8], exponent: &[u8]) -> Fixture {
        v1().with(|tbs| tbs.subject_public_key_info = crate::testing::rsa(modulus, exponent))
    }

    #[test]
    fn two_thousand_bits_pass() {
        with_rsa(&[0xff; 256], &[1, 0, 1]).passes(&LINT);
        v1().passes(&LINT);
    }

    #[test]
    fn small_and_odd_sizes_fail() {
        with_rsa(&[0xff; 128], &[1, 0, 1]).fails(&LINT);
        with_rsa(&[0xff; 255], &[1, 0, 1]).fails(&LINT);
        with_rsa(&[&[0x7f][..], &[0xff; 256]].concat(), &[1, 0, 1]).fails(&LINT);
    }
}
