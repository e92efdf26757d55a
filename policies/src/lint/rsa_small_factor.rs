//! RSA moduli have no factor below 752.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "rsa_small_factor",
    citation: "BR 6.1.6",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(modulus) = view.rsa_modulus() else { return };
    let factor = (2_u32..752).find(|factor| {
        modulus
            .iter()
            .fold(0, |remainder, octet| (remainder * 256 + u32::from(*octet)) % factor)
            == 0
    });
    if let Some(factor) = factor {
        problems.error(format!("the RSA modulus can be divided by {factor}"));
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
    fn a_real_modulus_passes() {
        v1().with(|tbs| tbs.subject_public_key_info = crate::testing::rsa2048())
            .passes(&LINT);
    }

    #[test]
    fn small_factors_fail() {
        // 2^2048 - 1 is divisible by 3; a modulus with a last octet of zero by 2.
        with_rsa(&[0xff; 256], &[1, 0, 1]).fails(&LINT);
        with_rsa(&[&[0xff; 255][..], &[0]].concat(), &[1, 0, 1]).fails(&LINT);
    }
}
