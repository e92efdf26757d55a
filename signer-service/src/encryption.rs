//! Finds the certificates for the copies that are to be encrypted, divides the recipients by them, and encrypts.
//!
//! A CMS object names everybody who can open it. So those whom To and Cc name share one, and each other recipient gets
//! one of its own, in which nobody else is named (RFC 9787 section 9.3).

use std::sync::Arc;

use mail_parser::MessageParser;
use policies::mailbox::Mailbox;

use crate::engine::NotSent;
use crate::enveloped::{MessageCipher, Recipient, encrypt};
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::mime::Limits;
use crate::mime::signed::{HeaderProtection, Smtputf8, prepare};
use crate::plan::{Action, Copy, Demand, Encryption, Plan, Signing};
use crate::policy::{Format, TransportChoice, WithoutCertificate};
use crate::recipients::{NotFound, Usable};
use crate::treatment::{Refusal, Unreachable};

/// A copy for which it is known how it goes out.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Passed on or signed.
    Plain(Copy),
    Sealed(Copy, Box<Seal>),
}

/// How a copy is encrypted, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) signing: Option<Signing>,
    pub(crate) protection: HeaderProtection,
    pub(crate) cipher: MessageCipher,
    pub(crate) key_transport: TransportChoice,
    /// Of the recipients in their order, then that of the sender, if it gets to read its own message.
    pub(crate) certificates: Vec<Arc<Usable>>,
}

/// The copies, and those for whom there is none.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) copies: Vec<Settled>,
    pub(crate) unreachable: Option<CannotEncrypt>,
}

/// Who has to be encrypted to and cannot be. Whether the others get the message depends on who tells the sender.
#[derive(Debug)]
pub(crate) struct CannotEncrypt {
    pub(crate) because: String,
    pub(crate) recipients: Vec<Unreachable>,
}

impl From<CannotEncrypt> for Refusal {
    fn from(CannotEncrypt { because, recipients }: CannotEncrypt) -> Self {
        Self::CannotEncrypt { because, recipients }
    }
}

/// Looks for certificates, and decides for each recipient.
///
/// # Errors
/// The message is refused as a whole if a certificate cannot be looked for now, or if somebody should pick it up.
pub(crate) async fn settle(gateway: &Gateway, plan: Plan) -> Result<Settlement, NotSent> {
    let mut settled = Vec::with_capacity(plan.copies.len());
    let mut plain: Vec<Copy> = Vec::new();
    let mut unreachable: Option<CannotEncrypt> = None;
    let mut pickup: Vec<String> = Vec::new();
    for copy in plan.copies {
        let Action::Encrypt(encryption) = &copy.action else {
            merge(&mut plain, copy);
            continue;
        };
        let division = divide(gateway, &copy, encryption).await?;
        match (&encryption.demand, division.without.is_empty()) {
            (_, true) => {}
            (Demand::IfPossible, false) => merge(&mut plain, in_clear(&copy, encryption, &division.without)),
            (Demand::Required { because }, false) => {
                let without = division.without.iter().map(|(position, reason)| Unreachable {
                    recipient: copy.recipients.get(*position).cloned().unwrap_or_default(),
                    reason: reason.clone(),
                });
                match encryption.without_certificate {
                    WithoutCertificate::Refuse => {
                        let unreachable = unreachable.get_or_insert_with(|| CannotEncrypt {
                            because: because.clone(),
                            recipients: Vec::new(),
                        });
                        unreachable.recipients.extend(without);
                    }
                    WithoutCertificate::Pickup => pickup.extend(without.map(|one| one.recipient)),
                }
            }
        }
        let sender = match plan.from.as_ref().filter(|_| encryption.to_sender) {
            None => None,
            Some(from) => sender(gateway, from).await?,
        };
        settled.extend(sealed(&copy, encryption, division.with, sender));
    }
    if !pickup.is_empty() {
        // The pickup centre would take them over here. There is none, and nothing may leave in clear.
        return Err(Refusal::NoPickupCentre { recipients: pickup }.into());
    }
    settled.extend(plain.into_iter().map(Settled::Plain));
    Ok(Settlement {
        copies: settled,
        unreachable,
    })
}

/// The recipients of a copy by their position: those with a certificate, and those without and why.
#[derive(Debug, Default)]
struct Division {
    with: Vec<(usize, Arc<Usable>)>,
    without: Vec<(usize, String)>,
}

async fn divide(gateway: &Gateway, copy: &Copy, encryption: &Encryption) -> Result<Division, NotSent> {
    let mut division = Division::default();
    if copy.recipients.is_empty() {
        return match &encryption.demand {
            Demand::IfPossible => {
                division.without.push((0, "whose they are is not known".to_owned()));
                Ok(division)
            }
            Demand::Required { because } => Err(Refusal::EncryptionNeedsRecipients {
                because: because.clone(),
            }
            .into()),
        };
    }
    let now = gateway.clock.now();
    for (position, recipient) in copy.recipients.iter().enumerate() {
        let found = match (&encryption.domain_certificate, Mailbox::parse(recipient)) {
            (Some(file), _) => gateway.recipients.of_domain(file, now).await,
            (None, Ok(mailbox)) => gateway.recipients.find(&mailbox, now).await,
            (None, Err(_)) => Err(NotFound::Final(
                "it is not an address that a certificate can name".to_owned(),
            )),
        };
        match (found, &encryption.demand) {
            (Ok(usable), _) => division.with.push((position, usable)),
            (Err(NotFound::Final(reason)), _) => division.without.push((position, reason)),
            (Err(error), Demand::IfPossible) => {
                tracing::warn!(%error, "a recipient is not encrypted to for now");
                division.without.push((position, error.to_string()));
            }
            (Err(error), Demand::Required { .. }) => {
                tracing::warn!(%error, cause = std::error::Error::source(&error).map(ToString::to_string), "a message has to wait for the certificate of a recipient");
                return Err(NotSent::CertificatesLater {
                    recipient: recipient.clone(),
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(division)
}

/// One copy per cipher for those whom the header names, and one for each of the others.
fn sealed(
    copy: &Copy,
    encryption: &Encryption,
    with: Vec<(usize, Arc<Usable>)>,
    sender: Option<Arc<Usable>>,
) -> Vec<Settled> {
    let named = header_recipients(&copy.message);
    let is_named = |recipient: &str| {
        Mailbox::parse(recipient).is_ok_and(|recipient| {
            named
                .iter()
                .any(|named| Mailbox::parse(named).is_ok_and(|named| named == recipient))
        })
    };
    let mut copies: Vec<(bool, Copy, Seal)> = Vec::new();
    for (position, usable) in with {
        let (Some(recipient), Some(reason)) = (copy.recipients.get(position), copy.reasons.get(position)) else {
            continue;
        };
        let cipher = usable.capabilities.cipher(encryption.cipher);
        let is_shared = is_named(recipient);
        let shared = copies
            .iter_mut()
            .find(|(may_share, _, seal)| *may_share && is_shared && seal.cipher == cipher);
        match shared {
            Some((_, shared, seal)) => {
                shared.recipients.push(recipient.clone());
                shared.reasons.push(reason.clone());
                seal.certificates.push(usable);
            }
            None => copies.push((
                is_shared,
                Copy {
                    recipients: vec![recipient.clone()],
                    action: copy.action.clone(),
                    reasons: vec![reason.clone()],
                    message: copy.message.clone(),
                },
                Seal {
                    signing: encryption.signing.clone(),
                    protection: encryption.protection,
                    cipher,
                    key_transport: encryption.key_transport,
                    certificates: vec![usable],
                },
            )),
        }
    }
    copies
        .into_iter()
        .map(|(is_shared, copy, mut seal)| {
            if is_shared {
                seal.certificates.extend(sender.clone());
            }
            Settled::Sealed(copy, Box::new(seal))
        })
        .collect()
}

/// What becomes of those who cannot be encrypted to, where that may be.
fn in_clear(copy: &Copy, encryption: &Encryption, without: &[(usize, String)]) -> Copy {
    Copy {
        recipients: without
            .iter()
            .filter_map(|(position, _)| copy.recipients.get(*position).cloned())
            .collect(),
        action: encryption.otherwise.clone(),
        reasons: without
            .iter()
            .map(|(position, why_not)| {
                let reason = copy.reasons.get(*position).map_or("", String::as_str);
                format!("{reason}; not encrypted: {why_not}")
            })
            .collect(),
        message: copy.message.clone(),
    }
}

/// Puts a copy beside others, into one that has the same bytes if there is one.
fn merge(copies: &mut Vec<Copy>, copy: Copy) {
    let same = copies
        .iter_mut()
        .find(|other| other.action == copy.action && other.message == copy.message);
    match same {
        Some(other) => {
            other.recipients.extend(copy.recipients);
            other.reasons.extend(copy.reasons);
        }
        None => copies.push(copy),
    }
}

/// The sender's own certificate, if it has one that is for encryption.
async fn sender(gateway: &Gateway, from: &Mailbox) -> Result<Option<Arc<Usable>>, NotSent> {
    let now = gateway.clock.now();
    let identity = gateway.identities.best(from, now).await;
    let identity = identity.map_err(crate::enrol::EnrolError::from)?;
    Ok(identity.and_then(|identity| {
        let usable = Usable::of_sender(identity.certificate(), now);
        usable.ok().map(Arc::new)
    }))
}

/// Signs, if somebody signs, and encrypts.
pub(crate) async fn seal(
    gateway: &Arc<Gateway>,
    message: Vec<u8>,
    smtputf8: Smtputf8,
    seal: Seal,
    signer: Option<Arc<Identity>>,
) -> Result<Vec<u8>, NotSent> {
    let gateway = gateway.clone();
    let work = move || {
        let limits = Limits::for_messages_up_to(gateway.config.max_message_size);
        let mut prepared = prepare(&message, smtputf8, seal.protection, limits).map_err(Refusal::Mime)?;
        drop(message);
        let now = gateway.clock.now();
        if let (Some(identity), Some(signing)) = (signer, &seal.signing) {
            match signing.format {
                Format::Clear => {
                    let signature = identity.sign(prepared.entity(), now).map_err(NotSent::Signing)?;
                    gateway.with_rng(|rng| prepared.sign_inside(identity.digest(), &signature, rng));
                }
                Format::Opaque => {
                    let signed = identity.sign_opaque(prepared.entity(), now).map_err(NotSent::Signing)?;
                    prepared.sign_inside_opaque(&signed);
                }
            }
        }
        let (outer, inside) = prepared.into_parts();
        let recipients: Vec<Recipient<'_>> = seal
            .certificates
            .iter()
            .map(|usable| Recipient {
                certificate: &usable.certificate,
                transport: usable.capabilities.transport(seal.key_transport),
            })
            .collect();
        let enveloped = gateway.with_rng(|rng| encrypt(inside, seal.cipher, &recipients, rng));
        Ok(outer.into_encrypted(seal.cipher, &enveloped.map_err(NotSent::Encrypting)?))
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(NotSent::Interrupted))
}

/// The addresses in To and Cc, each once; what does not parse as an address is left out.
pub(crate) fn header_recipients(message: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let parsed = MessageParser::new()
        .header_address(mail_parser::HeaderName::To)
        .header_address(mail_parser::HeaderName::Cc)
        .parse_headers(message);
    let Some(parsed) = parsed else { return found };
    for list in [parsed.to(), parsed.cc()].into_iter().flatten() {
        for address in list.iter().filter_map(|address| address.address()) {
            if Mailbox::parse(address).is_ok() && !found.iter().any(|known| known == address) {
                found.push(address.to_owned());
            }
        }
    }
    found
}
