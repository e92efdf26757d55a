//! Which digests and signature algorithms are accepted, and how their identifiers may be written.

use const_oid::ObjectIdentifier;

use super::UnacceptableAlgorithm;
use crate::asn1::{self, Malformed, NULL, Reader, Rules, SEQUENCE, context_constructed};

/// The digests of RFC 8551 section 2.1 and FIPS 180-4 that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestAlgorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// The signature algorithms that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    /// RFC 8017 section 8.2, verified by encoding again and comparing.
    RsaPkcs1(DigestAlgorithm),
    /// RFC 8017 section 8.1 with MGF1 over the same digest and a salt as long as it.
    RsaPss(DigestAlgorithm),
    /// FIPS 186-5 section 6, the signature in DER (RFC 5480 appendix A).
    Ecdsa(DigestAlgorithm),
    /// RFC 8032 without prehash (RFC 8410, RFC 8419).
    Ed25519,
    /// FIPS 204 without prehash and with an empty context (RFC 9881, RFC 9882).
    #[cfg(feature = "ml-dsa")]
    MlDsa(super::public_key::MlDsaSet),
}

/// An AlgorithmIdentifier as it stands in the input (RFC 5280 section 4.1.1.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlgorithmIdentifier<'a> {
    pub(crate) algorithm: ObjectIdentifier,
    /// The raw parameters; `None` when absent.
    pub(crate) parameters: Option<&'a [u8]>,
}

impl<'a> AlgorithmIdentifier<'a> {
    /// Reads the content of the SEQUENCE.
    pub(crate) fn read(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content, Rules::Distinguished);
        let algorithm = reader.object_identifier()?;
        let parameters = if reader.is_empty() {
            None
        } else {
            Some(reader.any()?.raw)
        };
        reader.finish()?;
        Ok(Self { algorithm, parameters })
    }

    /// RFC 5754 section 2 and RFC 4055: NULL and absent mean the same for digests and RSA.
    fn has_null_or_no_parameters(&self) -> bool {
        self.parameters.is_none_or(|parameters| parameters == [NULL, 0])
    }

    /// The same algorithm; NULL and absent parameters are the same (RFC 6211 section 2 compares meaning).
    pub(crate) fn is_same_as(&self, other: &AlgorithmIdentifier<'_>) -> bool {
        self.algorithm == other.algorithm
            && (self.parameters == other.parameters
                || (self.has_null_or_no_parameters() && other.has_null_or_no_parameters()))
    }
}

impl DigestAlgorithm {
    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifier<'_>) -> Result<Self, UnacceptableAlgorithm> {
        let algorithm = match identifier.algorithm {
            SHA_256 => Self::Sha256,
            SHA_384 => Self::Sha384,
            SHA_512 => Self::Sha512,
            other => return Err(UnacceptableAlgorithm::Unlisted(other)),
        };
        if !identifier.has_null_or_no_parameters() {
            return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
        }
        Ok(algorithm)
    }

    /// How long the digest is, in octets.
    pub(crate) fn length(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The `micalg` value of RFC 8551 section 3.5.3.2, and the older one without hyphen.
    pub(crate) fn is_named_by(self, micalg: &str) -> bool {
        let bits = match self {
            Self::Sha256 => "256",
            Self::Sha384 => "384",
            Self::Sha512 => "512",
        };
        let micalg = micalg.to_ascii_lowercase();
        micalg
            .strip_prefix("sha")
            .map(|rest| rest.strip_prefix('-').unwrap_or(rest))
            == Some(bits)
    }
}

impl SignatureAlgorithm {
    /// The algorithm of a certificate, CRL or OCSP answer, where the identifier names the digest (RFC 4055, RFC 5754,
    /// RFC 5758, RFC 8410, RFC 9881).
    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifier<'_>) -> Result<Self, UnacceptableAlgorithm> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        let (algorithm, parameters_fit) = match identifier.algorithm {
            SHA_256_WITH_RSA => (Self::RsaPkcs1(Sha256), identifier.has_null_or_no_parameters()),
            SHA_384_WITH_RSA => (Self::RsaPkcs1(Sha384), identifier.has_null_or_no_parameters()),
            SHA_512_WITH_RSA => (Self::RsaPkcs1(Sha512), identifier.has_null_or_no_parameters()),
            RSASSA_PSS => {
                let digest = pss_parameters(identifier.parameters)
                    .map_err(|_| UnacceptableAlgorithm::Parameters(identifier.algorithm))?;
                (Self::RsaPss(digest), true)
            }
            ECDSA_WITH_SHA_256 => (Self::Ecdsa(Sha256), identifier.parameters.is_none()),
            ECDSA_WITH_SHA_384 => (Self::Ecdsa(Sha384), identifier.parameters.is_none()),
            ECDSA_WITH_SHA_512 => (Self::Ecdsa(Sha512), identifier.parameters.is_none()),
            // RFC 8410 section 3: the parameters must be absent.
            ED25519 => (Self::Ed25519, identifier.parameters.is_none()),
            #[cfg(feature = "ml-dsa")]
            other if let Some(set) = super::public_key::MlDsaSet::from_identifier(&other) => {
                // RFC 9881 section 2: the parameters must be absent.
                (Self::MlDsa(set), identifier.parameters.is_none())
            }
            other => return Err(UnacceptableAlgorithm::Unlisted(other)),
        };
        if !parameters_fit {
            return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
        }
        Ok(algorithm)
    }

    /// The algorithm of a SignerInfo, where rsaEncryption leaves the digest to the SignerInfo (RFC 3370 section 3.2).
    pub(crate) fn of_signer_info(
        identifier: &AlgorithmIdentifier<'_>,
        digest: DigestAlgorithm,
    ) -> Result<Self, UnacceptableAlgorithm> {
        if identifier.algorithm == RSA_ENCRYPTION {
            if !identifier.has_null_or_no_parameters() {
                return Err(UnacceptableAlgorithm::Parameters(identifier.algorithm));
            }
            return Ok(Self::RsaPkcs1(digest));
        }
        Self::from_identifier(identifier)
    }

    /// Whether a SignerInfo with this signature algorithm may digest its content with this digest.
    ///
    /// RFC 4056 section 3 and RFC 8933 section 2 ask for the digest that the signature algorithm names, RFC 8419 section
    /// 2.3 for SHA-512 beside Ed25519, and RFC 9882 section 3.3 for one as strong as the ML-DSA parameter set.
    pub(crate) fn goes_with(self, digest: DigestAlgorithm) -> bool {
        match self {
            Self::RsaPkcs1(own) | Self::RsaPss(own) | Self::Ecdsa(own) => own == digest,
            Self::Ed25519 => digest == DigestAlgorithm::Sha512,
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(set) => set.goes_with(digest),
        }
    }
}

/// RSASSA-PSS-params (RFC 4055 section 3.1): one of the three forms of the S/MIME BR section 7.1.3.2.1, where only the
/// NULL after the digests may be missing (RFC 4055 section 2.1 accepts both). The defaults of RFC 4055 mean SHA-1.
fn pss_parameters(parameters: Option<&[u8]>) -> Result<DigestAlgorithm, UnacceptableAlgorithm> {
    let mut fields = asn1::whole_sequence(parameters.ok_or(Malformed::Missing { expected: SEQUENCE })?)?;
    let identifier = |explicit: asn1::Element<'_>| -> Result<DigestAlgorithm, UnacceptableAlgorithm> {
        let mut inside = explicit.inside();
        let digest = AlgorithmIdentifier::read(inside.expect(SEQUENCE)?.content)?;
        inside.finish()?;
        DigestAlgorithm::from_identifier(&digest)
    };
    let digest = identifier(fields.expect(context_constructed(0))?)?;
    let mut generator = fields.expect(context_constructed(1))?.inside();
    let mask = AlgorithmIdentifier::read(generator.expect(SEQUENCE)?.content)?;
    generator.finish()?;
    let mask_digest =
        AlgorithmIdentifier::read(asn1::whole_element(mask.parameters.unwrap_or_default(), SEQUENCE)?.content)?;
    let mask_digest = DigestAlgorithm::from_identifier(&mask_digest)?;
    let mut salt = fields.expect(context_constructed(2))?.inside();
    let salt_length = salt.small_integer()?;
    salt.finish()?;
    // trailerField has only its default, which DER leaves out.
    fields.finish()?;
    if mask.algorithm == MGF1 && mask_digest == digest && salt_length == u32::from(digest.length()) {
        Ok(digest)
    } else {
        Err(UnacceptableAlgorithm::Parameters(RSASSA_PSS))
    }
}

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SHA_256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA_384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA_512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

#[cfg(test)]
mod tests {
    use super::*;

    /// The S/MIME BR section 7.1.3.2.1, SHA-256.
    const PSS_SHA_256: &str = "3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d060960864801650304\
        02010500a203020120";

    fn check(parameters: &str, expected: Result<SignatureAlgorithm, UnacceptableAlgorithm>) {
        let raw: Vec<u8> = (0..parameters.len() / 2)
            .map(|index| u8::from_str_radix(&parameters[2 * index..2 * index + 2], 16).unwrap())
            .collect();
        let identifier = AlgorithmIdentifier {
            algorithm: RSASSA_PSS,
            parameters: (!raw.is_empty()).then_some(raw.as_slice()),
        };
        assert_eq!(
            SignatureAlgorithm::from_identifier(&identifier),
            expected,
            "{parameters}"
        );
    }

    #[test]
    fn pss_has_three_parameter_sets() {
        check(PSS_SHA_256, Ok(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha256)));
        let sha_384 = PSS_SHA_256
            .replace("0402010500", "0402020500")
            .replace("020120", "020130");
        check(&sha_384, Ok(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha384)));
        let sha_512 = PSS_SHA_256
            .replace("0402010500", "0402030500")
            .replace("020120", "020140");
        check(&sha_512, Ok(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha512)));
        // Without NULL after the digests.
        check(
            "3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120",
            Ok(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha256)),
        );
    }

    #[test]
    fn other_pss_parameters_are_refused() {
        for parameters in [
            // Absent, or all defaults: SHA-1 with 20 octets of salt.
            "".to_owned(),
            "3000".to_owned(),
            "0500".to_owned(),
            // Another salt length, another generator, a generator over another digest, SHA-1.
            PSS_SHA_256.replace("020120", "020121"),
            PSS_SHA_256.replace("020120", "020100"),
            PSS_SHA_256.replace("f70d010108", "f70d010109"),
            PSS_SHA_256.replacen("0402010500", "0402020500", 1),
            "302ba009300706052b0e03021aa116301406092a864886f70d010108300706052b0e03021aa203020114a3030201 01"
                .replace(' ', ""),
            // The trailer field written out, and bytes after the end.
            PSS_SHA_256.replacen("3034", "3039", 1) + "a303020101",
            PSS_SHA_256.to_owned() + "00",
        ] {
            check(&parameters, Err(UnacceptableAlgorithm::Parameters(RSASSA_PSS)));
        }
    }

    #[test]
    fn ed25519_has_no_parameters_and_goes_with_sha_512() {
        let plain = AlgorithmIdentifier {
            algorithm: ED25519,
            parameters: None,
        };
        assert_eq!(
            SignatureAlgorithm::from_identifier(&plain),
            Ok(SignatureAlgorithm::Ed25519)
        );
        let null = AlgorithmIdentifier {
            parameters: Some(&[NULL, 0]),
            ..plain
        };
        assert_eq!(
            SignatureAlgorithm::from_identifier(&null),
            Err(UnacceptableAlgorithm::Parameters(ED25519))
        );
        assert!(SignatureAlgorithm::Ed25519.goes_with(DigestAlgorithm::Sha512));
        assert!(!SignatureAlgorithm::Ed25519.goes_with(DigestAlgorithm::Sha256));
    }
}
