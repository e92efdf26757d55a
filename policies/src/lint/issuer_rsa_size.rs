//! Issuers of subscriber certificates with RSA keys have at least 3072 bits.

use super::{ISSUER_RSA_3072, Lint, Problems, View};
use crate::public_key::PublicKey;

pub(super) const LINT: Lint = Lint {
    id: "issuer_rsa_size",
    citation: "BR 6.1.5, ballot SMC017",
    effective: ISSUER_RSA_3072,
    applies: |view| view.is_subscriber() && view.issuer.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let bits = view
        .issuer
        .and_then(|issuer| PublicKey::read(&issuer.public_key).ok())
        .and_then(|key| key.rsa_bits());
    if let Some(bits) = bits.filter(|bits| *bits < 3072) {
        problems.error(format!(
            "the issuer's RSA key has {bits} bits; at least 3072 are needed"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::time::Span;

    fn issued_with(public_key: spki::SubjectPublicKeyInfoOwned) -> Fixture {
        let mut fixture = v1();
        fixture.issuer.public_key = public_key;
        fixture
    }

    #[test]
    fn large_keys_and_curves_pass() {
        v1().at(ISSUER_RSA_3072).passes(&LINT);
        issued_with(crate::testing::rsa3072()).at(ISSUER_RSA_3072).passes(&LINT);
    }

    #[test]
    fn small_keys_fail_from_the_day_on() {
        issued_with(crate::testing::rsa2048()).at(ISSUER_RSA_3072).fails(&LINT);
        issued_with(crate::testing::rsa2048())
            .at(ISSUER_RSA_3072.minus(Span::seconds(1)))
            .passes(&LINT);
    }
}
