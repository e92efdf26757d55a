//! Certificates of others that signed mail has brought: offered to the directory, never trusted by themselves.
//!
//! What is taken is the certificate of a signature that fits the message, leads to a trusted root and is the sender's.
//! Whether it is encrypted to is said by somebody, or by policy for the first one of an address.

use std::path::Path;

use data_encoding::HEXLOWER;
use der::{Encode, EncodePem};
use migrations::text::AsText;
use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use x509_cert::Certificate;

use crate::error::Error;
use crate::gateway::Gateway;
use crate::identity::{blocking, mailboxes};
use crate::recipients::{Capabilities, files};
use crate::store::recipient_certificates::{self as store, Approval, CertificateRow};

pub(crate) async fn list(gateway: &Gateway, state: Option<Approval>) -> Result<Vec<CertificateRow>, Error> {
    let db = gateway.db();
    db.read(move |conn| store::list(conn, state).map_err(Error::from)).await
}

/// Gives how many certificates there are of that name.
pub(crate) async fn decide(
    gateway: &Gateway,
    mailbox: &Mailbox,
    fingerprint: &str,
    state: Approval,
) -> Result<usize, Error> {
    let (mailbox, fingerprint, now) = (mailbox.clone(), fingerprint.to_owned(), gateway.clock.now());
    let db = gateway.db();
    db.write(move |conn| store::decide(conn, &mailbox, &fingerprint, state, now).map_err(Error::from))
        .await
}

/// Adds what an operator has been given, approved; gives the mailboxes that it names.
pub(crate) async fn add_file(gateway: &Gateway, path: &Path) -> Result<Vec<String>, Error> {
    let at = path.to_owned();
    let found = blocking(move || files::read(&at)).await?;
    let none = || Error::NoCertificate { path: path.to_owned() };
    let first = found.into_iter().next().ok_or_else(none)?;
    let names = mailboxes(&first.certificate);
    if names.is_empty() {
        return Err(Error::CertificateWithoutMailbox { path: path.to_owned() });
    }
    let now = gateway.clock.now();
    let mut added = Vec::new();
    for mailbox in names {
        let row = row(
            &mailbox,
            &first.certificate,
            &first.intermediates,
            Capabilities::default(),
            now,
        );
        let row = row.map_err(|_| none())?;
        let fingerprint = row.fingerprint.clone();
        gateway
            .db()
            .write(move |conn| store::see(conn, &row, false).map_err(Error::from))
            .await?;
        decide(gateway, &mailbox, &fingerprint, Approval::Approved).await?;
        added.push(mailbox.to_string());
    }
    Ok(added)
}

fn row(
    mailbox: &Mailbox,
    certificate: &Certificate,
    intermediates: &[Vec<u8>],
    capabilities: Capabilities,
    now: Timestamp,
) -> der::Result<CertificateRow> {
    let der = certificate.to_der()?;
    let mut chain_pem = certificate.to_pem(der::pem::LineEnding::LF)?;
    for intermediate in intermediates
        .iter()
        .filter(|other| **other != der)
        .take(MOST_INTERMEDIATES)
    {
        chain_pem.push_str(&der::pem::encode_string(
            "CERTIFICATE",
            der::pem::LineEnding::LF,
            intermediate,
        )?);
    }
    let not_after = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Ok(CertificateRow {
        mailbox: mailbox.as_ref().to_owned(),
        fingerprint: HEXLOWER.encode(&keys::DigestAlgorithm::Sha256.hash(&der)),
        state: AsText(Approval::Offered),
        chain_pem,
        capabilities: capabilities.to_words(),
        not_after: i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX),
        first_seen_at: now.unix(),
        last_seen_at: now.unix(),
    })
}

/// A path of mail has two.
const MOST_INTERMEDIATES: usize = 5;
