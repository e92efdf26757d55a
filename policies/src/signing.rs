//! For whom may a session sign? What it is allowed comes from how it was authenticated, never from a header.
//!
//! The one From mailbox of a message is compared with what the session may sign for, and later with the certificate,
//! both times by the one rule of [`Mailbox`]. Which mailbox is the one From mailbox is decided by the parser that the
//! verifier uses too; a message with several is refused there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::mailbox::{Domain, InvalidDomain, InvalidMailbox, Mailbox};

/// Something a session may sign for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MaySign {
    /// One mailbox, written `alice@example.com`.
    Mailbox(Mailbox),
    /// Every mailbox of one domain, but none of the domains below it, written `example.com`.
    Domain(Domain),
    /// Every mailbox of the domains below one, but not of itself, written `.example.com`.
    Subdomains(Domain),
}

impl MaySign {
    /// Whether this allows to sign for `mailbox`.
    #[must_use]
    pub fn covers(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Mailbox(allowed) => allowed == mailbox,
            Self::Domain(domain) => mailbox.domain() == domain,
            Self::Subdomains(domain) => mailbox.domain() != domain && mailbox.domain().is_same_or_subdomain_of(domain),
        }
    }
}

impl FromStr for MaySign {
    type Err = InvalidMaySign;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('*') {
            Err(InvalidMaySign::Wildcard)
        } else if text.contains('@') {
            Ok(Self::Mailbox(Mailbox::parse(text)?))
        } else if let Some(domain) = text.strip_prefix('.') {
            Ok(Self::Subdomains(Domain::parse(domain)?))
        } else {
            Ok(Self::Domain(Domain::parse(text)?))
        }
    }
}

impl fmt::Display for MaySign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(mailbox) => write!(f, "{mailbox}"),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Subdomains(domain) => write!(f, ".{domain}"),
        }
    }
}

/// Decides whether a session that may sign for `allowed` may sign a message from `from`.
///
/// # Errors
///
/// [`Refusal::NotAllowed`] if nothing of what is allowed covers the mailbox.
pub fn decide(from: &Mailbox, allowed: &[MaySign]) -> Result<SigningIdentity, Refusal> {
    if allowed.iter().any(|may_sign| may_sign.covers(from)) {
        Ok(SigningIdentity(from.clone()))
    } else {
        Err(Refusal::NotAllowed { from: from.clone() })
    }
}

/// A mailbox for which a session may sign. Only [`decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningIdentity(Mailbox);

impl SigningIdentity {
    /// The mailbox.
    #[must_use]
    pub const fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    /// Checks that a certificate for `certified` mailboxes is one for this identity. See RFC 8550 section 3: readers
    /// compare the same way.
    ///
    /// # Errors
    ///
    /// [`Refusal::OtherCertificate`] if it is for other mailboxes only.
    pub fn check_certificate(&self, certified: &[Mailbox]) -> Result<(), Refusal> {
        if certified.contains(&self.0) {
            Ok(())
        } else {
            Err(Refusal::OtherCertificate {
                from: self.0.clone(),
                certified: certified.to_vec(),
            })
        }
    }
}

/// Why a message is not signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The session may not sign for the sender.
    #[error("this session may not sign for {from}; add the address or its domain to what it may sign for")]
    NotAllowed {
        /// The one From mailbox.
        from: Mailbox,
    },
    /// The certificate is somebody else's.
    #[error("the certificate is not one for {from}")]
    OtherCertificate {
        /// The one From mailbox.
        from: Mailbox,
        /// Whom it is for.
        certified: Vec<Mailbox>,
    },
}

/// Why a text does not say for whom to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidMaySign {
    /// An asterisk, by which nothing is meant here.
    #[error("there are no wildcards; write example.com for its mailboxes and .example.com for those below it")]
    Wildcard,
    /// Not a mailbox.
    #[error("this is neither a mailbox nor a domain")]
    Mailbox(#[from] InvalidMailbox),
    /// Not a domain.
    #[error("this is neither a mailbox nor a domain; write alice@example.com, example.com or .example.com")]
    Domain(#[from] InvalidDomain),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, allowed: &[&str], expected: bool) {
        let from = Mailbox::parse(from).unwrap();
        let allowed: Vec<MaySign> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let decision = decide(&from, &allowed);
        assert_eq!(decision.is_ok(), expected, "{from} {allowed:?}");
        if let Ok(identity) = decision {
            assert_eq!(identity.mailbox(), &from);
        }
    }

    #[test]
    fn what_is_allowed_is_signed() {
        check("alice@example.com", &["alice@example.com"], true);
        check("Alice@EXAMPLE.com", &["alice@example.com"], true);
        check("alice@example.com", &["example.org", "example.com"], true);
        check("alice@mail.example.com", &[".example.com"], true);
        check("info@xn--bcher-kva.example", &["bücher.example"], true);
    }

    #[test]
    fn nothing_else_is_signed() {
        check("alice@example.com", &[], false);
        check("bob@example.com", &["alice@example.com"], false);
        check("alice@example.com", &["example.org"], false);
        check("alice@mail.example.com", &["example.com"], false);
        check("alice@example.com", &["mail.example.com"], false);
        check("alice@example.com", &[".example.com"], false);
        check("alice@badexample.com", &["example.com", ".example.com"], false);
        check("alice@example.com.evil.test", &["example.com", ".example.com"], false);
        check("alice@example.com", &["alicia@example.com", "alice@example.co"], false);
    }

    #[test]
    fn certificates_of_others_are_refused() {
        let from = Mailbox::parse("alice@example.com").unwrap();
        let identity = decide(&from, &["example.com".parse().unwrap()]).unwrap();
        let mailbox = |text| Mailbox::parse(text).unwrap();
        assert_eq!(
            identity.check_certificate(&[mailbox("bob@example.com"), mailbox("ALICE@example.com")]),
            Ok(())
        );
        for certified in [
            vec![],
            vec![mailbox("bob@example.com")],
            vec![mailbox("alice@example.org")],
        ] {
            let refusal = identity.check_certificate(&certified).unwrap_err();
            assert!(matches!(refusal, Refusal::OtherCertificate { .. }));
        }
    }

    #[test]
    fn entries_are_strict_and_read_back() {
        for text in ["alice@example.com", "example.com", ".example.com"] {
            assert_eq!(text.parse::<MaySign>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "*",
            "@example.com",
            "*@example.com",
            "*.example.com",
            "example",
            ".",
            "..example.com",
            "com",
        ] {
            assert!(text.parse::<MaySign>().is_err(), "{text:?}");
        }
    }
}
