//! The signature algorithm is byte for byte one of those permitted; SHA-1 and older are not among them.

use super::{FIRST, Lint, Problems, View};
use const_oid::ObjectIdentifier;
use der::Encode;

pub(super) const LINT: Lint = Lint {
    id: "signature_algorithm",
    citation: "BR 7.1.3.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let algorithm = &view.tbs.signature;
    if WEAK.contains(&algorithm.oid) {
        problems.error(format!(
            "the signature algorithm {} rests on a broken hash function",
            algorithm.oid
        ));
    } else if !algorithm
        .to_der()
        .is_ok_and(|der| PERMITTED.iter().any(|permitted| decode(permitted) == Some(der.clone())))
    {
        problems.error(format!(
            "the signature algorithm {} is not one of the permitted byte strings",
            algorithm.oid
        ));
    }
}

fn decode(hexadecimal: &str) -> Option<Vec<u8>> {
    (0..hexadecimal.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(hexadecimal.get(start..start + 2)?, 16).ok())
        .collect()
}

/// Sections 7.1.3.2.1 to 7.1.3.2.3, and ballot SMC013 for ML-DSA.
const PERMITTED: &[&str] = &[
    "300d06092a864886f70d01010b0500",
    "300d06092a864886f70d01010c0500",
    "300d06092a864886f70d01010d0500",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d0609608648016503\
     0402010500a203020120",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d0609608648016503\
     0402020500a203020130",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f70d010108300d0609608648016503\
     0402030500a203020140",
    "300a06082a8648ce3d040302",
    "300a06082a8648ce3d040303",
    "300a06082a8648ce3d040304",
    "300506032b6570",
    "300506032b6571",
    "300b0609608648016503040311",
    "300b0609608648016503040312",
    "300b0609608648016503040313",
];

/// RSA with MD2, MD4, MD5 and SHA-1, DSA and ECDSA with SHA-1.
const WEAK: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.3"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use der::Decode;
    use spki::AlgorithmIdentifierOwned;

    fn with_algorithm(der: &str) -> Fixture {
        let algorithm = AlgorithmIdentifierOwned::from_der(&decode(der).unwrap()).unwrap();
        v1().with(|tbs| tbs.signature = algorithm)
    }

    #[test]
    fn permitted_algorithms_pass() {
        for der in PERMITTED {
            with_algorithm(der).passes(&LINT);
        }
    }

    #[test]
    fn broken_hashes_fail() {
        for oid in WEAK {
            v1().with(|tbs| tbs.signature.oid = *oid).fails(&LINT);
        }
    }

    #[test]
    fn other_bytes_fail() {
        // SHA-256 with RSA without its NULL; ECDSA with one; PSS without parameters.
        with_algorithm("300b06092a864886f70d01010b").fails(&LINT);
        with_algorithm("300c06082a8648ce3d0403020500").fails(&LINT);
        with_algorithm("300b06092a864886f70d01010a").fails(&LINT);
        // ecdsa-with-SHA224.
        with_algorithm("300a06082a8648ce3d040301").fails(&LINT);
    }
}
