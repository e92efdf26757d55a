//! RSA moduli are not products of two primes so close that anybody finds them.

use super::{FIRST, Lint, Problems, View};
use crate::weak_key::{FERMAT_ROUNDS, has_close_primes};

pub(super) const LINT: Lint = Lint {
    id: "rsa_close_primes",
    citation: "BR 6.1.1.3",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(modulus) = view.rsa_modulus() else { return };
    if has_close_primes(modulus) {
        problems.error(format!(
            "the primes of the RSA modulus are so close that Fermat's method finds them within {FERMAT_ROUNDS} rounds"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::testing::{APART, CLOSE, rsa};

    #[test]
    fn primes_far_from_each_other_pass() {
        v1().with(|tbs| tbs.subject_public_key_info = rsa(APART, &[1, 0, 1]))
            .passes(&LINT);
    }

    #[test]
    fn close_primes_fail_for_subscribers_and_authorities() {
        for fixture in [v1(), v4(), issuing_authority(), root(), ocsp_responder()] {
            fixture
                .with(|tbs| tbs.subject_public_key_info = rsa(CLOSE, &[1, 0, 1]))
                .fails(&LINT);
        }
    }
}
