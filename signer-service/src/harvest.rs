//! Certificates of others that signed mail has brought: offered to the directory, never trusted by themselves.
//!
//! What is taken is the certificate of a signature that fits the message, leads to a trusted root and is the sender's.
//! Whether it is encrypted to is said by somebody, or by policy for the first one of an address.

use std::path::Path;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912};
use data_encoding::HEXLOWER;
use der::asn1::Any;
use der::{Decode, Encode, EncodePem, Sequence};
use migrations::text::AsText;
use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use x509_cert::Certificate;

use crate::cms::ID_SMIME_CAPABILITIES;
use crate::config::Harvest;
use crate::error::Error;
use crate::gateway::Gateway;
use crate::identity::{blocking, mailboxes};
use crate::mime::base64;
use crate::mime::content_type::Parameterized;
use crate::mime::entity::{Entity, Multipart};
use crate::recipients::{Capabilities, files};
use crate::store::recipient_certificates::{self as store, Approval, CertificateRow, Seen};

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

/// What a good signature brings of its signer.
#[derive(Debug)]
pub(crate) struct Carried {
    certificate: Certificate,
    intermediates: Vec<Vec<u8>>,
    capabilities: Capabilities,
}

/// Takes up the certificate of a sender whose signature was found good, and what its program says it can open.
pub(crate) async fn take(gateway: &Gateway, sender: &Mailbox, carried: Carried) -> Result<Option<Seen>, Error> {
    let policy = gateway.recipients.config().harvest;
    if policy == Harvest::Never || !mailboxes(&carried.certificate).contains(sender) {
        return Ok(None);
    }
    let Carried {
        certificate,
        intermediates,
        capabilities,
    } = carried;
    let Ok(row) = row(sender, &certificate, &intermediates, capabilities, gateway.clock.now()) else {
        return Ok(None);
    };
    let seen = gateway
        .db()
        .write(move |conn| store::see(conn, &row, policy == Harvest::Trust).map_err(Error::from))
        .await?;
    tracing::info!(outcome = ?seen, "a signed message has brought a certificate");
    Ok(Some(seen))
}

/// What stands beside the signer's certificate (DER) in the signature of a message. Only for a signature that was
/// verified.
pub(crate) fn carried(message: &[u8], signer: &[u8]) -> Option<Carried> {
    let info = ContentInfo::from_der(&signature_of(message)?).ok()?;
    let data: SignedData = info.content.decode_as().ok()?;
    let mut intermediates = Vec::new();
    for choice in data.certificates?.0.iter() {
        if let CertificateChoices::Certificate(certificate) = choice {
            let der = certificate.to_der().ok()?;
            if der != signer {
                intermediates.push(der);
            }
        }
    }
    let attributes = data.signer_infos.0.as_slice().first()?.signed_attrs.as_ref()?;
    let announced = attributes
        .iter()
        .find(|attribute| attribute.oid == ID_SMIME_CAPABILITIES);
    let capabilities = announced
        .and_then(|attribute| attribute.values.as_slice().first())
        .map(capabilities)
        .unwrap_or_default();
    Some(Carried {
        certificate: Certificate::from_der(signer).ok()?,
        intermediates,
        capabilities,
    })
}

/// The CMS object of a message that is signed at its root.
fn signature_of(message: &[u8]) -> Option<Vec<u8>> {
    let whole = Entity::split(message).ok()?;
    let media = Parameterized::parse(&whole.only("Content-Type").ok()??.value())?;
    match media.value.as_str() {
        "multipart/signed" => {
            let multipart = Multipart::split(whole.body, media.parameter("boundary")?).ok()?;
            base64::decode(Entity::split(multipart.parts.get(1)?).ok()?.body)
        }
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => base64::decode(whole.body),
        _ => None,
    }
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

/// What the value of an sMIMECapabilities attribute says, see RFC 8551 section 2.5.2.
fn capabilities(value: &Any) -> Capabilities {
    let listed: Vec<Capability> = value.decode_as().unwrap_or_default();
    let has = |oid| listed.iter().any(|one| one.capability == oid);
    Capabilities {
        aes_256_gcm: has(rfc5911::ID_AES_256_GCM),
        rsa_oaep: has(rfc5912::ID_RSAES_OAEP),
    }
}

#[derive(Clone, Debug, Sequence)]
struct Capability {
    capability: ObjectIdentifier,
    #[asn1(optional = "true")]
    parameters: Option<Any>,
}

/// A path of mail has two.
const MOST_INTERMEDIATES: usize = 5;
