//! Certificates in the DNS, see RFC 8162. Only what DNSSEC proves is believed.

use data_encoding::HEXLOWER;
use der::Decode;
use dns::{Answer, CertificateAssociation, Name, Resolver};
use keys::DigestAlgorithm;
use policies::mailbox::Mailbox;
use x509_cert::Certificate;

use super::check::Candidate;
use super::{Capabilities, Source};

/// A certificate that a domain vouches for.
#[derive(Debug)]
pub(super) struct FromDns {
    pub(super) candidate: Candidate,
    /// Usage 3 (DANE-EE): the domain says that it is this one, and no path is needed.
    pub(super) is_pinned: bool,
}

/// The certificates at the name of a mailbox. Hashes of certificates are of no use here, and left out.
///
/// # Errors
/// One sentence, when nothing can be believed: no answer, or one that is forged.
pub(super) async fn ask(resolver: &Resolver, mailbox: &Mailbox) -> Result<Vec<FromDns>, String> {
    let Some(name) = name_of(mailbox) else {
        return Ok(Vec::new());
    };
    let found = match resolver.smimea(&name).await {
        Answer::Secure(found) => found,
        Answer::Insecure(_) => {
            tracing::info!("SMIMEA records of a zone without DNSSEC are not believed");
            return Ok(Vec::new());
        }
        Answer::NoData(_) | Answer::NxDomain(_) => return Ok(Vec::new()),
        Answer::Bogus(problem) => return Err(problem.to_string()),
        Answer::Failed(problem) => return Err(problem.to_string()),
    };
    Ok(found.records.iter().filter_map(from_record).collect())
}

/// RFC 8162 section 3: the local part as it is, hashed with SHA-256 and cut to 28 octets.
fn name_of(mailbox: &Mailbox) -> Option<Name> {
    let written = mailbox.to_string();
    let (local, domain) = written.rsplit_once('@')?;
    let hash = HEXLOWER.encode(&DigestAlgorithm::Sha256.hash(local.as_bytes()));
    let hash = hash.get(..56)?;
    Name::parse(domain).ok()?.below(&format!("{hash}._smimecert")).ok()
}

fn from_record(record: &CertificateAssociation) -> Option<FromDns> {
    // Usages 1 (PKIX-EE) and 3 (DANE-EE) are about the certificate itself (RFC 6698 section 2.1.1).
    let is_pinned = match record.usage {
        1 => false,
        3 => true,
        _ => return None,
    };
    if record.selector != 0 || record.matching_type != 0 {
        return None;
    }
    Some(FromDns {
        candidate: Candidate {
            certificate: Certificate::from_der(&record.data).ok()?,
            intermediates: Vec::new(),
            source: Source::Dns,
            capabilities: Capabilities::default(),
        },
        is_pinned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rfc() {
        // RFC 7929 section 3, whose hash is the same.
        let mailbox = Mailbox::parse("hugh@example.com").unwrap();
        let name = name_of(&mailbox).unwrap().to_string();
        assert_eq!(
            name.trim_end_matches('.'),
            "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com"
        );
    }

    #[test]
    fn hashes_and_authorities_are_no_certificates() {
        let record = |usage, selector, matching_type| CertificateAssociation {
            usage,
            selector,
            matching_type,
            data: vec![0x30, 0],
        };
        for (usage, selector, matching_type) in [(0, 0, 0), (2, 0, 0), (3, 1, 0), (3, 0, 1), (3, 0, 0), (9, 0, 0)] {
            assert!(from_record(&record(usage, selector, matching_type)).is_none());
        }
    }
}
