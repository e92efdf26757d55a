//! What the gateway says of a message: `Authentication-Results` (RFC 8601, RFC 7281) and `Sealwright-Label`.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use der::Decode;
use verifier::{Integrity, Status, Verdict};
use x509_cert::Certificate;

use crate::config::Inbound;
use crate::enveloped::Opened;
use crate::mime::entity::Entity;
use crate::mime::header;

/// The message with what is to be said of it on top. Nothing else is changed but the subject, where that is tagged.
pub(super) fn added(message: &[u8], verdict: &Verdict, opened: Option<&Opened>, settings: &Inbound) -> Vec<u8> {
    let mut labelled = results(verdict, &settings.authserv_id).into_bytes();
    labelled.extend_from_slice(&header::unstructured("Sealwright-Label", &verdict.label()));
    if let Some(opened) = opened {
        let how = if opened.is_authenticated || verdict.integrity() == Integrity::Intact {
            "opened"
        } else {
            // EFAIL: AES-CBC does not notice changes, and nothing inside does either.
            "opened, and not protected from changes on the way"
        };
        labelled.extend_from_slice(&header::unstructured("Sealwright-Encryption", how));
    }
    match (settings.subject_tag, verdict.tier()) {
        (true, Some(tier)) => labelled.extend_from_slice(&tagged(message, tier.as_ref())),
        _ => labelled.extend_from_slice(message),
    }
    labelled
}

/// The field for the header, folded.
fn results(verdict: &Verdict, authserv_id: &str) -> String {
    let result = match verdict.status() {
        Status::Tier | Status::Signed => "pass",
        // RFC 7281 section 3.2.1: signed, and some aspect of the signature is not acceptable here.
        Status::NotVerified => "policy",
        Status::Broken => "fail",
        Status::NotSigned => "none",
    };
    let mut field = format!("Authentication-Results: {authserv_id};\r\n smime={result}");
    let telling = match verdict.status() {
        Status::NotVerified | Status::Broken => verdict.findings().first(),
        _ => None,
    };
    if let Some(finding) = telling {
        // Codes are words with hyphens, stable, and of our own making.
        let _ = write!(field, "\r\n reason=\"{}\"", finding.code);
    }
    if let Some(signer) = verdict.signer() {
        let address: String = signer
            .address
            .chars()
            .filter(|character| !character.is_control() && !matches!(character, '"' | '\\'))
            .collect();
        let _ = write!(field, "\r\n body.smime-identifier=\"{address}\"");
        if let Some(certificate) = verdict.certificate().and_then(|der| Certificate::from_der(der).ok()) {
            let serial = HEXLOWER.encode(certificate.tbs_certificate().serial_number().as_bytes());
            let _ = write!(field, "\r\n body.smime-serial={serial}");
        }
    }
    field.push_str("\r\n");
    field
}

fn tagged(message: &[u8], tier: &str) -> Vec<u8> {
    let Ok(whole) = Entity::split(message) else {
        return message.to_vec();
    };
    let mut tagged = Vec::with_capacity(message.len() + 8);
    let mut rest = message;
    for field in &whole.fields {
        let (raw, after) = rest.split_at(field.raw().len());
        rest = after;
        if field.is("Subject") {
            // Blanks and folds of the original stay behind the tag.
            let value = raw.get("Subject:".len()..).unwrap_or_default();
            tagged.extend_from_slice(format!("Subject: [{tier}]").as_bytes());
            if !value.starts_with(b" ") && !value.starts_with(b"\t") && !value.starts_with(b"\r") {
                tagged.push(b' ');
            }
            tagged.extend_from_slice(value);
        } else {
            tagged.extend_from_slice(raw);
        }
    }
    tagged.extend_from_slice(rest);
    tagged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_subject_is_tagged() {
        let message = b"From: a@example.com\r\nSUBJECT: =?utf-8?Q?x?=\r\n y\r\nX: z\r\n\r\nSubject: body\r\n";
        assert_eq!(
            String::from_utf8(tagged(message, "V3")).unwrap(),
            "From: a@example.com\r\nSubject: [V3] =?utf-8?Q?x?=\r\n y\r\nX: z\r\n\r\nSubject: body\r\n"
        );
        assert_eq!(tagged(b"Subject:x\r\n\r\n", "V3"), b"Subject: [V3] x\r\n\r\n");
    }
}
