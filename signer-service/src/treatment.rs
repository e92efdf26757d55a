//! What is done with a message: sign it, pass it on as it is, or refuse it. Pure.

use std::fmt;

use data_encoding::BASE64;
use policies::signing::{self, MaySign, SigningIdentity};
use thiserror::Error;
use verifier::header::{FromProblem, HeaderBlock, HeaderProblem, sender};

use crate::mime::MimeError;
use crate::mime::content_type::Parameterized;
use crate::mime::entity::{Entity, Multipart};
use crate::wishes::WishProblem;

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    Sign {
        from: SigningIdentity,
        without_identity: WithoutIdentity,
    },
    PassUntouched(Untouched),
    Refuse(Refusal),
}

/// What happens if the sender has no certificate yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutIdentity {
    /// A person has written: enrol, or refuse the message.
    Enrol,
    /// A person has written: enrol, or pass it on unsigned if there is no certificate to be had.
    EnrolOrPass,
    /// A program has written: pass it on unsigned, since a refusal would reach nobody.
    PassUntouched,
}

/// Why a message is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untouched {
    /// multipart/signed, or S/MIME or CMS SignedData, by the sender's own program.
    AlreadySigned,
    /// S/MIME, PGP/MIME or CMS encryption.
    AlreadyEncrypted,
    /// Rights-managed by Microsoft RMS, which nothing may be wrapped around.
    RightsManaged,
    /// A notification from the null sender whose From is nobody whom we sign for.
    Notification,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("the header is malformed: {0}")]
    Header(#[from] HeaderProblem),
    #[error("{0}; write exactly one From field with exactly one address, such as \"From: Alice <alice@example.com>\"")]
    From(FromProblem),
    #[error("this connection may not send mail from that address: {0}")]
    NotAuthorized(signing::Refusal),
    #[error("the message cannot be signed: {0}")]
    Mime(#[from] MimeError),
    #[error(
        "the message has to be encrypted, because of {because}, and cannot be for {}; it was sent to nobody. Leave out who cannot be encrypted to, or send to them by another way", listed(.recipients)
    )]
    CannotEncrypt {
        because: String,
        recipients: Vec<Unreachable>,
    },
    #[error(
        "the message has to be encrypted, because of {because}, and here every recipient gets the same bytes; it was not sent. Send it through the relay of this gateway"
    )]
    EncryptionNeedsRecipients { because: String },
    #[error(
        "the message has to be encrypted, because of {because}, and its rights are managed by Microsoft RMS, around which nothing may be put; it was not sent"
    )]
    RightsManaged { because: String },
    #[error(
        "{} would have to pick the message up, and this gateway has no pickup centre; it was sent to nobody", .recipients.join(", ")
    )]
    NoPickupCentre { recipients: Vec<String> },
    #[error("the message has no recipient but the address that asks for encryption")]
    NobodyToSendTo,
    #[error(
        "the message shall go out without a signature, because of {asked_by}, and that is not allowed ({level}); send it without that"
    )]
    ClearNotAllowed { asked_by: String, level: String },
    #[error("{0}")]
    Wishes(WishProblem),
    #[error(
        "the message carries a signature that is not intact, so it is not signed anew; it was changed after its sender has signed it"
    )]
    BrokenSignature,
}

/// A recipient who cannot be encrypted to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    pub recipient: String,
    pub reason: String,
}

/// For one line of an SMTP reply.
fn listed(recipients: &[Unreachable]) -> String {
    let named = recipients.iter().take(MOST_LISTED);
    let mut listed = named
        .map(|one| format!("{} ({})", one.recipient, one.reason))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = recipients.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}

impl From<WishProblem> for Refusal {
    fn from(problem: WishProblem) -> Self {
        match problem {
            WishProblem::Mime(problem) => Self::Mime(problem),
            problem => Self::Wishes(problem),
        }
    }
}

impl fmt::Display for Untouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySigned => "not signed, since it is signed already",
            Self::AlreadyEncrypted => "not signed, since it is encrypted already",
            Self::RightsManaged => "not signed, since its rights are managed by Microsoft RMS",
            Self::Notification => "not signed, since it is a notification from somebody whom nobody signs for here",
        })
    }
}

/// Whether the reverse path of the envelope is empty, as it is in notifications (RFC 5321 section 4.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReversePath {
    Null,
    Address,
}

/// Decides by the message, its envelope and what the session may do. No header field can widen that.
pub fn decide(message: &[u8], reverse_path: ReversePath, may_sign_for: &[MaySign]) -> Treatment {
    match treat(message, reverse_path, may_sign_for) {
        Ok(treatment) => treatment,
        Err(refusal) => Treatment::Refuse(refusal),
    }
}

fn treat(message: &[u8], reverse_path: ReversePath, may_sign_for: &[MaySign]) -> Result<Treatment, Refusal> {
    let (header, _) = HeaderBlock::parse(message)?;
    let from = match (sender(&header), reverse_path) {
        (Ok(sender), _) => sender.mailbox().clone(),
        (Err(problem @ (FromProblem::Missing | FromProblem::Repeated { .. })), _) => {
            return Err(Refusal::From(problem));
        }
        // Mail servers write "MAILER-DAEMON@host (Mail Delivery System)" and worse; unsigned it claims nothing.
        (Err(_), ReversePath::Null) => return Ok(Treatment::PassUntouched(Untouched::Notification)),
        (Err(problem), ReversePath::Address) => return Err(Refusal::From(problem)),
    };
    let from = match (signing::decide(&from, may_sign_for), reverse_path) {
        (Ok(from), _) => from,
        (Err(_), ReversePath::Null) => return Ok(Treatment::PassUntouched(Untouched::Notification)),
        (Err(refusal), ReversePath::Address) => return Err(Refusal::NotAuthorized(refusal)),
    };
    if let Some(untouched) = protection(&Entity::split(message)?)? {
        return Ok(Treatment::PassUntouched(untouched));
    }
    let without_identity = match (reverse_path, is_automatic(&header)) {
        (ReversePath::Address, false) => WithoutIdentity::Enrol,
        _ => WithoutIdentity::PassUntouched,
    };
    Ok(Treatment::Sign { from, without_identity })
}

/// Auto-Submitted other than `no` (RFC 3834 section 5).
pub(crate) fn is_automatic(header: &HeaderBlock<'_>) -> bool {
    header.named("Auto-Submitted").any(|field| {
        let value = field.unfolded();
        let keyword = value
            .split(|byte| matches!(byte, b';' | b'(' | b' ' | b'\t'))
            .next()
            .unwrap_or_default();
        !keyword.eq_ignore_ascii_case(b"no")
    })
}

/// Whether the message is signed, encrypted or rights-managed already: by its type, and by the CMS type where the
/// media type does not tell.
fn protection(entity: &Entity<'_>) -> Result<Option<Untouched>, MimeError> {
    let Some(media) = media_of(entity)? else {
        return Ok(None);
    };
    Ok(match media.value.as_str() {
        "multipart/signed" => Some(Untouched::AlreadySigned),
        "multipart/encrypted" => Some(Untouched::AlreadyEncrypted),
        RIGHTS_MANAGED => Some(Untouched::RightsManaged),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            Some(cms_type(entity).unwrap_or(Untouched::AlreadyEncrypted))
        }
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => Some(Untouched::AlreadySigned),
        "application/octet-stream" if has_cms_name(entity, &media)? => cms_type(entity),
        value if value.starts_with("multipart/") => {
            let Some(boundary) = media.parameter("boundary") else {
                return Ok(None);
            };
            // A broken multipart is refused when it is to be rewritten, with the reason.
            let Ok(multipart) = Multipart::split(entity.body, boundary) else {
                return Ok(None);
            };
            let is_rights_managed = |part: &&[u8]| {
                let media = Entity::split(part).ok().and_then(|part| media_of(&part).ok().flatten());
                media.is_some_and(|media| media.value == RIGHTS_MANAGED)
            };
            multipart
                .parts
                .iter()
                .any(is_rights_managed)
                .then_some(Untouched::RightsManaged)
        }
        _ => None,
    })
}

fn media_of(entity: &Entity<'_>) -> Result<Option<Parameterized>, MimeError> {
    let field = entity.only("Content-Type")?;
    Ok(field.and_then(|field| Parameterized::parse(&field.value())))
}

/// Whether an attachment without a telling type is called like a CMS file.
fn has_cms_name(entity: &Entity<'_>, media: &Parameterized) -> Result<bool, MimeError> {
    let disposition = entity
        .only("Content-Disposition")?
        .and_then(|field| Parameterized::parse(&field.value()));
    let names = [
        media.parameter("name"),
        disposition
            .as_ref()
            .and_then(|disposition| disposition.parameter("filename")),
    ];
    Ok(names.into_iter().flatten().any(|name| {
        let extension = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        [b"p7m".as_slice(), b"p7s", b"p7z"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    }))
}

/// The content type of the CMS ContentInfo at the start of a base64 body (RFC 5652 section 3).
fn cms_type(entity: &Entity<'_>) -> Option<Untouched> {
    let text: Vec<u8> = entity
        .body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(64)
        .collect();
    let start = BASE64.decode(&text[..text.len() / 4 * 4]).ok()?;
    // SEQUENCE with a length of one to five octets, or indefinite; then the OBJECT IDENTIFIER.
    let after = start.strip_prefix(&[0x30])?;
    let length_octets = match after.first()? {
        length @ 0x81..=0x84 => usize::from(length - 0x80) + 1,
        _ => 1,
    };
    let identifier = after.get(length_octets..)?;
    let known = [
        (SIGNED_DATA, Untouched::AlreadySigned),
        (ENVELOPED_DATA, Untouched::AlreadyEncrypted),
        (AUTH_ENVELOPED_DATA, Untouched::AlreadyEncrypted),
    ];
    known
        .into_iter()
        .find(|(oid, _)| identifier.starts_with(oid))
        .map(|(_, untouched)| untouched)
}

/// Recipients in a refusal, which has to be read by a person.
const MOST_LISTED: usize = 5;

const RIGHTS_MANAGED: &str = "application/x-microsoft-rpmsg-message";

/// DER of 1.2.840.113549.1.7.2, 1.2.840.113549.1.7.3 and 1.2.840.113549.1.9.16.1.23.
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const ENVELOPED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
const AUTH_ENVELOPED_DATA: &[u8] = &[
    0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x17,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> [MaySign; 2] {
        ["example.com", "bob@example.org"].map(|text| text.parse().unwrap())
    }

    #[track_caller]
    fn check(header: &str, reverse_path: ReversePath, expected: Treatment) {
        assert_eq!(
            decide(format!("{header}\r\n\r\nbody\r\n").as_bytes(), reverse_path, &allowed()),
            expected
        );
    }

    fn sign(mailbox: &str, without_identity: WithoutIdentity) -> Treatment {
        let from = signing::decide(&mailbox.parse().unwrap(), &allowed()).unwrap();
        Treatment::Sign { from, without_identity }
    }

    #[test]
    fn people_are_signed_for_and_enrolled() {
        check(
            "From: Alice <alice@EXAMPLE.com>",
            ReversePath::Address,
            sign("alice@example.com", WithoutIdentity::Enrol),
        );
        check(
            "From: BOB@example.org\r\nAuto-Submitted: no",
            ReversePath::Address,
            sign("bob@example.org", WithoutIdentity::Enrol),
        );
    }

    #[test]
    fn programs_are_signed_for_if_they_have_an_identity() {
        let expected = || sign("alice@example.com", WithoutIdentity::PassUntouched);
        check("From: alice@example.com", ReversePath::Null, expected());
        check(
            "From: alice@example.com\r\nAuto-Submitted: auto-replied; x=y",
            ReversePath::Address,
            expected(),
        );
        let notification = || Treatment::PassUntouched(Untouched::Notification);
        check(
            "From: MAILER-DAEMON@mail.example.net (Mail Delivery System)",
            ReversePath::Null,
            notification(),
        );
        check("From: postmaster@example.net", ReversePath::Null, notification());
    }

    #[test]
    fn from_tricks_are_refused() {
        for from in [
            "From: alice@example.com\r\nFrom: mallory@example.net",
            "From: alice@example.com\r\nfROM: alice@example.com",
            "From: alice@example.com, mallory@example.net",
            "From: Team: alice@example.com, bob@example.org;",
            "From: undisclosed:;",
            "From: alice@example.com (mallory@example.net)",
            "From: \"alice@example.com\" <>",
            "From: Alice",
            "From:",
            "From: <@example.net:alice@example.com>",
            "From: \"alice\"@example.com",
            "From: alice@example.com <mallory@example.net",
            "From: alice@exam ple.com",
            "From: alice\u{202e}@example.com",
            "From: =?utf-8?Q?alice=40example.com?=",
            "Subject: no sender",
            "X-From: alice@example.com",
        ] {
            let treatment = decide(format!("{from}\r\n\r\n").as_bytes(), ReversePath::Address, &allowed());
            assert!(
                matches!(treatment, Treatment::Refuse(Refusal::From(_))),
                "{from:?}: {treatment:?}"
            );
        }
        for header in [
            "From : alice@example.com",
            "From: alice@example.com\r\n \r\nSubject: x",
            "From alice@example.com Mon\r\nFrom: alice@example.com",
            "From: alice@example.com\0",
            "From: alice@example.com\nFrom: mallory@example.net",
        ] {
            let treatment = decide(format!("{header}\r\n\r\n").as_bytes(), ReversePath::Address, &allowed());
            assert!(
                matches!(treatment, Treatment::Refuse(Refusal::Header(_))),
                "{header:?}: {treatment:?}"
            );
        }
    }

    #[test]
    fn a_null_sender_does_not_hide_two_from_fields() {
        for from in ["From: a@example.com\r\nFrom: b@example.com", "Subject: none"] {
            let treatment = decide(format!("{from}\r\n\r\n").as_bytes(), ReversePath::Null, &allowed());
            assert!(
                matches!(treatment, Treatment::Refuse(Refusal::From(_))),
                "{from:?}: {treatment:?}"
            );
        }
    }

    #[test]
    fn nobody_signs_for_others() {
        for (from, mailbox) in [
            ("mallory@example.net", "mallory@example.net"),
            ("alice@sub.example.com", "alice@sub.example.com"),
            ("alice@example.com.evil.test", "alice@example.com.evil.test"),
            ("carol@example.org", "carol@example.org"),
            ("\"alice@example.com\" <mallory@example.net>", "mallory@example.net"),
        ] {
            check(
                &format!("From: {from}\r\nSender: alice@example.com"),
                ReversePath::Address,
                Treatment::Refuse(Refusal::NotAuthorized(signing::Refusal::NotAllowed {
                    from: mailbox.parse().unwrap(),
                })),
            );
        }
    }

    #[test]
    fn protected_messages_are_not_touched() {
        for (content, expected) in [
            (
                "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b",
                Untouched::AlreadySigned,
            ),
            (
                "Content-Type: Multipart/Signed; protocol=\"application/pgp-signature\"; boundary=b",
                Untouched::AlreadySigned,
            ),
            (
                "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b",
                Untouched::AlreadyEncrypted,
            ),
            (
                "Content-Type: application/pkcs7-mime; smime-type=enveloped-data",
                Untouched::AlreadyEncrypted,
            ),
            (
                "Content-Type: application/x-microsoft-rpmsg-message",
                Untouched::RightsManaged,
            ),
        ] {
            check(
                &format!("From: alice@example.com\r\n{content}"),
                ReversePath::Address,
                Treatment::PassUntouched(expected),
            );
        }
    }

    #[test]
    fn cms_is_recognized_by_its_content() {
        for (oid, expected) in [
            (SIGNED_DATA, Untouched::AlreadySigned),
            (ENVELOPED_DATA, Untouched::AlreadyEncrypted),
            (AUTH_ENVELOPED_DATA, Untouched::AlreadyEncrypted),
        ] {
            for length in [&[0x80][..], &[0x7f], &[0x82, 0x10, 0x00]] {
                let body = BASE64.encode(&[&[0x30], length, oid, &[0xa0, 0x80, 0, 0, 0, 0, 0, 0]].concat());
                for content in [
                    "application/octet-stream; name=smime.P7M",
                    "application/pkcs7-mime; smime-type=lies",
                ] {
                    let message = format!(
                        "From: alice@example.com\r\nContent-Type: {content}\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
                    );
                    assert_eq!(
                        decide(message.as_bytes(), ReversePath::Address, &allowed()),
                        Treatment::PassUntouched(expected)
                    );
                }
            }
        }
        let other = "From: alice@example.com\r\nContent-Type: application/octet-stream; name=plans.p7m\r\n\r\nAAAA\r\n";
        assert_eq!(
            decide(other.as_bytes(), ReversePath::Address, &allowed()),
            sign("alice@example.com", WithoutIdentity::Enrol)
        );
    }

    #[test]
    fn rights_management_in_an_attachment_counts() {
        let message = "From: alice@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nopen the attachment\r\n--b\r\nContent-Type: application/x-microsoft-rpmsg-message; name=message.rpmsg\r\n\r\nx\r\n--b--\r\n";
        assert_eq!(
            decide(message.as_bytes(), ReversePath::Address, &allowed()),
            Treatment::PassUntouched(Untouched::RightsManaged)
        );
    }

    #[test]
    fn two_content_types_are_refused() {
        check(
            "From: alice@example.com\r\nContent-Type: text/plain\r\nContent-Type: multipart/signed; boundary=b",
            ReversePath::Address,
            Treatment::Refuse(Refusal::Mime(MimeError::DuplicateField { field: "Content-Type" })),
        );
    }
}
