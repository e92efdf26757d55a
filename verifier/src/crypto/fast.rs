//! The C backend: AWS-LC instead of Rust for what takes the time.
//!
//! Keys are read and judged by the same code as ever, so the backends cannot disagree about which are acceptable. What
//! is not handed to AWS-LC here goes to [`PureRust`]: Ed25519, where Rust is faster and stricter (AWS-LC takes points
//! of small order), and whatever is added to the list later.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use super::DigestAlgorithm::{Sha256, Sha384, Sha512};
use super::{Crypto, DigestAlgorithm, InvalidSignature, PublicKey, PureRust, SignatureAlgorithm};

/// The backend by AWS-LC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwsLc;

impl Crypto for AwsLc {
    fn digest(&self, algorithm: DigestAlgorithm, message: &[&[u8]]) -> Vec<u8> {
        hash(algorithm, message).as_ref().to_vec()
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let by_digest = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], digest| {
            UnparsedPublicKey::new(algorithm, key)
                .verify_digest(&hash(digest, message), signature)
                .map_err(|_| InvalidSignature)
        };
        match (key, algorithm) {
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPkcs1(digest)) => {
                let algorithm = match digest {
                    Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                    Sha384 => &RSA_PKCS1_2048_8192_SHA384,
                    Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                };
                by_digest(algorithm, key.der(), digest)
            }
            (PublicKey::Rsa(key), SignatureAlgorithm::RsaPss(digest)) => {
                // These take a salt as long as the digest and no other, as PureRust does.
                let algorithm = match digest {
                    Sha256 => &RSA_PSS_2048_8192_SHA256,
                    Sha384 => &RSA_PSS_2048_8192_SHA384,
                    Sha512 => &RSA_PSS_2048_8192_SHA512,
                };
                by_digest(algorithm, key.der(), digest)
            }
            (PublicKey::P256(key), SignatureAlgorithm::Ecdsa(digest)) => {
                let algorithm = match digest {
                    Sha256 => &ECDSA_P256_SHA256_ASN1,
                    Sha384 => &ECDSA_P256_SHA384_ASN1,
                    Sha512 => &ECDSA_P256_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            (PublicKey::P384(key), SignatureAlgorithm::Ecdsa(digest)) => {
                let algorithm = match digest {
                    Sha256 => &ECDSA_P384_SHA256_ASN1,
                    Sha384 => &ECDSA_P384_SHA384_ASN1,
                    Sha512 => &ECDSA_P384_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            (PublicKey::P521(key), SignatureAlgorithm::Ecdsa(digest @ (Sha384 | Sha512))) => {
                let algorithm = match digest {
                    Sha384 => &ECDSA_P521_SHA384_ASN1,
                    _ => &ECDSA_P521_SHA512_ASN1,
                };
                by_digest(algorithm, key.to_sec1_point(false).as_bytes(), digest)
            }
            #[cfg(feature = "ml-dsa")]
            (PublicKey::MlDsa(own, key), SignatureAlgorithm::MlDsa(set)) if *own == set => {
                use super::public_key::MlDsaSet;
                use aws_lc_rs::signature::{ML_DSA_44, ML_DSA_65, ML_DSA_87};
                let algorithm = match set {
                    MlDsaSet::MlDsa44 => &ML_DSA_44,
                    MlDsaSet::MlDsa65 => &ML_DSA_65,
                    MlDsaSet::MlDsa87 => &ML_DSA_87,
                };
                UnparsedPublicKey::new(algorithm, key)
                    .verify(&message.concat(), signature)
                    .map_err(|_| InvalidSignature)
            }
            _ => PureRust.verify(key, algorithm, message, signature),
        }
    }
}

fn hash(algorithm: DigestAlgorithm, message: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(match algorithm {
        Sha256 => &digest::SHA256,
        Sha384 => &digest::SHA384,
        Sha512 => &digest::SHA512,
    });
    for part in message {
        context.update(part);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::{Padding, Rsa};
    use openssl::sign::{RsaPssSaltlen, Signer};

    use super::*;

    const BOTH: [&dyn Crypto; 2] = [&PureRust, &AwsLc];
    const MESSAGE: &[u8] = b"the attributes of a message, or a certificate";

    /// Both backends say this of the signature, whether the message comes in one part or in several.
    fn check(key: &PublicKey, algorithm: SignatureAlgorithm, signature: &[u8], expected: bool) {
        let (front, back) = MESSAGE.split_at(7);
        for message in [&[MESSAGE][..], &[front, &[], back]] {
            for crypto in BOTH {
                let fits = crypto.verify(key, algorithm, message, signature).is_ok();
                assert_eq!(fits, expected, "{crypto:?} {algorithm:?} {signature:02x?}");
            }
        }
    }

    /// Any answer, but the same one.
    fn same(key: &PublicKey, algorithm: SignatureAlgorithm, signature: &[u8]) -> bool {
        let [rust, c] = BOTH.map(|crypto| crypto.verify(key, algorithm, &[MESSAGE], signature).is_ok());
        assert_eq!(rust, c, "{algorithm:?} {signature:02x?}");
        rust
    }

    fn public(key: &PKey<Private>) -> PublicKey {
        PublicKey::from_subject_public_key_info(&key.public_key_to_der().unwrap()).unwrap()
    }

    fn openssl_digest(digest: DigestAlgorithm) -> MessageDigest {
        match digest {
            Sha256 => MessageDigest::sha256(),
            Sha384 => MessageDigest::sha384(),
            Sha512 => MessageDigest::sha512(),
        }
    }

    fn sign(key: &PKey<Private>, algorithm: SignatureAlgorithm) -> Vec<u8> {
        let digest = match algorithm {
            SignatureAlgorithm::RsaPkcs1(digest)
            | SignatureAlgorithm::RsaPss(digest)
            | SignatureAlgorithm::Ecdsa(digest) => openssl_digest(digest),
            _ => {
                return Signer::new_without_digest(key)
                    .unwrap()
                    .sign_oneshot_to_vec(MESSAGE)
                    .unwrap();
            }
        };
        let mut signer = Signer::new(digest, key).unwrap();
        if matches!(algorithm, SignatureAlgorithm::RsaPss(_)) {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        signer.sign_oneshot_to_vec(MESSAGE).unwrap()
    }

    fn every_key_and_algorithm() -> Vec<(PKey<Private>, SignatureAlgorithm)> {
        let mut all = Vec::new();
        for digest in [Sha256, Sha384, Sha512] {
            for curve in [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1] {
                if (curve, digest) != (Nid::SECP521R1, Sha256) {
                    let group = EcGroup::from_curve_name(curve).unwrap();
                    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
                    all.push((key, SignatureAlgorithm::Ecdsa(digest)));
                }
            }
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            all.push((key.clone(), SignatureAlgorithm::RsaPkcs1(digest)));
            all.push((key, SignatureAlgorithm::RsaPss(digest)));
        }
        all.push((PKey::generate_ed25519().unwrap(), SignatureAlgorithm::Ed25519));
        all
    }

    #[test]
    fn backends_agree_on_every_algorithm_and_every_changed_octet() {
        let others: Vec<_> = every_key_and_algorithm()
            .into_iter()
            .map(|(key, algorithm)| (public(&key), algorithm))
            .collect();
        for (key, algorithm) in every_key_and_algorithm() {
            let public = public(&key);
            let signature = sign(&key, algorithm);
            check(&public, algorithm, &signature, true);
            for index in 0..signature.len() {
                let mut changed = signature.clone();
                changed[index] ^= 1 << (index % 8);
                assert!(
                    !same(&public, algorithm, &changed),
                    "{algorithm:?} with octet {index} changed"
                );
            }
            let longer = [signature.as_slice(), &[0]].concat();
            let zero_in_front = [&[0], signature.as_slice()].concat();
            for wrong in [
                &signature[1..],
                &signature[..signature.len() - 1],
                &longer,
                &zero_in_front,
                &[],
            ] {
                check(&public, algorithm, wrong, false);
            }
            // Under every other algorithm, and every other key.
            for (other, other_algorithm) in others.iter().cloned() {
                if public.fits(other_algorithm).is_ok() && other_algorithm != algorithm {
                    assert!(
                        !same(&public, other_algorithm, &signature),
                        "{algorithm:?} as {other_algorithm:?}"
                    );
                }
                if other.fits(algorithm).is_ok() {
                    assert!(!same(&other, algorithm, &signature), "{algorithm:?} by another key");
                }
            }
        }
    }

    #[test]
    fn backends_agree_on_digests() {
        for algorithm in [Sha256, Sha384, Sha512] {
            for length in [0, 1, 63, 64, 65, 127, 128, 129, 4096, 10_001] {
                let message: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
                let (front, back) = message.split_at(length / 3);
                let expected = PureRust.digest(algorithm, &[&message]);
                assert_eq!(AwsLc.digest(algorithm, &[&message]), expected);
                assert_eq!(AwsLc.digest(algorithm, &[front, &[], back]), expected);
            }
        }
    }

    /// ECDSA-Sig-Value in other encodings, and with numbers outside 1 to n - 1.
    #[test]
    fn backends_agree_on_strange_ecdsa_signatures() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let public = public(&key);
        let algorithm = SignatureAlgorithm::Ecdsa(Sha256);
        let good = openssl::ecdsa::EcdsaSig::from_der(&sign(&key, algorithm)).unwrap();
        let mut order = BigNum::new().unwrap();
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        group.order(&mut order, &mut context).unwrap();
        let number = |value: u32| BigNum::from_u32(value).unwrap();
        let plus = |value: &openssl::bn::BigNumRef| {
            let mut sum = BigNum::new().unwrap();
            sum.checked_add(value, &order).unwrap();
            sum
        };
        let minus = |value: &openssl::bn::BigNumRef| {
            let mut difference = BigNum::new().unwrap();
            difference.checked_sub(&order, value).unwrap();
            difference
        };
        let integer = |value: &openssl::bn::BigNumRef| -> Vec<u8> {
            let octets = value.to_vec();
            let sign = if octets.first().is_none_or(|first| *first >= 0x80) {
                &[0][..]
            } else {
                &[]
            };
            [sign, octets.as_slice()].concat()
        };
        let sequence = |r: &[u8], s: &[u8]| -> Vec<u8> {
            let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
            element(0x30, &[element(2, r), element(2, s)].concat())
        };
        let (r, s) = (integer(good.r()), integer(good.s()));
        // The other of the two signatures that every ECDSA signature is: both have always been valid.
        check(&public, algorithm, &sequence(&r, &integer(&minus(good.s()))), true);
        for (r, s) in [
            (integer(&number(0)), s.clone()),
            (r.clone(), integer(&number(0))),
            (integer(&number(0)), integer(&number(0))),
            (integer(&order), s.clone()),
            (r.clone(), integer(&order)),
            (integer(&plus(good.r())), s.clone()),
            (r.clone(), integer(&plus(good.s()))),
            (r.clone(), integer(&number(1))),
            (integer(&number(1)), integer(&number(1))),
            // Negative, padded, empty, far too long.
            (vec![0xff], s.clone()),
            ([&[0], r.as_slice()].concat(), s.clone()),
            (r.clone(), [&[0, 0], s.as_slice()].concat()),
            (Vec::new(), s.clone()),
            (r.clone(), Vec::new()),
            (vec![1; 50], s.clone()),
        ] {
            check(&public, algorithm, &sequence(&r, &s), false);
        }
        let good = sequence(&r, &s);
        let mut long_length = good.clone();
        long_length.splice(1..2, [0x81, good[1]]);
        let mut indefinite = [good.as_slice(), &[0, 0]].concat();
        indefinite[1] = 0x80;
        let mut third = [good.as_slice(), &[2, 1, 1]].concat();
        third[1] += 3;
        for strange in [long_length, indefinite, third, [r.as_slice(), &s].concat()] {
            check(&public, algorithm, &strange, false);
        }
    }

    /// PKCS#1 v1.5 encodings that lenient parsers have taken for good (CVE-2006-4339, CVE-2014-1568).
    #[test]
    fn backends_agree_on_strange_rsa_paddings() {
        let key = Rsa::generate(2048).unwrap();
        let public = public(&PKey::from_rsa(key.clone()).unwrap());
        let algorithm = SignatureAlgorithm::RsaPkcs1(Sha256);
        let digest = PureRust.digest(Sha256, &[MESSAGE]);
        let information = [
            0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20,
        ];
        let without_null = [
            0x30, 0x2f, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 4, 0x20,
        ];
        let raw = |block: &[u8]| {
            let mut signature = vec![0; 256];
            key.private_encrypt(block, &mut signature, Padding::NONE).unwrap();
            signature
        };
        let pad = |prefix: &[u8], filler: u8, after: &[u8]| {
            let information = [prefix, digest.as_slice(), after].concat();
            let filling = vec![filler; 256 - 3 - information.len()];
            [&[0, 1], filling.as_slice(), &[0], &information].concat()
        };
        check(&public, algorithm, &raw(&pad(&information, 0xff, &[])), true);
        let mut short_padding = pad(&information, 0xff, &[]);
        short_padding[11] = 0;
        let mut block_type_two = pad(&information, 0xff, &[]);
        block_type_two[1] = 2;
        let mut leading = pad(&information, 0xff, &[]);
        leading[0] = 1;
        for block in [
            pad(&without_null, 0xff, &[]),
            pad(&information, 0xfe, &[]),
            pad(&information, 0xff, &[0; 100]),
            pad(&[], 0xff, &[]),
            short_padding,
            block_type_two,
            leading,
        ] {
            check(&public, algorithm, &raw(&block), false);
        }
        // Numbers not below the modulus: the good signature plus the modulus, where it has room.
        let mut sum = BigNum::new().unwrap();
        let good = BigNum::from_slice(&raw(&pad(&information, 0xff, &[]))).unwrap();
        sum.checked_add(&good, key.n()).unwrap();
        if sum.num_bytes() == 256 {
            check(&public, algorithm, &sum.to_vec(), false);
        }
        check(&public, algorithm, &key.n().to_vec(), false);
        check(&public, algorithm, &[0; 256], false);
        check(&public, algorithm, &[0xff; 256], false);
    }
}
