//! What is said of a message: separate facts, findings, and one label.

use policies::tier::Tier;

use crate::finding::{Effect, Finding, Problem};
use crate::language::Language;
use crate::protection::{HeaderProtection, ProtectedField};
use crate::revocation::RevocationStatus;
use crate::tier::Granted;

/// The one word for a message.
///
/// It follows from the facts and findings; nothing else may be read into it. A tier is shown for `Tier` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Signed by the sender, whose identity somebody vouches for.
    Tier,
    /// Signed with a certificate for the sender's address; nobody vouches for more.
    Signed,
    /// The signature fits the content or cannot be judged, and who made it cannot be relied on.
    NotVerified,
    /// There is a signature, and it is malformed or does not fit the content.
    Broken,
    /// No signature covers the message.
    NotSigned,
}

impl AsRef<str> for Status {
    fn as_ref(&self) -> &str {
        match self {
            Self::Tier => "tier",
            Self::Signed => "signed",
            Self::NotVerified => "not_verified",
            Self::Broken => "broken",
            Self::NotSigned => "not_signed",
        }
    }
}

/// Whether the bytes are those that were signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// There was no signature, or it could not be judged.
    NotChecked,
    /// The content is what the owner of the certificate's key signed.
    Intact,
    /// It is not, or the structure is malformed.
    Broken,
}

impl AsRef<str> for Integrity {
    fn as_ref(&self) -> &str {
        match self {
            Self::NotChecked => "not_checked",
            Self::Intact => "intact",
            Self::Broken => "broken",
        }
    }
}

/// Whether the certificate leads to a trust anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathFact {
    /// There was no certificate to check.
    NotChecked,
    /// A path to a trust anchor is valid at the time asked for, for e-mail.
    Verified,
    /// There is none.
    NotVerified,
}

impl AsRef<str> for PathFact {
    fn as_ref(&self) -> &str {
        match self {
            Self::NotChecked => "not_checked",
            Self::Verified => "verified",
            Self::NotVerified => "not_verified",
        }
    }
}

/// Whether the certificate is one for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// There was no certificate to compare with.
    NotChecked,
    /// The message has no one sender.
    NoSender,
    /// The one From address is an address of the certificate.
    Matches,
    /// It is not.
    Differs,
}

impl AsRef<str> for Identity {
    fn as_ref(&self) -> &str {
        match self {
            Self::NotChecked => "not_checked",
            Self::NoSender => "no_sender",
            Self::Matches => "matches",
            Self::Differs => "differs",
        }
    }
}

/// Whether the message was encrypted. It says nothing about who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// No layer outside of the signature is encrypted.
    Absent,
    /// A layer is encrypted and was not opened.
    Closed,
    /// All encrypted layers outside of the signature were opened.
    Opened,
}

impl AsRef<str> for Encryption {
    fn as_ref(&self) -> &str {
        match self {
            Self::Absent => "absent",
            Self::Closed => "closed",
            Self::Opened => "opened",
        }
    }
}

/// Who signed, as far as the verdict vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// An address of the certificate: the sender's if it is among them, else the first.
    pub address: String,
    /// The person, in V2 and V4.
    pub name: Option<String>,
    /// The organization, in V3 and V4.
    pub organization: Option<String>,
    /// The title, in V4.
    pub title: Option<String>,
}

/// What is said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) status: Status,
    pub(crate) granted: Option<Granted>,
    pub(crate) from: Option<String>,
    pub(crate) signer: Option<Signer>,
    pub(crate) integrity: Integrity,
    pub(crate) path: PathFact,
    pub(crate) identity: Identity,
    pub(crate) revocation: RevocationStatus,
    pub(crate) encryption: Encryption,
    pub(crate) header_protection: HeaderProtection,
    pub(crate) protected_fields: Vec<ProtectedField>,
    pub(crate) inner: Option<Box<Self>>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) verified_bytes: Option<Vec<u8>>,
}

impl Verdict {
    /// Before anything is known.
    pub(crate) fn unexamined(from: Option<String>) -> Self {
        Self {
            status: Status::NotSigned,
            granted: None,
            from,
            signer: None,
            integrity: Integrity::NotChecked,
            path: PathFact::NotChecked,
            identity: Identity::NotChecked,
            revocation: RevocationStatus::NotChecked,
            encryption: Encryption::Absent,
            header_protection: HeaderProtection::NotChecked,
            protected_fields: Vec::new(),
            inner: None,
            findings: Vec::new(),
            certificate: None,
            verified_bytes: None,
        }
    }

    /// The one word.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The tier; `Some` exactly when the status is [`Status::Tier`].
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        self.granted.as_ref().map(|granted| granted.tier)
    }

    /// The one line a reader sees, in English. It holds no character that could reorder or break the line.
    #[must_use]
    pub fn label(&self) -> String {
        self.label_in(Language::English)
    }

    /// The address in From, if there is exactly one; verified only as far as [`Verdict::identity`] says.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// Who signed; `None` unless the signature is intact and the path verified.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Whether the bytes are those that were signed.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        self.integrity
    }

    /// Whether the certificate leads to a trust anchor.
    #[must_use]
    pub fn path(&self) -> PathFact {
        self.path
    }

    /// Whether the certificate is one for the sender.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What is known about revocation; [`RevocationStatus::NotChecked`] also when there was no path.
    #[must_use]
    pub fn revocation(&self) -> RevocationStatus {
        self.revocation
    }

    /// Whether a layer around the signature was encrypted.
    #[must_use]
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// How the signature covers header fields.
    #[must_use]
    pub fn header_protection(&self) -> HeaderProtection {
        self.header_protection
    }

    /// The header fields that the signature covers, in their order: show these instead of those of the message. Empty
    /// unless [`Verdict::header_protection`] says that there are some.
    #[must_use]
    pub fn protected_headers(&self) -> &[ProtectedField] {
        &self.protected_fields
    }

    /// What the same examination says of a signed or encrypted layer inside this signature, such as that of a message
    /// which is signed, encrypted and signed again. It changes nothing about this verdict.
    #[must_use]
    pub fn inner(&self) -> Option<&Self> {
        self.inner.as_deref()
    }

    /// Everything that was noticed, the most telling first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The signer's certificate in DER, if the signature is intact.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The MIME entity that was signed, header block and body, if the signature is intact. Show this and nothing else.
    #[must_use]
    pub fn verified_bytes(&self) -> Option<&[u8]> {
        self.verified_bytes.as_deref()
    }

    /// Draws the conclusion from problems and a tier; the tier is dropped if any problem forbids it.
    pub(crate) fn conclude(&mut self, mut problems: Vec<Problem>, granted: Option<Granted>) {
        problems.sort_by_key(|problem| (problem.code.effect(), problem.code));
        let worst = problems.first().map(|problem| problem.code.effect());
        self.status = match worst {
            Some(Effect::NotSigned) => Status::NotSigned,
            Some(Effect::Broken) => Status::Broken,
            Some(Effect::NotVerified) => Status::NotVerified,
            Some(Effect::NoTier) => Status::Signed,
            Some(Effect::Warning | Effect::Notice) | None => match granted {
                Some(_) => Status::Tier,
                None => Status::NotVerified,
            },
        };
        self.granted = granted.filter(|_| self.status == Status::Tier);
        if let (Some(signer), Some(granted)) = (&mut self.signer, &self.granted) {
            signer.name.clone_from(&granted.name);
            signer.organization.clone_from(&granted.organization);
            signer.title.clone_from(&granted.title);
        }
        self.findings = problems.into_iter().map(Problem::into_finding).collect();
    }
}
