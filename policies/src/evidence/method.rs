//! The methods of section 3.2 by which facts are proved, and for how long each proof may be used again.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::FactKind;
use crate::time::Span;

/// How evidence is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A random value mailed to the address came back. Section 3.2.2.2.
    MailboxByEmail,
    /// A reply to a random value mailed to the address, signed by its domain, with the digest of an ACME key. Section
    /// 3.2.2.4, RFC 8823. It counts for the one request it was made for, see [`Method::counts_for_one_request`].
    MailboxByAcme,
    /// A random value mailed to an address such as postmaster@ of the domain came back. Section 3.2.2.1 with section
    /// 3.2.2.4.4 of the TLS Baseline Requirements.
    DomainConstructedEmail,
    /// A random value was found in a TXT record below the domain. Section 3.2.2.1 with section 3.2.2.4.7 of the TLS
    /// Baseline Requirements.
    DomainDnsChange,
    /// A random value was found in a file of the domain's website. Section 3.2.2.1 with section 3.2.2.4.18 of the TLS
    /// Baseline Requirements.
    DomainWebsiteChange,
    /// A random value and the digest of an ACME key were found in a file of the domain's website (`http-01`, RFC 8555 section
    /// 8.3). Section 3.2.2.1 with section 3.2.2.4.19 of the TLS Baseline Requirements.
    DomainAcmeHttp,
    /// A random value and the digest of an ACME key were found, hashed, in a TXT record of the domain (`dns-01`, RFC 8555
    /// section 8.4). Section 3.2.2.1 with section 3.2.2.4.7 of the TLS Baseline Requirements.
    DomainAcmeDns,
    /// An extract of a government register. Section 3.2.3.2.1, item 1.
    RegisterExtract,
    /// A fully corroborated record of the Global LEI Foundation. Section 3.2.3.2.1, item 2.
    LegalEntityIdentifierRecord,
    /// An attestation with copies of the founding documents. Section 3.2.3.2.1, item 4.
    OrganizationAttestation,
    /// A physical or digital identity document, compared with its holder. Section 3.2.4.1.
    IdentityDocument,
    /// Asking the organization back through a channel that it did not name itself. Section 3.2.6.
    ReliableMethodOfCommunication,
    /// The organization's attestation that the person works for it. Section 3.2.4.1.
    EmployerAttestation,
    /// The records of an organization whose domain and identity are validated, about its own people. Sections 1.3.2.1
    /// and 3.2.4.1.
    EnterpriseRegistrationAuthority,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 14] = [
        Self::MailboxByEmail,
        Self::MailboxByAcme,
        Self::DomainConstructedEmail,
        Self::DomainDnsChange,
        Self::DomainWebsiteChange,
        Self::DomainAcmeHttp,
        Self::DomainAcmeDns,
        Self::RegisterExtract,
        Self::LegalEntityIdentifierRecord,
        Self::OrganizationAttestation,
        Self::IdentityDocument,
        Self::ReliableMethodOfCommunication,
        Self::EmployerAttestation,
        Self::EnterpriseRegistrationAuthority,
    ];

    /// The section of the BR that describes the method.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::MailboxByEmail => "3.2.2.2",
            Self::MailboxByAcme => "3.2.2.4",
            Self::DomainConstructedEmail
            | Self::DomainDnsChange
            | Self::DomainWebsiteChange
            | Self::DomainAcmeHttp
            | Self::DomainAcmeDns => "3.2.2.1",
            Self::RegisterExtract | Self::LegalEntityIdentifierRecord | Self::OrganizationAttestation => "3.2.3.2.1",
            Self::IdentityDocument | Self::EmployerAttestation => "3.2.4.1",
            Self::ReliableMethodOfCommunication => "3.2.6",
            Self::EnterpriseRegistrationAuthority => "1.3.2.1",
        }
    }

    /// The section of the TLS Baseline Requirements that section 3.2.2.1 refers to, for the methods that are described there.
    #[must_use]
    pub const fn tls_section(self) -> Option<&'static str> {
        match self {
            Self::DomainConstructedEmail => Some("3.2.2.4.4"),
            Self::DomainDnsChange | Self::DomainAcmeDns => Some("3.2.2.4.7"),
            Self::DomainWebsiteChange => Some("3.2.2.4.18"),
            Self::DomainAcmeHttp => Some("3.2.2.4.19"),
            _ => None,
        }
    }

    /// Whether control of a domain that was proved so covers the names below it.
    ///
    /// TLS BR 3.2.2.4.18 and 3.2.2.4.19: who controls a website controls that one name, and no certificate may be issued for
    /// others that end with its labels.
    #[must_use]
    pub const fn covers_subdomains(self) -> bool {
        matches!(
            self,
            Self::DomainConstructedEmail | Self::DomainDnsChange | Self::DomainAcmeDns
        )
    }

    /// Whether a publicly trusted authority has to have it corroborated from other networks (BR 4.2.2.2): the methods of
    /// TLS BR 3.2.2.4 that look at the DNS or at a website.
    #[must_use]
    pub const fn needs_corroboration(self) -> bool {
        matches!(
            self,
            Self::DomainDnsChange | Self::DomainWebsiteChange | Self::DomainAcmeHttp | Self::DomainAcmeDns
        )
    }

    /// Whether the method can prove a fact of this kind.
    #[must_use]
    pub const fn proves(self, kind: FactKind) -> bool {
        match self {
            Self::MailboxByEmail | Self::MailboxByAcme => matches!(kind, FactKind::MailboxControl),
            Self::DomainConstructedEmail
            | Self::DomainDnsChange
            | Self::DomainWebsiteChange
            | Self::DomainAcmeHttp
            | Self::DomainAcmeDns => {
                matches!(kind, FactKind::DomainControl)
            }
            Self::RegisterExtract | Self::LegalEntityIdentifierRecord | Self::OrganizationAttestation => {
                matches!(kind, FactKind::OrganizationIdentity)
            }
            Self::IdentityDocument => matches!(kind, FactKind::IndividualIdentity),
            Self::ReliableMethodOfCommunication => matches!(kind, FactKind::Authority),
            Self::EmployerAttestation | Self::EnterpriseRegistrationAuthority => matches!(kind, FactKind::Employment),
        }
    }

    /// Whether such evidence serves the request it was collected for and no other. Section 3.2.2.4: "The Random Value
    /// SHALL NOT be reused by the CA for other Certificate Requests". Whoever keeps evidence hands it to
    /// [`approve`](crate::issuance::approve) with that request only.
    #[must_use]
    pub const fn counts_for_one_request(self) -> bool {
        matches!(self, Self::MailboxByAcme)
    }

    /// For how long after its collection such evidence may be used. See section 4.2.1, which names no period for section
    /// 3.2.2.4: the one request that it serves may wait as long as with control shown by mail.
    #[must_use]
    pub const fn reuse_limit(self) -> Span {
        match self {
            Self::MailboxByEmail | Self::MailboxByAcme => Span::days(30),
            Self::DomainConstructedEmail
            | Self::DomainDnsChange
            | Self::DomainWebsiteChange
            | Self::DomainAcmeHttp
            | Self::DomainAcmeDns => Span::days(398),
            Self::RegisterExtract
            | Self::LegalEntityIdentifierRecord
            | Self::OrganizationAttestation
            | Self::IdentityDocument
            | Self::ReliableMethodOfCommunication
            | Self::EmployerAttestation
            | Self::EnterpriseRegistrationAuthority => Span::days(825),
        }
    }
}

impl AsRef<str> for Method {
    fn as_ref(&self) -> &str {
        match self {
            Self::MailboxByEmail => "mailbox-by-email",
            Self::MailboxByAcme => "mailbox-by-acme",
            Self::DomainConstructedEmail => "domain-constructed-email",
            Self::DomainDnsChange => "domain-dns-change",
            Self::DomainWebsiteChange => "domain-website-change",
            Self::DomainAcmeHttp => "domain-acme-http-01",
            Self::DomainAcmeDns => "domain-acme-dns-01",
            Self::RegisterExtract => "register-extract",
            Self::LegalEntityIdentifierRecord => "legal-entity-identifier-record",
            Self::OrganizationAttestation => "organization-attestation",
            Self::IdentityDocument => "identity-document",
            Self::ReliableMethodOfCommunication => "reliable-method-of-communication",
            Self::EmployerAttestation => "employer-attestation",
            Self::EnterpriseRegistrationAuthority => "enterprise-registration-authority",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_ref() == text)
            .ok_or(UnknownMethod)
    }
}

/// Not the name of a [`Method`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such method of validation")]
pub struct UnknownMethod;
