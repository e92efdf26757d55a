//! What the verifier noticed: one stable code per fact, ranked so that the most telling one is reported first.

use std::fmt;

use thiserror::Error;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Costs the message its tier, and perhaps more.
    Error,
    /// The tier stays; the reader should look twice.
    Warning,
    /// Worth knowing for whoever looks into the details.
    Notice,
}

impl AsRef<str> for Severity {
    fn as_ref(&self) -> &str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

/// One fact about a message, for machines (`code`) and for people (`detail`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable, kebab-case; `docs/verification.md` lists them.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// One sentence with the data at hand. It may quote the message and is not sanitised for display.
    pub detail: String,
}

/// What a fact does to the verdict, heaviest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// There is no signature that covers the message.
    NotSigned,
    /// There is one, and it is malformed or does not fit the content.
    Broken,
    /// It fits the content, but who made it cannot be relied on.
    NotVerified,
    /// The signer is the sender, but no tier is vouched for.
    NoTier,
    Warning,
    Notice,
}

/// A fact that stops the check that found it.
///
/// It is the error type of this crate's checks: which fact ([`Problem::code`]), and the data as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail} ({code})", code = self.code.as_str())]
pub struct Problem {
    pub(crate) code: Code,
    detail: String,
}

impl Problem {
    /// The stable code of the fact.
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// One sentence with the data at hand.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The heavier, then the more telling of two problems, to report one for many paths that were tried.
    pub(crate) fn more_telling(self, other: Self) -> Self {
        if (self.code.effect(), self.code) <= (other.code.effect(), other.code) {
            self
        } else {
            other
        }
    }

    pub(crate) fn into_finding(self) -> Finding {
        Finding {
            code: self.code.as_str(),
            severity: self.code.severity(),
            detail: self.detail,
        }
    }
}

impl Code {
    pub(crate) fn because(self, detail: impl Into<String>) -> Problem {
        Problem {
            code: self,
            detail: detail.into(),
        }
    }

    pub(crate) fn severity(self) -> Severity {
        match self.effect() {
            Effect::NotSigned | Effect::Broken | Effect::NotVerified | Effect::NoTier => Severity::Error,
            Effect::Warning => Severity::Warning,
            Effect::Notice => Severity::Notice,
        }
    }
}

macro_rules! codes {
    ($($variant:ident = $text:literal, $effect:ident;)+) => {
        /// Every fact the verifier can report, in the order in which it is reported.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Code { $($variant,)+ }

        impl Code {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub(crate) const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect,)+ }
            }
        }
    };
}

codes! {
    // Nothing that covers the message.
    NoSignature = "no-signature", NotSigned;
    SignedPartNotRoot = "signed-part-not-root", NotSigned;
    Encrypted = "encrypted", NotSigned;
    NoSigner = "no-signer", NotSigned;
    UnreadableMessage = "unreadable-message", NotSigned;

    // Message structure.
    MessageTooLarge = "message-too-large", Broken;
    LineEndings = "line-endings", Broken;
    HeaderMalformed = "header-malformed", Broken;
    HeaderRepeated = "header-repeated", Broken;
    MimeVersion = "mime-version", Broken;
    ContentTypeMalformed = "content-type-malformed", Broken;
    ProtocolMismatch = "protocol-mismatch", Broken;
    BoundaryAmbiguous = "boundary-ambiguous", Broken;
    MultipartShape = "multipart-shape", Broken;
    EpilogueText = "epilogue-text", Broken;
    TransferEncoding = "transfer-encoding", Broken;

    // CMS structure.
    CmsMalformed = "cms-malformed", Broken;
    CmsUnsupported = "cms-unsupported", Broken;
    TrailingBytes = "trailing-bytes", Broken;
    ContentTwice = "content-twice", Broken;
    ContentMissing = "content-missing", Broken;
    ContentTypeNotData = "content-type-not-data", Broken;
    DigestAlgorithmsEmpty = "digest-algorithms-empty", Broken;
    DigestMismatch = "digest-algorithm-mismatch", Broken;
    SignedAttributesMissing = "signed-attributes-missing", Broken;
    SignedAttributesNotDer = "signed-attributes-not-der", Broken;
    AttributeCount = "attribute-count", Broken;
    AttributeMisplaced = "attribute-misplaced", Broken;
    AttributeValue = "attribute-value", Broken;
    AlgorithmProtection = "algorithm-protection-mismatch", Broken;
    SigningCertificateMismatch = "signing-certificate-mismatch", Broken;
    MessageDigest = "message-digest-mismatch", Broken;
    SignatureInvalid = "signature-invalid", Broken;

    TooManyLayers = "too-many-layers", Broken;

    // Which certificate.
    SeveralSigners = "several-signers", NotVerified;
    SignatureAlgorithm = "signature-algorithm", NotVerified;
    SignerCertificateMissing = "signer-certificate-missing", NotVerified;
    SignerCertificateAmbiguous = "signer-certificate-ambiguous", NotVerified;
    SigningCertificateV1 = "signing-certificate-v1", NotVerified;
    CertificateMalformed = "certificate-malformed", NotVerified;
    KeyAlgorithm = "key-algorithm", NotVerified;

    // The path.
    Revoked = "revoked", NotVerified;
    Expired = "certificate-expired", NotVerified;
    NotYetValid = "certificate-not-yet-valid", NotVerified;
    CertificateSignature = "certificate-signature-invalid", NotVerified;
    CertificateAlgorithm = "certificate-algorithm", NotVerified;
    EndEntityIsAuthority = "end-entity-is-authority", NotVerified;
    NotAnAuthority = "not-an-authority", NotVerified;
    PathLength = "path-length", NotVerified;
    KeyUsage = "key-usage", NotVerified;
    ExtendedKeyUsage = "extended-key-usage", NotVerified;
    NameConstraints = "name-constraints", NotVerified;
    NameConstraintsUnsupported = "name-constraints-unsupported", NotVerified;
    CriticalExtension = "critical-extension", NotVerified;
    ExtensionMalformed = "extension-malformed", NotVerified;
    PolicyRequired = "policy-required", NotVerified;
    PolicyMapping = "policy-mapping", NotVerified;
    PathTooExpensive = "path-too-expensive", NotVerified;
    UntrustedIssuer = "untrusted-issuer", NotVerified;

    // The sender.
    FromMissing = "from-missing", NotVerified;
    FromRepeated = "from-repeated", NotVerified;
    FromNotOneMailbox = "from-not-one-mailbox", NotVerified;
    FromSyntax = "from-syntax", NotVerified;
    FromCharacters = "from-characters", NotVerified;
    AddressMismatch = "address-mismatch", NotVerified;
    CertificateWithoutAddress = "certificate-without-address", NotVerified;
    ProtectedFromDiffers = "protected-from-differs", NotVerified;
    SigningTimeInFuture = "signing-time-in-future", NotVerified;

    // The tier.
    AnchorDoesNotVouch = "anchor-does-not-vouch", NoTier;
    NoTierPolicy = "no-tier-policy", NoTier;
    SeveralTierPolicies = "several-tier-policies", NoTier;
    TierPolicyNotInPath = "tier-policy-not-in-path", NoTier;
    LegacyGeneration = "legacy-generation", NoTier;
    SubjectDoesNotFit = "subject-does-not-fit", NoTier;
    ProfileDoesNotFit = "profile-does-not-fit", NoTier;
    RevocationDemanded = "revocation-demanded", NoTier;

    // Worth a second look.
    RevocationNotChecked = "revocation-not-checked", Warning;
    RevocationUnknown = "revocation-unknown", Warning;
    DisplayNameAddress = "display-name-address", Warning;
    DisplayNameUnreadable = "display-name-unreadable", Warning;
    DisplayNameConfusable = "display-name-confusable", Warning;
    DisplayNameImitation = "display-name-imitation", Warning;
    AddressConfusable = "address-confusable", Warning;
    ReplyToDiffers = "reply-to-differs", Warning;
    SenderDiffers = "sender-differs", Warning;
    ResentFields = "resent-fields", Warning;
    SigningTimeApart = "signing-time-apart", Warning;
    ProtectedFieldDiffers = "protected-field-differs", Warning;
    HeaderProtectionUnclear = "header-protection-unclear", Warning;
    InnerSignature = "inner-signature", Warning;
    ActiveContent = "active-content", Warning;
    RemoteContent = "remote-content", Warning;
    SmimeTypeLies = "smime-type-lies", Warning;
    MicalgDiffers = "micalg-differs", Warning;
    ConditionalContent = "conditional-content", Notice;
    AmbiguousContent = "ambiguous-content", Notice;
    MimeVersionMissing = "mime-version-missing", Notice;
    PreambleText = "preamble-text", Notice;
    HeadersNotCovered = "headers-not-covered", Notice;
    NestedSecurity = "nested-security", Notice;
    EncryptionUnauthenticated = "encryption-unauthenticated", Notice;
    UnixLineEnds = "unix-line-ends", Notice;
    EmbeddedCrls = "embedded-crls", Notice;
    CrlMalformed = "crl-malformed", Notice;
    OcspMalformed = "ocsp-malformed", Notice;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_ranked_by_effect() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code:?} shares its text");
            assert!(
                code.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
        }
        assert!(Code::ALL.windows(2).all(|pair| pair[0].effect() <= pair[1].effect()));
    }

    #[test]
    fn every_code_is_documented() {
        let documentation = include_str!("../../docs/verification.md");
        for code in Code::ALL {
            assert!(
                documentation.contains(&format!("`{}`", code.as_str())),
                "{}",
                code.as_str()
            );
        }
    }

    #[test]
    fn the_more_telling_problem_wins() {
        let untrusted = Code::UntrustedIssuer.because("a");
        let expired = Code::Expired.because("b");
        assert_eq!(untrusted.more_telling(expired.clone()), expired);
    }
}
