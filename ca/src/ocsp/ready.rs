//! Answers that are signed already, and go out without asking the database.
//!
//! That is only right while somebody watches for revocations: [`watch`] reads what was added to the audit log every
//! second, and throws away what it makes wrong. The log is written in the transaction of a revocation, on whichever node,
//! and its numbers are committed in order, so that nothing is overlooked. When nobody has looked for a few seconds, every
//! answer is decided by the database again.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use der::Encode;
use der::asn1::{Int, Null};
use policies::time::Timestamp;
use sha1::{Digest, Sha1};
use x509_cert::ext::Extension;

use super::message::{CertId, OcspRequest, SingleRequest, TbsRequest, Version};
use super::{Answer, NONCE, SIGN_AGAIN_AFTER, answer, octets};
use crate::app::App;
use crate::audit::Action;
use crate::error::{self, Error};
use crate::store;

/// What is signed, by the request as it was sent.
#[derive(Debug, Default)]
pub(crate) struct Ready(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    watched: Option<Watched>,
    answers: HashMap<Box<[u8]>, Kept>,
    /// After which certificate [`sign_ahead`] goes on.
    ahead_after: Option<String>,
}

/// Up to which row of the audit log revocations are known here, and when there were no others.
#[derive(Clone, Copy, Debug)]
struct Watched {
    sequence: i64,
    at: Instant,
}

#[derive(Debug)]
struct Kept {
    serial: String,
    answer: Answer,
}

impl Ready {
    /// The answer to a request, if it is known to be true.
    pub(super) fn find(&self, request: &[u8], now: Timestamp) -> Option<Answer> {
        let state = self.read();
        state.watched.filter(|watched| watched.at.elapsed() < TRUSTED_FOR)?;
        let answer = &state.answers.get(request)?.answer;
        answer.is_fresh(now, SIGN_AGAIN_AFTER).then(|| answer.clone())
    }

    /// Keeps the answer about one certificate, whose status was read when `sequence` was the newest row of the audit log.
    pub(super) fn keep(&self, request: &[u8], serial: &str, sequence: i64, answer: Answer) {
        let mut state = self.write();
        // A revocation that was committed after the status was read may have been seen and forgotten already.
        if state.watched.is_none_or(|watched| watched.sequence > sequence) {
            return;
        }
        if state.answers.len() >= MOST_KEPT {
            // What falls out is only signed once more.
            state.answers.clear();
        }
        let serial = serial.to_owned();
        state.answers.insert(request.into(), Kept { serial, answer });
    }

    fn is_ahead(&self, request: &[u8], now: Timestamp) -> bool {
        let state = self.read();
        let kept = state.answers.get(request);
        // Half the time, so that what is asked in between is there.
        kept.is_some_and(|kept| kept.answer.is_fresh(now, super::AHEAD_AGAIN_AFTER))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing panics half way through a change.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for revocations until `shutdown` is ready.
pub(crate) async fn watch(app: Arc<App>, shutdown: impl Future<Output = ()> + Send) {
    let mut interval = tokio::time::interval(LOOK_AFTER);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = interval.tick() => {
                if let Err(error) = look(&app).await {
                    let error = error::chain(&error);
                    tracing::warn!(error, "could not look for revocations; OCSP answers are decided one by one");
                }
            }
        }
    }
}

/// One look at what was added to the audit log.
pub(crate) async fn look(app: &App) -> Result<(), Error> {
    let ready = &app.ocsp.ready;
    // What is committed after this instant is seen the next time.
    let at = Instant::now();
    let known = ready.read().watched.map(|watched| watched.sequence);
    let (head, revoked) = app
        .db
        .read(move |conn| {
            let head = store::audit::head(conn)?.map_or(0, |row| row.sequence);
            let revoked = match known {
                Some(known) => store::audit::details_of(conn, &REVOCATIONS, known)?,
                None => Vec::new(),
            };
            Ok::<_, Error>((head, revoked))
        })
        .await?;
    let serials: HashSet<String> = revoked
        .iter()
        .filter_map(|details| serde_json::from_str::<serde_json::Value>(details).ok())
        .filter_map(|details| Some(details.get("serial")?.as_str()?.to_owned()))
        .collect();
    let mut state = ready.write();
    if known.is_none() || serials.len() < revoked.len() {
        // Nobody watched until now, or what happened cannot be read.
        state.answers.clear();
    } else if !serials.is_empty() {
        state.answers.retain(|_, kept| !serials.contains(&kept.serial));
    }
    // Two looks at once may end in the other order.
    if state.watched.is_none_or(|watched| watched.sequence <= head) {
        state.watched = Some(Watched { sequence: head, at });
    }
    Ok(())
}

/// A revocation of this process counts here at once.
pub(crate) async fn notice(app: &App) {
    if app.ocsp.ready.read().watched.is_some() && look(app).await.is_err() {
        app.ocsp.ready.write().watched = None;
    }
}

/// Signs answers before anybody asks: for a page of the certificates that are valid, in the form of RFC 5019 section 2.1,
/// which clients that do not send a nonce use. The next call goes on with the next page.
pub(crate) async fn sign_ahead(app: &App) -> Result<(), Error> {
    let ready = &app.ocsp.ready;
    if !app.config.ocsp.enabled || ready.read().watched.is_none() {
        return Ok(());
    }
    let now = app.now();
    let issuer_id = app.issuers.issuing.id.clone();
    let after = ready.read().ahead_after.clone();
    let page = app
        .db
        .read(move |conn| {
            Ok::<_, Error>(store::certificates::valid_serials(
                conn,
                &issuer_id,
                now.unix(),
                after.as_deref(),
                AHEAD_AT_ONCE,
            )?)
        })
        .await?;
    ready.write().ahead_after = page.last().map(|(id, _)| id.clone());
    if ready.read().answers.len() >= MOST_AHEAD {
        return Ok(());
    }
    for (_, serial) in &page {
        let request = request_about(app, serial, None)?;
        if !ready.is_ahead(&request, now) {
            // What goes wrong is in the log, and is answered on demand.
            let _ = answer(app, &request).await;
        }
    }
    Ok(())
}

/// A request about one certificate as RFC 5019 section 2.1 wants it, or with a nonce (RFC 9654).
pub(crate) fn request_about(app: &App, serial: &str, nonce: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let encoding = || Error::encoding("an OCSP request");
    let issuer = &app.issuers.issuing;
    let serial = data_encoding::HEXLOWER
        .decode(serial.as_bytes())
        .ok()
        .and_then(|octets| Int::new(&octets).ok())
        .ok_or_else(|| Error::NotFound {
            kind: "certificate",
            id: serial.to_owned(),
        })?;
    let request = OcspRequest {
        tbs_request: TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![SingleRequest {
                req_cert: CertId {
                    hash_algorithm: spki::AlgorithmIdentifierOwned {
                        oid: const_oid::db::rfc5912::ID_SHA_1,
                        parameters: Some(Null.into()),
                    },
                    issuer_name_hash: octets(&Sha1::digest(issuer.subject_der()?))?,
                    issuer_key_hash: octets(&Sha1::digest(issuer.key.public_key().subject_public_key.raw_bytes()))?,
                    serial_number: serial,
                },
                single_request_extensions: None,
            }],
            request_extensions: match nonce {
                None => None,
                Some(nonce) => Some(vec![Extension {
                    extn_id: NONCE,
                    critical: false,
                    extn_value: octets(&octets(nonce)?.to_der().map_err(encoding())?)?,
                }]),
            },
        },
        optional_signature: None,
    };
    request.to_der().map_err(encoding())
}

/// What makes a good answer wrong.
const REVOCATIONS: [Action; 2] = [Action::CertificateRevoked, Action::CertificateAbandoned];
/// How soon a revocation on another node counts here.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// Three looks that failed.
const TRUSTED_FOR: Duration = Duration::from_secs(4);
/// Some 40 MB.
const MOST_KEPT: usize = 40_000;
/// The rest is for what is asked in other forms.
const MOST_AHEAD: usize = 20_000;
/// Per look at the clock, so that twenty thousand take a quarter of an hour.
const AHEAD_AT_ONCE: i64 = 700;
