//! What every door does with a message: plan, find the identity, sign; or the answer that the sender gets instead.

use std::sync::Arc;

use policies::signing::{MaySign, SigningIdentity};
use smtp::Reply;
use thiserror::Error;

use crate::cms::CmsError;
use crate::dkim::{self, DkimError, DomainKey};
use crate::encryption::{self, CannotEncrypt, Settled, Settlement};
use crate::enrol::EnrolError;
use crate::enveloped::EncryptError;
use crate::gateway::Gateway;
use crate::identity::Identity;
use crate::mime::Limits;
use crate::mime::signed::{HeaderProtection, Smtputf8, prepare, without_bcc};
use crate::plan::{Action, Envelope, plan};
use crate::policy::Format;
use crate::treatment::{Refusal, ReversePath, Unreachable, WithoutIdentity};
use crate::wishes::TrustFields;

/// A copy of a message as it goes out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) recipients: Vec<String>,
    pub(crate) message: Vec<u8>,
}

/// Why a message does not go out.
#[derive(Debug, Error)]
pub(crate) enum NotSent {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NoIdentity(#[from] EnrolError),
    #[error("The certificate of the sender is not usable; try again later")]
    OtherCertificate,
    #[error("The signing key is not available; try again later")]
    Signing(#[source] CmsError),
    #[error("The signature of the domain (DKIM) could not be made; try again later")]
    Dkim(#[source] DkimError),
    #[error("The message could not be encrypted; try again later")]
    Encrypting(#[source] EncryptError),
    #[error("It cannot be told for now whether {recipient} can be encrypted to: {reason}; try again later")]
    CertificatesLater { recipient: String, reason: String },
    #[error("The message could not be signed; try again later")]
    Interrupted,
}

/// The copies of a message, signed or as it was, without Bcc and without what was meant for the gateway; or why there
/// are none. Nobody gets what one recipient cannot be encrypted to.
pub(crate) async fn copies(
    gateway: &Arc<Gateway>,
    message: &[u8],
    envelope: &Envelope<'_>,
    smtputf8: Smtputf8,
) -> Result<Vec<Outgoing>, NotSent> {
    let settlement = settle(gateway, message, envelope).await?;
    match settlement.unreachable {
        Some(unreachable) => Err(Refusal::from(unreachable).into()),
        None => build(gateway, settlement.copies, settlement.dkim, smtputf8).await,
    }
}

/// The copies for those who can have one, and those who cannot be encrypted to: for whoever can tell the sender of each
/// recipient by itself.
///
/// # Errors
/// As [`copies`]; that somebody cannot be encrypted to is one only if nobody can.
pub(crate) async fn copies_for_some(
    gateway: &Arc<Gateway>,
    message: &[u8],
    envelope: &Envelope<'_>,
    smtputf8: Smtputf8,
) -> Result<(Vec<Outgoing>, Vec<Unreachable>), NotSent> {
    let settlement = settle(gateway, message, envelope).await?;
    let unreachable = match settlement.unreachable {
        Some(unreachable) if settlement.copies.is_empty() => return Err(Refusal::from(unreachable).into()),
        Some(unreachable) => unreachable.recipients,
        None => Vec::new(),
    };
    let copies = build(gateway, settlement.copies, settlement.dkim, smtputf8).await?;
    Ok((copies, unreachable))
}

/// What is known before anything is signed.
struct Decided {
    copies: Vec<Settled>,
    unreachable: Option<CannotEncrypt>,
    dkim: Vec<DomainKey>,
}

async fn settle(gateway: &Arc<Gateway>, message: &[u8], envelope: &Envelope<'_>) -> Result<Decided, NotSent> {
    let plan = plan(message, envelope, &gateway.config.policy)?;
    // Whose mail it is not, its domain does not sign for either.
    let dkim = plan
        .from
        .as_ref()
        .filter(|from| policies::signing::decide(from, envelope.may_sign_for).is_ok())
        .map(|from| gateway.dkim_keys(from.domain()))
        .unwrap_or_default();
    let Settlement { copies, unreachable } = encryption::settle(gateway, plan).await?;
    Ok(Decided {
        copies,
        unreachable,
        dkim,
    })
}

async fn build(
    gateway: &Arc<Gateway>,
    settled: Vec<Settled>,
    dkim: Vec<DomainKey>,
    smtputf8: Smtputf8,
) -> Result<Vec<Outgoing>, NotSent> {
    let mut copies = Vec::with_capacity(settled.len());
    for one in settled {
        let (mut copy, seal) = match one {
            Settled::Plain(copy) => (copy, None),
            Settled::Sealed(copy, seal) => (copy, Some(seal)),
        };
        let octets = copy.message.len();
        let changed = match (copy.action, seal) {
            (_, Some(seal)) => {
                let signer = match &seal.signing {
                    None => None,
                    Some(signing) => identity(gateway, &signing.from, signing.without_identity).await?,
                };
                let cipher = seal.cipher;
                let message = std::mem::take(&mut copy.message);
                let sealed = encryption::seal(gateway, message, smtputf8, *seal, signer).await?;
                tracing::info!(?cipher, octets = sealed.len(), "a message was encrypted");
                Some(sealed)
            }
            (Action::Pass | Action::Encrypt(_), None) => None,
            (
                Action::Sign {
                    from,
                    without_identity,
                    format,
                    protection,
                },
                None,
            ) => match identity(gateway, &from, without_identity).await? {
                None => None,
                Some(identity) => {
                    let tier = identity.tier();
                    let message = std::mem::take(&mut copy.message);
                    let signed = sign(gateway, message, smtputf8, (format, protection), identity).await?;
                    tracing::info!(%tier, ?format, octets = signed.len(), "a message was signed");
                    Some(signed)
                }
            },
        };
        let message = match changed {
            Some(changed) => changed,
            None => {
                tracing::info!(
                    reason = copy.reasons.first().map(String::as_str),
                    octets,
                    "a message is passed on as it is"
                );
                without_bcc(&copy.message).map_err(Refusal::Mime)?
            }
        };
        let message = if dkim.is_empty() {
            message
        } else {
            let (keys, now) = (dkim.clone(), gateway.clock.now());
            let signed = tokio::task::spawn_blocking(move || dkim::sign(&message, &keys, now)).await;
            signed.unwrap_or(Err(DkimError::Interrupted)).map_err(NotSent::Dkim)?
        };
        copies.push(Outgoing {
            recipients: copy.recipients,
            message,
        });
    }
    Ok(copies)
}

/// One copy for all recipients, whoever they are: what is agreed with single recipients is not looked at.
pub(crate) async fn treat(
    gateway: &Arc<Gateway>,
    message: Vec<u8>,
    reverse_path: ReversePath,
    smtputf8: Smtputf8,
    may_sign_for: &[MaySign],
) -> Result<Vec<u8>, Reply> {
    let envelope = Envelope {
        reverse_path,
        recipients: &[],
        may_sign_for,
        fields: TrustFields::Ignore,
        now: gateway.clock.now(),
    };
    let copies = copies(gateway, &message, &envelope, smtputf8).await;
    let only = copies.map_err(|error| reply(&error))?.pop();
    only.map(|copy| copy.message)
        .ok_or_else(|| reply(&NotSent::Interrupted))
}

/// Whom to sign as, checked against the certificate; `None` to pass the message on unsigned.
async fn identity(
    gateway: &Gateway,
    from: &SigningIdentity,
    without_identity: WithoutIdentity,
) -> Result<Option<Arc<Identity>>, NotSent> {
    let identity = match without_identity {
        WithoutIdentity::Enrol => Some(gateway.enroller.identity(from.mailbox()).await?),
        WithoutIdentity::EnrolOrPass => match gateway.enroller.identity(from.mailbox()).await {
            Ok(identity) => Some(identity),
            Err(error) if error.is_final() => None,
            Err(error) => return Err(error.into()),
        },
        WithoutIdentity::PassUntouched => {
            let now = gateway.clock.now();
            let best = gateway.identities.best(from.mailbox(), now).await;
            best.map_err(EnrolError::from)?
        }
    };
    if let Some(identity) = &identity
        && let Err(refusal) = from.check_certificate(identity.certified())
    {
        tracing::error!(serial = identity.serial(), %refusal, "a stored identity names somebody else");
        return Err(NotSent::OtherCertificate);
    }
    Ok(identity)
}

async fn sign(
    gateway: &Arc<Gateway>,
    message: Vec<u8>,
    smtputf8: Smtputf8,
    (format, protection): (Format, HeaderProtection),
    identity: Arc<Identity>,
) -> Result<Vec<u8>, NotSent> {
    let gateway = gateway.clone();
    let is_quick = identity.is_quick() && message.len() <= MOST_QUICK_OCTETS;
    let work = move || {
        let limits = Limits::for_messages_up_to(gateway.config.max_message_size);
        let prepared = prepare(&message, smtputf8, protection, limits).map_err(Refusal::Mime)?;
        // A large message is in memory often enough.
        drop(message);
        let now = gateway.clock.now();
        match format {
            Format::Clear => {
                let signature = identity.sign(prepared.entity(), now).map_err(NotSent::Signing)?;
                Ok(gateway.with_rng(|rng| prepared.into_signed(identity.digest(), &signature, rng)))
            }
            Format::Opaque => {
                let signed_data = identity.sign_opaque(prepared.entity(), now).map_err(NotSent::Signing)?;
                Ok(prepared.into_opaque(&signed_data))
            }
        }
    };
    if is_quick {
        // To go to another thread and come back would take longer.
        return work();
    }
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(NotSent::Interrupted))
}

/// Of a message that is signed where it is: with P-256 that takes less than a tenth of a millisecond.
const MOST_QUICK_OCTETS: usize = 64 * 1024;

/// What an SMTP client hears.
pub(crate) fn reply(error: &NotSent) -> Reply {
    match error {
        NotSent::Refused(refusal) => refusal_reply(refusal),
        NotSent::NoIdentity(error) => enrolment_reply(error),
        NotSent::OtherCertificate | NotSent::Interrupted => Reply::try_later([4, 3, 0], error.to_string()),
        NotSent::CertificatesLater { .. } => Reply::try_later([4, 7, 5], error.to_string()),
        NotSent::Dkim(cause) => {
            tracing::error!(%cause, because = std::error::Error::source(cause).map(ToString::to_string), "a message could not be signed for its domain");
            Reply::try_later([4, 3, 0], error.to_string())
        }
        NotSent::Encrypting(cause) => {
            tracing::error!(%cause, because = std::error::Error::source(cause).map(ToString::to_string), "a message could not be encrypted");
            Reply::try_later([4, 3, 0], error.to_string())
        }
        NotSent::Signing(cause) => {
            tracing::error!(%cause, because = std::error::Error::source(cause).map(ToString::to_string), "a message could not be signed");
            Reply::try_later([4, 3, 0], error.to_string())
        }
    }
}

pub(crate) fn refusal_reply(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::NotAuthorized(_) | Refusal::ClearNotAllowed { .. } => Reply::refused([5, 7, 1], refusal.to_string()),
        // RFC 3463: the security that was asked for cannot be given.
        Refusal::CannotEncrypt { .. }
        | Refusal::EncryptionNeedsRecipients { .. }
        | Refusal::RightsManaged { .. }
        | Refusal::NoPickupCentre { .. } => Reply::new(554, Some([5, 7, 4]), refusal.to_string()),
        Refusal::NobodyToSendTo => Reply::new(554, Some([5, 5, 1]), refusal.to_string()),
        Refusal::Header(_) | Refusal::From(_) | Refusal::Mime(_) | Refusal::Wishes(_) | Refusal::BrokenSignature => {
            Reply::new(554, Some([5, 6, 0]), refusal.to_string())
        }
    }
}

fn enrolment_reply(error: &EnrolError) -> Reply {
    if error.is_final() {
        tracing::info!("a message was refused because its sender has no identity");
        return Reply::refused([5, 7, 1], error.to_string());
    }
    tracing::warn!(%error, cause = std::error::Error::source(error).map(ToString::to_string), "a sender has no identity for now");
    match error {
        EnrolError::Pending { .. } => Reply::try_later([4, 7, 1], error.to_string()),
        EnrolError::Unreachable { .. } => Reply::try_later([4, 4, 1], error.to_string()),
        EnrolError::Misconfigured { .. } => Reply::try_later([4, 3, 5], error.to_string()),
        _ => Reply::try_later([4, 3, 0], error.to_string()),
    }
}
