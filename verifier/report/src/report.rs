//! The stable JSON surface of a verdict.

use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use verifier::{Explanation, Language, ProtectedField, Verdict, badge, description, explain};

/// What a verdict says, in the words and with the keys of the JSON surface.
///
/// Keys are only ever added. `detail` of a finding is for people and may be worded anew; everything else is for
/// programs. The strings are those of the `AsRef<str>` of the verifier's enums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// `tier`, `signed`, `not_verified`, `broken` or `not_signed`.
    pub status: String,
    /// `V1` to `V4`; there is one exactly when the status is `tier`.
    pub tier: Option<String>,
    /// The one line a reader sees. It holds no character that could reorder or break the line.
    pub label: String,
    /// What the label means, in one sentence for those who are no experts.
    pub description: &'static str,
    /// The address in From, if there is exactly one; verified only as far as `identity` says.
    pub from: Option<String>,
    /// Who signed, if the signature is intact and the path verified.
    pub signer: Option<ReportedSigner>,
    /// `not_checked`, `intact` or `broken`.
    pub integrity: String,
    /// `not_checked`, `verified` or `not_verified`.
    pub path: String,
    /// `not_checked`, `no_sender`, `matches` or `differs`.
    pub identity: String,
    /// What the revocation lists say of the certificates of the path, such as `good` or `not_checked`.
    pub revocation: String,
    /// Whether a layer around the signature was encrypted: `absent`, `closed` or `opened`. It says nothing about who
    /// wrote the message.
    pub encryption: String,
    /// How the signature covers header fields: `not_checked`, `absent`, `wrapped`, `clear` or `cipher`.
    pub header_protection: String,
    /// The header fields that the signature covers, in their order: to be shown instead of those outside.
    pub protected_headers: Vec<ReportedField>,
    /// How many octets of the message, or of what was in an encrypted layer, are covered by the signature, if it is
    /// intact. The octets themselves are [`Verdict::verified_bytes`].
    pub verified_length: Option<usize>,
    /// Everything that was noticed, the most telling first.
    pub findings: Vec<ReportedFinding>,
    /// The signer's certificate in PEM, if the signature is intact.
    pub certificate: Option<String>,
    /// The report on a signed or encrypted layer inside this signature. It changes nothing about this one.
    pub inner: Option<Box<Self>>,
    /// The badge as an SVG document; only where [`Report::with_badge`] asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<String>,
}

/// Who signed, as far as the verdict vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedSigner {
    /// An address of the certificate: the sender's if it is among them, else the first.
    pub address: String,
    /// The person, in V2 and V4.
    pub name: Option<String>,
    /// The organization, in V3 and V4.
    pub organization: Option<String>,
    /// The title, in V4.
    pub title: Option<String>,
}

/// One fact about a message, for machines (`code`) and for people (`detail`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedFinding {
    /// Stable, kebab-case; `docs/verification.md` lists them.
    pub code: &'static str,
    /// `error`, `warning` or `notice`.
    pub severity: String,
    /// One sentence with the data at hand. It may quote the message and is not sanitised for display.
    pub detail: String,
    /// What is so, in words for those who are no experts. Like the two below it holds nothing of the message.
    pub meaning: &'static str,
    /// Why it matters.
    pub importance: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// A header field that the signature covers, beside those of the same name outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedField {
    /// The name as written.
    pub name: String,
    /// The value with its folds undone; encoded words are not decoded, nothing is sanitised.
    pub value: String,
    /// What stands outside: `same`, `hidden` (something else, as the sender announced) or `differs`.
    pub outside: String,
    /// The values of that name outside, which anybody may have written.
    pub outside_values: Vec<String>,
}

impl Report {
    /// What `verdict` says, in English.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        Self::in_language(verdict, Language::English)
    }

    /// What `verdict` says, with the label and what explains the findings in `language`. Everything else is for programs
    /// and the same in all languages; `detail` is always English.
    #[must_use]
    pub fn in_language(verdict: &Verdict, language: Language) -> Self {
        Self {
            status: verdict.status().as_ref().to_owned(),
            tier: verdict.tier().map(|tier| tier.to_string()),
            label: verdict.label_in(language),
            description: description(verdict, language),
            from: verdict.from().map(str::to_owned),
            signer: verdict.signer().map(|signer| ReportedSigner {
                address: signer.address.clone(),
                name: signer.name.clone(),
                organization: signer.organization.clone(),
                title: signer.title.clone(),
            }),
            integrity: verdict.integrity().as_ref().to_owned(),
            path: verdict.path().as_ref().to_owned(),
            identity: verdict.identity().as_ref().to_owned(),
            revocation: verdict.revocation().as_ref().to_owned(),
            encryption: verdict.encryption().as_ref().to_owned(),
            header_protection: verdict.header_protection().as_ref().to_owned(),
            protected_headers: verdict.protected_headers().iter().map(ReportedField::of).collect(),
            verified_length: verdict.verified_bytes().map(<[u8]>::len),
            findings: verdict
                .findings()
                .iter()
                .map(|finding| {
                    let explanation = explain(finding.code, language);
                    let text = |of: fn(&Explanation) -> &'static str| explanation.as_ref().map_or("", of);
                    ReportedFinding {
                        code: finding.code,
                        severity: finding.severity.as_ref().to_owned(),
                        detail: finding.detail.clone(),
                        meaning: text(|explanation| explanation.meaning),
                        importance: text(|explanation| explanation.importance),
                        advice: text(|explanation| explanation.advice),
                    }
                })
                .collect(),
            certificate: verdict.certificate().map(pem),
            inner: verdict
                .inner()
                .map(|inner| Box::new(Self::in_language(inner, language))),
            badge: None,
        }
    }

    /// Adds the badge of the verdict that this is the report of.
    #[must_use]
    pub fn with_badge(mut self, verdict: &Verdict, language: Language) -> Self {
        self.badge = Some(badge(verdict, language));
        self
    }

    /// The report as one JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Writing to memory does not fail, and there is no map here whose keys might not be text.
        serde_json::to_string(self).expect("a report of texts can be written")
    }
}

impl ReportedField {
    fn of(field: &ProtectedField) -> Self {
        Self {
            name: field.name.clone(),
            value: field.value.clone(),
            outside: field.outside.as_ref().to_owned(),
            outside_values: field.outside_values.clone(),
        }
    }
}

/// A certificate in DER as PEM (RFC 7468).
fn pem(der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so any index is a character boundary.
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: usize, lines: &[usize]) {
        let der = vec![0x30; octets];
        let pem = pem(&der);
        let inside: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(inside.iter().map(|line| line.len()).collect::<Vec<_>>(), lines);
        assert_eq!(Base64::decode_vec(&inside.concat()).unwrap(), der);
    }

    #[test]
    fn pem_lines_have_sixty_four_characters() {
        check(0, &[]);
        check(1, &[4]);
        check(48, &[64]);
        check(49, &[64, 4]);
        check(96, &[64, 64]);
    }
}
