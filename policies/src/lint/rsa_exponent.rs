//! RSA exponents are odd, at least 3, and better between 2^16 + 1 and 2^256 - 1.

use super::{FIRST, Lint, Problems, View};
use crate::public_key::PublicKey;

pub(super) const LINT: Lint = Lint {
    id: "rsa_exponent",
    citation: "BR 6.1.6",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Ok(PublicKey::Rsa { exponent, .. }) = &view.public_key else {
        return;
    };
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || exponent.as_slice() == [1] {
        problems.error("the RSA exponent is even or less than 3");
    } else if exponent.len() < 3 || exponent.len() > 32 {
        // Three octets of an odd number are at least 2^16 + 1.
        problems.warning("the RSA exponent is not between 2^16 + 1 and 2^256 - 1");
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
    fn usual_exponents_pass() {
        with_rsa(&[0xff; 256], &[1, 0, 1]).passes(&LINT);
        with_rsa(&[0xff; 256], &[0xff; 32]).passes(&LINT);
    }

    #[test]
    fn bad_exponents_fail() {
        for exponent in [&[1][..], &[2], &[1, 0, 0], &[0]] {
            with_rsa(&[0xff; 256], exponent).fails(&LINT);
        }
    }

    #[test]
    fn unusual_exponents_are_warned_of() {
        with_rsa(&[0xff; 256], &[3]).warns(&LINT);
        with_rsa(&[0xff; 256], &[0xff; 33]).warns(&LINT);
    }
}
