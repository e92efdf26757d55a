//! The OCSP responder (RFC 6960, RFC 5019, RFC 9654; BR 4.9.9 and 4.9.10) for certificates of the issuing authority.
//!
//! An answer is decided by the database at the moment of the question, or was signed before and is known to be still true
//! (see [`ready`]); what was signed less than an hour ago is only signed again when the status has changed. A serial that was never
//! issued is `unknown`, never `good`.

mod message;
mod ready;
mod responder;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::asn1::{BitString, GeneralizedTime, Null, OctetString};
use der::{Decode, Encode};
use keys::KeyStore;
use migrations::AnyConnection;
use policies::time::{Span, Timestamp};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::ext::Extension;

use crate::app::{App, on_blocking_thread};
use crate::error::{self, Error};
use crate::issuers::Issuer;
use crate::revocation::Reason;
use crate::store::certificates::CertificateState;
use crate::{signature, store};

pub(crate) use message::ResponseStatus;
use message::{
    BasicResponse, CertId, CertStatus, OcspRequest, OcspResponse, ResponderId, ResponseBytes, ResponseData,
    RevokedInfo, SingleResponse, Version,
};
use ready::Ready;
#[cfg(test)]
pub(crate) use ready::look;
pub(crate) use ready::{notice, request_about, sign_ahead, watch};
pub(crate) use responder::RecordedResponder;
use responder::Responder;

/// What the responder keeps while the process runs.
pub(crate) struct Ocsp {
    keys: Arc<dyn KeyStore>,
    current: tokio::sync::Mutex<Option<Arc<Responder>>>,
    signed: Mutex<HashMap<Vec<u8>, (CertStatus, Answer)>>,
    ready: Ready,
    pub(crate) counts: Counts,
}

impl Ocsp {
    pub(crate) fn new(keys: Arc<dyn KeyStore>) -> Self {
        Self {
            keys,
            current: tokio::sync::Mutex::new(None),
            signed: Mutex::new(HashMap::new()),
            ready: Ready::default(),
            counts: Counts::default(),
        }
    }
}

impl fmt::Debug for Ocsp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ocsp").finish_non_exhaustive()
    }
}

/// A signed answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// An OCSPResponse.
    pub(crate) der: Arc<[u8]>,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    /// Whether it fits the same question of anybody else, which one with a nonce does not.
    pub(crate) is_for_everybody: bool,
    /// Names these bytes and no others: their SHA-256.
    pub(crate) tag: Arc<str>,
}

impl Answer {
    fn is_fresh(&self, now: Timestamp, longest: Span) -> bool {
        now >= self.this_update && now.since(self.this_update) < longest
    }
}

/// How many questions were answered in which way, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) ready: AtomicU64,
    pub(crate) decided: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// Answers a request in DER.
///
/// # Errors
/// What goes back without a signature. The reason of an internal error is in the log.
pub(crate) async fn answer(app: &App, request: &[u8]) -> Result<Answer, ResponseStatus> {
    if let Some(answer) = app.ocsp.ready.find(request, app.now()) {
        app.ocsp.counts.ready.fetch_add(1, Ordering::Relaxed);
        return Ok(answer);
    }
    let answered = match Question::read(request) {
        Ok(question) => answer_question(app, request, question).await,
        Err(status) => Err(Failure::Status(status)),
    };
    let count = match &answered {
        Ok(_) => &app.ocsp.counts.decided,
        Err(_) => &app.ocsp.counts.refused,
    };
    count.fetch_add(1, Ordering::Relaxed);
    answered.map_err(|failure| match failure {
        Failure::Status(status) => status,
        Failure::Error(error) => {
            let status = match error.is_temporary() {
                true => ResponseStatus::TryLater,
                false => ResponseStatus::InternalError,
            };
            tracing::error!(error = error::chain(&error), "could not answer an OCSP request");
            status
        }
    })
}

/// Makes the next responder certificate while the present one still lasts for a while.
pub(crate) async fn renew(app: &App) -> Result<(), Error> {
    if app.config.ocsp.enabled {
        responder::lasting(app, RENEW_BEFORE).await?;
    }
    Ok(())
}

/// An answer without a signature (RFC 6960 section 4.2.1).
pub(crate) fn unsigned(status: ResponseStatus) -> Vec<u8> {
    // SEQUENCE { ENUMERATED status }
    vec![0x30, 0x03, 0x0a, 0x01, status as u8]
}

enum Failure {
    Status(ResponseStatus),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What is asked, after everything that can be wrong with a request.
#[derive(Debug)]
struct Question {
    certificates: Vec<CertId>,
    nonce: Option<Extension>,
}

impl Question {
    fn read(request: &[u8]) -> Result<Self, ResponseStatus> {
        let malformed = ResponseStatus::MalformedRequest;
        if request.len() > LARGEST_REQUEST {
            return Err(malformed);
        }
        let request = OcspRequest::from_der(request).map_err(|_| malformed)?;
        let asked = request.tbs_request.request_list;
        if asked.is_empty() || asked.len() > MOST_CERTIFICATES {
            return Err(malformed);
        }
        let mut nonce = None;
        for extension in request.tbs_request.request_extensions.unwrap_or_default() {
            match extension.extn_id {
                NONCE if nonce.is_none() => {
                    // RFC 9654 section 2.1: 1 to 128 octets.
                    let value = OctetString::from_der(extension.extn_value.as_bytes()).map_err(|_| malformed)?;
                    if !(1..=128).contains(&value.as_bytes().len()) {
                        return Err(malformed);
                    }
                    nonce = Some(Extension {
                        critical: false,
                        ..extension
                    });
                }
                NONCE => return Err(malformed),
                // RFC 6960 section 4.4: others may be ignored unless they insist.
                _ if extension.critical => return Err(malformed),
                _ => {}
            }
        }
        let insists = |extension: &Extension| extension.critical;
        if asked
            .iter()
            .filter_map(|single| single.single_request_extensions.as_ref())
            .any(|extensions| extensions.iter().any(insists))
        {
            return Err(malformed);
        }
        Ok(Self {
            certificates: asked.into_iter().map(|single| single.req_cert).collect(),
            nonce,
        })
    }
}

async fn answer_question(app: &App, request: &[u8], question: Question) -> Result<Answer, Failure> {
    let now = app.now();
    let issuer = &app.issuers.issuing;
    // 1. Only for our own certificates.
    for certificate in &question.certificates {
        if !is_ours(certificate, issuer)? {
            return Err(Failure::Status(ResponseStatus::Unauthorized));
        }
    }
    // 2. What the database says now.
    let issuer_id = issuer.id.clone();
    let asked = question.certificates;
    let (sequence, statuses) = app
        .db
        .read(move |conn| {
            let sequence = store::audit::head(conn)?.map_or(0, |row| row.sequence);
            let statuses = asked
                .iter()
                .map(|certificate| Ok((status(conn, &issuer_id, certificate)?, certificate.clone())))
                .collect::<Result<Vec<(CertStatus, CertId)>, Error>>()?;
            Ok::<_, Error>((sequence, statuses))
        })
        .await?;
    let serial = statuses
        .first()
        .map(|(_, certificate)| data_encoding::HEXLOWER.encode(certificate.serial_number.as_bytes()))
        .unwrap_or_default();
    // 3. The same answer as before, if it is still true and fresh.
    let cache_key = match (&*statuses, &question.nonce) {
        ([(_, certificate)], None) => Some(certificate.to_der().map_err(Error::encoding("an OCSP answer"))?),
        _ => None,
    };
    if let Some(key) = &cache_key {
        let signed = app.ocsp.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((status, answer)) = signed.get(key)
            && statuses.first().is_some_and(|(current, _)| current == status)
            && answer.is_fresh(now, SIGN_AGAIN_AFTER)
        {
            app.ocsp.ready.keep(request, &serial, sequence, answer.clone());
            return Ok(answer.clone());
        }
    }
    // 4. Another one. The responder's certificate outlasts every answer.
    let responder = responder::lasting(app, VALIDITY).await?;
    let next_update = now.plus(VALIDITY);
    let first_status = statuses.first().map(|(status, _)| status.clone());
    let data = ResponseData {
        version: Version::V1,
        responder_id: ResponderId::ByKey(octets(&responder.key_hash)?),
        produced_at: time(now)?,
        responses: statuses
            .into_iter()
            .map(|(cert_status, cert_id)| {
                Ok(SingleResponse {
                    cert_id,
                    cert_status,
                    this_update: time(now)?,
                    next_update: Some(time(next_update)?),
                    single_extensions: None,
                })
            })
            .collect::<Result<_, Error>>()?,
        response_extensions: question.nonce.map(|nonce| vec![nonce]),
    };
    let der = on_blocking_thread(move || sign(&responder, data)).await?;
    let answer = Answer {
        tag: data_encoding::HEXLOWER.encode(&Sha256::digest(&der)).into(),
        der: der.into(),
        this_update: now,
        next_update,
        is_for_everybody: cache_key.is_some(),
    };
    if let (Some(key), Some(status)) = (cache_key, first_status)
        && !matches!(status, CertStatus::Unknown(_))
    {
        let mut signed = app.ocsp.signed.lock().unwrap_or_else(PoisonError::into_inner);
        // What falls out is only signed once more.
        if signed.len() >= MOST_KEPT {
            signed.clear();
        }
        signed.insert(key, (status, answer.clone()));
        drop(signed);
        app.ocsp.ready.keep(request, &serial, sequence, answer.clone());
    }
    Ok(answer)
}

/// RFC 6960 section 4.1.1: the issuer is named by hashes of its name and key.
fn is_ours(certificate: &CertId, issuer: &Issuer) -> Result<bool, Error> {
    // RFC 5754 section 2: NULL, or nothing at all.
    let parameters = certificate.hash_algorithm.parameters.as_ref();
    if parameters.is_some_and(|parameters| !parameters.is_null()) {
        return Ok(false);
    }
    let name = issuer.subject_der()?;
    let key = issuer.key.public_key().subject_public_key.raw_bytes();
    let hashes = match certificate.hash_algorithm.oid {
        rfc5912::ID_SHA_1 => [Sha1::digest(&name).to_vec(), Sha1::digest(key).to_vec()],
        rfc5912::ID_SHA_256 => [Sha256::digest(&name).to_vec(), Sha256::digest(key).to_vec()],
        _ => return Ok(false),
    };
    Ok(certificate.issuer_name_hash.as_bytes() == hashes[0] && certificate.issuer_key_hash.as_bytes() == hashes[1])
}

/// BR 4.9.10: what was not issued is not good. A certificate that is recorded and not yet stored was not issued yet.
fn status(conn: &mut AnyConnection, issuer_id: &str, certificate: &CertId) -> Result<CertStatus, Error> {
    let serial = data_encoding::HEXLOWER.encode(certificate.serial_number.as_bytes());
    let Some(row) = store::certificates::find_by_serial(conn, issuer_id, &serial)? else {
        return Ok(match store::ocsp_responders::has_serial(conn, issuer_id, &serial)? {
            true => CertStatus::Good(Null),
            false => CertStatus::Unknown(Null),
        });
    };
    match (row.revoked_at, row.state.0) {
        (Some(at), _) => {
            let reason = match row.revocation_reason.as_deref().map(str::parse::<Reason>) {
                None => None,
                Some(Ok(reason)) => reason.crl_reason(),
                Some(Err(error)) => {
                    return Err(Error::Row {
                        kind: "certificate",
                        id: row.id,
                        reason: error.to_string(),
                    });
                }
            };
            Ok(CertStatus::Revoked(RevokedInfo {
                revocation_time: time(Timestamp::from_unix(at))?,
                revocation_reason: reason,
            }))
        }
        (None, CertificateState::Signed) => Ok(CertStatus::Good(Null)),
        (None, CertificateState::Recorded | CertificateState::Abandoned) => Ok(CertStatus::Unknown(Null)),
    }
}

/// Signs, and checks the signature before it leaves.
fn sign(responder: &Responder, data: ResponseData) -> Result<Vec<u8>, Error> {
    let encoding = || Error::encoding("an OCSP answer");
    let tbs = data.to_der().map_err(encoding())?;
    let signed = responder.key.sign(&tbs).map_err(|source| Error::Key {
        key: "of the OCSP responder".to_owned(),
        source,
    })?;
    let algorithm = responder.key.algorithm().identifier();
    if !signature::is_valid(responder.key.public_key(), &algorithm, &tbs, signed.as_bytes()) {
        return Err(Error::OwnSignature {
            serial: "of an OCSP answer".to_owned(),
            reason: "its signature is not valid".to_owned(),
        });
    }
    let basic = BasicResponse {
        tbs_response_data: data,
        signature_algorithm: algorithm,
        signature: BitString::from_bytes(signed.as_bytes()).map_err(encoding())?,
        certs: Some(vec![responder.certificate.clone()]),
    };
    let response = OcspResponse {
        response_status: ResponseStatus::Successful,
        response_bytes: Some(ResponseBytes {
            response_type: BASIC,
            response: octets(&basic.to_der().map_err(encoding())?)?,
        }),
    };
    response.to_der().map_err(encoding())
}

fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::encoding("an OCSP answer"))
}

fn time(instant: Timestamp) -> Result<GeneralizedTime, Error> {
    let seconds = u64::try_from(instant.unix()).unwrap_or(0);
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).map_err(Error::encoding("an OCSP answer"))
}

/// id-pkix-ocsp-nonce and id-pkix-ocsp-basic.
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// Between the eight hours and the ten days of BR 4.9.10.
const VALIDITY: Span = Span::days(3);
/// BR 4.9.10: at least eight hours before nextUpdate, and at most four days after thisUpdate.
const SIGN_AGAIN_AFTER: Span = Span::hours(1);
/// What is signed ahead is signed again before it is too old to be used.
const AHEAD_AGAIN_AFTER: Span = Span::minutes(30);
/// A third of the life of a responder's certificate.
const RENEW_BEFORE: Span = Span::days(10);
/// A request about one certificate has some 80 octets, and another 140 with the longest nonce.
pub(crate) const LARGEST_REQUEST: usize = 4096;
const MOST_CERTIFICATES: usize = 16;
/// Some 20 MB.
const MOST_KEPT: usize = 20_000;
/// Who is named in the audit log.
const ACTOR: &str = "ocsp";
