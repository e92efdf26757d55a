//! Mail that comes in: verified, opened where a key for it is here, labelled, and handed on.
//!
//! What others have written in our name is taken out first. The signed content itself is never touched.

mod clean;
mod deliver;
mod filter;
mod label;
mod open;
mod session;

use std::collections::HashSet;
use std::sync::Arc;

use policies::mailbox::Mailbox;
use policies::time::Timestamp;
use verifier::{Integrity, Material, PathFact, Verdict, Verification};

pub(crate) use self::filter::InboundFilter;
pub(crate) use self::session::Inbound;
use crate::engine::NotSent;
use crate::gateway::Gateway;
use crate::harvest;
use crate::mime::canonical::canonicalize;

/// What some recipients of an incoming message get.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) recipients: Vec<String>,
    pub(crate) message: Vec<u8>,
}

/// Whether encrypted mail is opened: a milter gives all recipients the same, so it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    WhereAKeyIsHere,
    Never,
}

/// Labels a message for everybody who is to get it. Those whose key is here get what was inside; the others get it as
/// it came.
pub(crate) async fn labelled(
    gateway: &Arc<Gateway>,
    message: &[u8],
    recipients: &[String],
    opening: Opening,
) -> Result<Vec<Labelled>, NotSent> {
    let Some(settings) = gateway.config.inbound.clone() else {
        return Err(NotSent::Interrupted);
    };
    let message = canonicalize(message).into_owned();
    let now = gateway.clock.now();
    // 1. Whose keys may open it.
    let holders = match opening {
        Opening::WhereAKeyIsHere if settings.decrypt && open::is_encrypted(&message) => {
            open::holders(gateway, recipients, settings.domain_identity.as_ref()).await?
        }
        _ => Vec::new(),
    };
    let everybody: Vec<String> = recipients.to_vec();
    let at_work = gateway.clone();
    let work = move || work(&at_work, &settings, message, everybody, &holders, now);
    let (labelled, seen) = tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(NotSent::Interrupted))?;
    if let Some((sender, carried)) = seen {
        let taken = harvest::take(gateway, &sender, carried).await;
        if let Err(error) = taken {
            // The mail does not wait for that; the next signed one brings the certificate again.
            tracing::warn!(%error, "a certificate could not be taken up");
        }
    }
    Ok(labelled)
}

type Seen = Option<(Mailbox, harvest::Carried)>;

fn work(
    gateway: &Gateway,
    settings: &crate::config::Inbound,
    message: Vec<u8>,
    recipients: Vec<String>,
    holders: &[open::Holder],
    now: Timestamp,
) -> Result<(Vec<Labelled>, Seen), NotSent> {
    let trust = gateway.inbound_trust();
    let material = Material {
        intermediates: Vec::new(),
        crls: gateway.recipients.checker().crls(now).to_vec(),
    };
    let verify = |message: &[u8], opener: Option<&open::Opener<'_>>| {
        let verification = Verification::new(trust, now).material(&material);
        match opener {
            Some(opener) => verification.decryption(opener).verify(message),
            None => verification.verify(message),
        }
    };
    let clean = clean::clean(&message, settings).map_err(crate::treatment::Refusal::Mime)?;
    let mut labelled = Vec::new();
    let mut seen = None;
    // 2. Those who get what was inside.
    let opener = open::Opener::new(gateway, holders);
    let opened = opener.open_message(&message);
    let mut left: Vec<String> = recipients;
    if let Some(opened) = opened {
        let can: HashSet<&str> = opener.who_is_named(&message);
        let (with_key, without): (Vec<String>, Vec<String>) = left
            .into_iter()
            .partition(|recipient| can.contains(recipient.as_str()) || opener.opens_for_all());
        left = without;
        if !with_key.is_empty() {
            let verdict = verify(&message, Some(&opener));
            seen = harvested(&opened.content, &verdict);
            if let Some(unwrapped) = open::unwrapped(&clean, &opened, &verdict) {
                let unwrapped = clean::clean(&unwrapped, settings).map_err(crate::treatment::Refusal::Mime)?;
                labelled.push(Labelled {
                    recipients: with_key,
                    message: label::added(&unwrapped, &verdict, Some(&opened), settings),
                });
            } else {
                left.extend(with_key);
            }
        }
    }
    // 3. The others.
    if !left.is_empty() || labelled.is_empty() {
        let verdict = verify(&message, None);
        if seen.is_none() {
            seen = harvested(&message, &verdict);
        }
        labelled.push(Labelled {
            recipients: left,
            message: label::added(&clean, &verdict, None, settings),
        });
    }
    Ok((labelled, seen))
}

/// The certificate of a sender whose signature is good in every way.
fn harvested(signed: &[u8], verdict: &Verdict) -> Seen {
    if verdict.integrity() != Integrity::Intact
        || verdict.path() != PathFact::Verified
        || verdict.identity() != verifier::Identity::Matches
        || verdict.revocation() == verifier::RevocationStatus::Revoked
    {
        return None;
    }
    let sender = Mailbox::parse(verdict.from()?).ok()?;
    let carried = harvest::carried(signed, verdict.certificate()?)?;
    Some((sender, carried))
}
