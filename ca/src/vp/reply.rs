//! The reply to a challenge mail of another authority (RFC 8823 sections 3.1 and 3.2), after the mail was found genuine.

use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use verifier::header::{HeaderBlock, sender};

use super::client::{Challenge, Client};
use crate::acme::dkim::{NotAuthentic, Verifier};

/// Why a mail is not the challenge that we wait for. Nothing was answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NotTheChallenge {
    #[error("the mail cannot be read: {0}")]
    Header(String),
    #[error("it has not exactly one {0} field")]
    NotOne(&'static str),
    #[error("it comes from {found}, and the challenge from {expected}")]
    From { found: String, expected: String },
    #[error("it is not addressed to {0}")]
    To(Mailbox),
    #[error("it does not say that it was generated for ACME (Auto-Submitted)")]
    NotAutomatic,
    #[error("its subject is not \"ACME:\" and a token")]
    Subject,
    #[error("it is not signed by its sender: {0}")]
    NotSigned(String),
    #[error("the challenge has neither a token nor a sender")]
    Incomplete,
}

/// Checks a challenge mail with CRLF line ends, and writes the reply.
pub(super) async fn write(
    verifier: &Verifier,
    client: &Client,
    challenge: &Challenge,
    mailbox: &Mailbox,
    mail: &[u8],
    message_id: &str,
    now: Timestamp,
) -> Result<Vec<u8>, NotTheChallenge> {
    let (Some(token_part2), Some(expected)) = (&challenge.token, &challenge.from) else {
        return Err(NotTheChallenge::Incomplete);
    };
    let unreadable = |error: String| NotTheChallenge::Header(error);
    let (header, _) = HeaderBlock::parse(mail).map_err(|error| unreadable(error.to_string()))?;
    let from = sender(&header).map_err(|error| unreadable(error.to_string()))?;
    let from = from.mailbox();
    let expected = Mailbox::parse(expected).map_err(|error| unreadable(error.to_string()))?;
    if *from != expected {
        return Err(NotTheChallenge::From {
            found: from.to_string(),
            expected: expected.to_string(),
        });
    }
    let to = one(&header, "To")?.ok_or(NotTheChallenge::NotOne("To"))?;
    let to = to
        .rsplit_once('<')
        .map_or(to.as_str(), |(_, rest)| rest.trim_end_matches('>'));
    if Mailbox::parse(to.trim()).ok().as_ref() != Some(mailbox) {
        return Err(NotTheChallenge::To(mailbox.clone()));
    }
    let automatic = one(&header, "Auto-Submitted")?.unwrap_or_default();
    let automatic: Vec<&str> = automatic.split(';').map(str::trim).collect();
    if automatic.first() != Some(&"auto-generated") || !automatic[1..].contains(&"type=acme") {
        return Err(NotTheChallenge::NotAutomatic);
    }
    let subject = one(&header, "Subject")?.ok_or(NotTheChallenge::NotOne("Subject"))?;
    let token_part1: String = subject
        .strip_prefix("ACME:")
        .ok_or(NotTheChallenge::Subject)?
        .split_ascii_whitespace()
        .collect();
    let is_token = (20..=200).contains(&token_part1.len())
        && token_part1
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-_+/=".contains(&octet));
    if !is_token {
        return Err(NotTheChallenge::Subject);
    }
    let original = one(&header, "Message-ID")?.ok_or(NotTheChallenge::NotOne("Message-ID"))?;
    let reply_to = match one(&header, "Reply-To")? {
        None => from.to_string(),
        Some(address) => {
            let address = address
                .rsplit_once('<')
                .map_or(address.as_str(), |(_, rest)| rest.trim_end_matches('>'));
            let address = Mailbox::parse(address.trim()).map_err(|error| unreadable(error.to_string()))?;
            address.to_string()
        }
    };
    let present: Vec<&str> = header.fields().iter().map(|field| field.name()).collect();
    verifier
        .verify(mail, from.domain().as_ref(), &present, now)
        .await
        .map_err(|error: NotAuthentic| NotTheChallenge::NotSigned(crate::error::chain(&error)))?;

    let digest = client.digest(&token_part1, token_part2);
    let date = crate::acme::challenge::date(now);
    // All on one line each, out of what was checked above.
    let lines = [
        format!("From: {mailbox}"),
        format!("To: {reply_to}"),
        format!("Subject: Re: ACME: {token_part1}"),
        format!("Date: {date}"),
        format!("Message-ID: {message_id}"),
        format!("In-Reply-To: {original}"),
        format!("References: {original}"),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        "Content-Transfer-Encoding: 7bit".to_owned(),
        String::new(),
        "-----BEGIN ACME RESPONSE-----".to_owned(),
        digest,
        "-----END ACME RESPONSE-----".to_owned(),
        String::new(),
    ];
    Ok(lines.join("\r\n").into_bytes())
}

/// The unfolded value of a field that may stand there once; printable ASCII.
fn one(header: &HeaderBlock<'_>, name: &'static str) -> Result<Option<String>, NotTheChallenge> {
    let mut found = header.named(name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(field), None) => match String::from_utf8(field.unfolded()) {
            Ok(value)
                if value
                    .bytes()
                    .all(|octet| octet == b'\t' || (b' '..=b'~').contains(&octet)) =>
            {
                Ok(Some(value.trim().to_owned()))
            }
            _ => Err(NotTheChallenge::Header(format!("{name} is not ASCII"))),
        },
        (Some(_), Some(_)) => Err(NotTheChallenge::NotOne(name)),
    }
}
