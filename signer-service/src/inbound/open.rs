//! Opens incoming mail with the keys that are here, and writes what was inside as a message.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use der::Encode;
use keys::DecryptionKey;
use policies::mailbox::Mailbox;
use verifier::{Decryption, Integrity, Verdict};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::engine::NotSent;
use crate::enrol::EnrolError;
use crate::enveloped::{Opened, RecipientId, is_for, open};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::identity::blocking;
use crate::mime::base64;
use crate::mime::content_type::Parameterized;
use crate::mime::entity::Entity;
use crate::mime::header;
use crate::store::identities as store;

/// One who can be encrypted to, and whose key is here.
#[derive(Debug)]
pub(super) struct Holder {
    /// As the envelope calls it; `None` for the key that opens mail for everybody.
    recipient: Option<String>,
    issuer: Vec<u8>,
    serial_number: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
    key: Arc<dyn DecryptionKey>,
}

/// Whether the message itself is application/pkcs7-mime. What else is in it is not opened: a part beside others could
/// carry plain text away (EFAIL).
pub(super) fn is_encrypted(message: &[u8]) -> bool {
    cms_of(message).is_some()
}

/// The CMS object in the body of the message.
fn cms_of(message: &[u8]) -> Option<Vec<u8>> {
    let whole = Entity::split(message).ok()?;
    let media = Parameterized::parse(&whole.only("Content-Type").ok()??.value())?;
    if !matches!(
        media.value.as_str(),
        "application/pkcs7-mime" | "application/x-pkcs7-mime"
    ) {
        return None;
    }
    let encoding = whole.only("Content-Transfer-Encoding").ok()?;
    match encoding.map(|field| field.value().to_ascii_lowercase()).as_deref() {
        Some(b"base64") => base64::decode(whole.body),
        Some(b"binary") | None => Some(whole.body.to_vec()),
        _ => None,
    }
}

/// The identities of the recipients that there are or were: old keys open old mail.
pub(super) async fn holders(
    gateway: &Gateway,
    recipients: &[String],
    domain: Option<&Mailbox>,
) -> Result<Vec<Holder>, NotSent> {
    let mut wanted: Vec<(Option<String>, Mailbox)> = recipients
        .iter()
        .filter_map(|recipient| Some((Some(recipient.clone()), Mailbox::parse(recipient).ok()?)))
        .collect();
    wanted.extend(domain.map(|mailbox| (None, mailbox.clone())));
    let rows = gateway
        .db()
        .read(move |conn| {
            let mut found = Vec::new();
            for (recipient, mailbox) in &wanted {
                for row in store::with_certificate(conn, mailbox)? {
                    found.push((recipient.clone(), row));
                }
            }
            Ok::<_, Error>(found)
        })
        .await
        .map_err(EnrolError::from)?;
    let keys = gateway.decryption_keys().clone();
    let holders = blocking(move || {
        let mut holders = Vec::new();
        for (recipient, row) in rows {
            let Some(certificate) = row
                .chain_pem
                .as_deref()
                .and_then(|pem| Certificate::load_pem_chain(pem.as_bytes()).ok()?.into_iter().next())
            else {
                continue;
            };
            let key = row.key_id.parse().and_then(|id| keys.open_for_decryption(&id));
            let key = match key {
                Ok(key) => key,
                Err(source) if source.is_temporary() => {
                    return Err(Error::Key {
                        key: row.key_id,
                        source,
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a key cannot open mail");
                    continue;
                }
            };
            let tbs = certificate.tbs_certificate();
            let Ok(issuer) = tbs.issuer().to_der() else { continue };
            let identifier = tbs.get_extension::<SubjectKeyIdentifier>().ok().flatten();
            holders.push(Holder {
                recipient,
                issuer,
                serial_number: tbs.serial_number().as_bytes().to_vec(),
                key_identifier: identifier.map(|(_, identifier)| identifier.0.as_bytes().to_vec()),
                key,
            });
        }
        Ok(holders)
    })
    .await
    .map_err(EnrolError::from)?;
    Ok(holders)
}

impl Holder {
    fn is(&self, id: &RecipientId<'_>) -> bool {
        match id {
            RecipientId::IssuerAndSerialNumber { issuer, serial_number } => {
                self.issuer == *issuer && self.serial_number == *serial_number
            }
            RecipientId::SubjectKeyIdentifier(identifier) => self.key_identifier.as_deref() == Some(*identifier),
        }
    }
}

/// All holders of one message's recipients.
pub(super) struct Opener<'o> {
    gateway: &'o Gateway,
    holders: &'o [Holder],
    /// The verifier asks for what was opened already.
    last: Mutex<Option<(Vec<u8>, Opened)>>,
}

impl<'o> Opener<'o> {
    pub(super) const fn new(gateway: &'o Gateway, holders: &'o [Holder]) -> Self {
        Self {
            gateway,
            holders,
            last: Mutex::new(None),
        }
    }

    pub(super) fn open_message(&self, message: &[u8]) -> Option<Opened> {
        if self.holders.is_empty() {
            return None;
        }
        self.opened(&cms_of(message)?)
    }

    fn opened(&self, cms: &[u8]) -> Option<Opened> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((known, opened)) = &*last
            && known == cms
        {
            return Some(opened.clone());
        }
        let find = |id: &RecipientId<'_>| {
            let holder = self.holders.iter().find(|holder| holder.is(id))?;
            Some(holder.key.clone())
        };
        let opened = self.gateway.with_rng(|rng| open(cms, find, rng))?;
        // Somebody may have put anything inside; what is no entity is not shown as one.
        Entity::split(&opened.content).ok()?;
        *last = Some((cms.to_vec(), opened.clone()));
        Some(opened)
    }

    /// The recipients whose certificates the message names.
    pub(super) fn who_is_named(&self, message: &[u8]) -> HashSet<&str> {
        let Some(cms) = cms_of(message) else {
            return HashSet::new();
        };
        let named = self.holders.iter().filter(|holder| is_for(&cms, |id| holder.is(id)));
        named.filter_map(|holder| holder.recipient.as_deref()).collect()
    }

    /// Whether the key that opens mail for everybody is among them. It is asked only where nobody else is named, or
    /// beside others.
    pub(super) fn opens_for_all(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some((cms, _)) = &*last else { return false };
        self.holders
            .iter()
            .any(|holder| holder.recipient.is_none() && is_for(cms, |id| holder.is(id)))
    }
}

impl Decryption for Opener<'_> {
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>> {
        self.opened(cms).map(|opened| opened.content)
    }
}

impl fmt::Debug for Opener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("holders", &self.holders.len())
            .finish_non_exhaustive()
    }
}

/// The message with what was inside in place of the encrypted object: the header outside, in which the fields that
/// people read are those from inside (RFC 9788 section 4), and the content.
///
/// Nothing inside decides about trust or routing: only the fields named here are taken, and From only where a signature
/// covers it.
pub(super) fn unwrapped(outer: &[u8], opened: &Opened, verdict: &Verdict) -> Option<Vec<u8>> {
    let whole = Entity::split(outer).ok()?;
    let inner = Entity::split(&opened.content).ok()?;
    let signed = verdict.integrity() == Integrity::Intact;
    let from_inside: Vec<(String, String)> = if signed && !verdict.protected_headers().is_empty() {
        verdict
            .protected_headers()
            .iter()
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect()
    } else if is_marked(&inner) {
        inner
            .fields
            .iter()
            .filter_map(|field| Some((field.name().to_owned(), String::from_utf8(field.value()).ok()?)))
            .collect()
    } else {
        Vec::new()
    };
    let is_taken = |name: &str| {
        SHOWN.iter().any(|shown| name.eq_ignore_ascii_case(shown)) || (signed && name.eq_ignore_ascii_case("From"))
    };
    let is_inside = |name: &str| from_inside.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut message = Vec::with_capacity(outer.len());
    for field in &whole.fields {
        let replaced = is_taken(field.name()) && is_inside(field.name());
        if !field.describes_content() && !replaced {
            message.extend_from_slice(field.raw());
        }
    }
    for (name, value) in from_inside.iter().filter(|(name, _)| is_taken(name)) {
        let line = format!("{name}: {value}\r\n");
        let Ok(line) = header::folded(name, line.as_bytes()).map(|line| line.into_owned()) else {
            continue;
        };
        message.extend_from_slice(&line);
    }
    for field in inner.fields.iter().filter(|field| field.describes_content()) {
        message.extend_from_slice(field.raw());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(inner.body);
    Some(message)
}

/// Whether the entity says that its header is protected (RFC 9788 section 2.1.1).
fn is_marked(entity: &Entity<'_>) -> bool {
    let media = entity
        .only("Content-Type")
        .ok()
        .flatten()
        .and_then(|field| Parameterized::parse(&field.value()));
    media.is_some_and(|media| {
        media
            .parameter("hp")
            .is_some_and(|hp| hp.eq_ignore_ascii_case(b"cipher"))
    })
}

/// What people read of a header. `From` is taken only where a signature covers it.
const SHOWN: [&str; 6] = ["Subject", "To", "Cc", "Date", "Keywords", "Comments"];
