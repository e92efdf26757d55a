//! The signature algorithm fits the issuer's key: each curve has its own hash function.

use super::{FIRST, Lint, Problems, View};
use crate::public_key::{Curve, PublicKey};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;

pub(super) const LINT: Lint = Lint {
    id: "signature_algorithm_of_issuer",
    citation: "BR 7.1.3.2.2",
    effective: FIRST,
    applies: |view| view.issuer.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(issuer) = view.issuer else { return };
    let algorithm = view.tbs.signature.oid;
    let fits = match PublicKey::read(&issuer.public_key) {
        Ok(PublicKey::EllipticCurve { curve: Curve::P256, .. }) => algorithm == rfc5912::ECDSA_WITH_SHA_256,
        Ok(PublicKey::EllipticCurve { curve: Curve::P384, .. }) => algorithm == rfc5912::ECDSA_WITH_SHA_384,
        Ok(PublicKey::EllipticCurve { curve: Curve::P521, .. }) => algorithm == rfc5912::ECDSA_WITH_SHA_512,
        Ok(PublicKey::Rsa { .. }) => RSA.contains(&algorithm),
        // Ed25519, Ed448 and ML-DSA use the identifier of the key for the signature.
        Ok(PublicKey::Edwards | PublicKey::MlDsa) => algorithm == issuer.public_key.algorithm.oid,
        Ok(PublicKey::MlKem) | Err(_) => false,
    };
    if !fits {
        problems.error(format!("the issuer's key cannot sign with {algorithm}"));
    }
}

/// Section 7.1.3.2.1.
const RSA: [ObjectIdentifier; 4] = [
    rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_384_WITH_RSA_ENCRYPTION,
    rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
    rfc5912::ID_RSASSA_PSS,
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn fitting_algorithms_pass() {
        v1().passes(&LINT);
        let mut rsa = v1();
        rsa.issuer.public_key = crate::testing::rsa4096();
        rsa.with(|tbs| tbs.signature.oid = RSA[0]).passes(&LINT);
        let mut p256 = v1();
        p256.issuer.public_key = crate::testing::p256();
        p256.with(|tbs| tbs.signature.oid = rfc5912::ECDSA_WITH_SHA_256)
            .passes(&LINT);
    }

    #[test]
    fn the_hash_of_another_curve_fails() {
        v1().with(|tbs| tbs.signature.oid = rfc5912::ECDSA_WITH_SHA_256)
            .fails(&LINT);
        v1().with(|tbs| tbs.signature.oid = RSA[0]).fails(&LINT);
        let mut rsa = v1();
        rsa.issuer.public_key = crate::testing::rsa4096();
        rsa.fails(&LINT);
    }
}
