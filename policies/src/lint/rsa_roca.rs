//! RSA moduli do not carry the fingerprint of the library whose keys can be factored (ROCA, CVE-2017-15361).

use super::{FIRST, Lint, Problems, View};
use crate::weak_key::is_roca;

pub(super) const LINT: Lint = Lint {
    id: "rsa_roca",
    citation: "BR 6.1.1.3",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(modulus) = view.rsa_modulus() else { return };
    if is_roca(modulus) {
        problems.error(
            "the RSA modulus has the fingerprint of a faulty generator (ROCA, CVE-2017-15361), whose keys can be factored",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::testing::{APART, ROCA, rsa};

    #[test]
    fn keys_of_other_generators_pass() {
        v1().with(|tbs| tbs.subject_public_key_info = rsa(APART, &[1, 0, 1]))
            .passes(&LINT);
    }

    #[test]
    fn fingerprinted_keys_fail_for_subscribers_and_authorities() {
        for fixture in [v1(), v4(), issuing_authority(), root(), ocsp_responder()] {
            fixture
                .with(|tbs| tbs.subject_public_key_info = rsa(ROCA, &[1, 0, 1]))
                .fails(&LINT);
        }
    }
}
