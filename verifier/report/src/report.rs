//! The stable JSON surface of a verdict.

use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use verifier::Verdict;

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
    /// Everything that was noticed, the most telling first.
    pub findings: Vec<ReportedFinding>,
    /// The signer's certificate in PEM, if the signature is intact.
    pub certificate: Option<String>,
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
}

impl Report {
    /// What `verdict` says.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        Self {
            status: verdict.status().as_ref().to_owned(),
            tier: verdict.tier().map(|tier| tier.to_string()),
            label: verdict.label(),
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
            findings: verdict
                .findings()
                .iter()
                .map(|finding| ReportedFinding {
                    code: finding.code,
                    severity: finding.severity.as_ref().to_owned(),
                    detail: finding.detail.clone(),
                })
                .collect(),
            certificate: verdict.certificate().map(pem),
        }
    }

    /// The report as one JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Writing to memory does not fail, and there is no map here whose keys might not be text.
        serde_json::to_string(self).expect("a report of texts can be written")
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
