//! The delegated certificate that answers are signed with (BR 4.9.9): recorded, linted, signed and checked like any
//! other, short-lived, and renewed by [`crate::jobs`].

use std::sync::Arc;

use keys::{KeyAlgorithm, KeyId, KeyStore, SigningKey};
use policies::authority::responder_template;
use policies::lint::{self, Expected, LintContext, Linted};
use policies::profile::ValidityPeriod;
use policies::time::{Span, Timestamp};
use sha1::{Digest, Sha1};

use crate::app::{App, on_blocking_thread};
use crate::audit::{self, Action};
use crate::error::Error;
use crate::issuance::prepare::random_serial;
use crate::store;
use crate::store::ocsp_responders::ResponderRow;

/// A key with a certificate that lets it answer for the issuing authority.
#[derive(Debug)]
pub(crate) struct Responder {
    pub(super) key: Arc<dyn SigningKey>,
    pub(super) certificate: x509_cert::Certificate,
    /// How answers name the responder.
    pub(super) key_hash: Vec<u8>,
    pub(super) not_after: Timestamp,
}

impl Responder {
    fn new(key: Arc<dyn SigningKey>, certificate: &[u8], not_after: Timestamp) -> Result<Self, Error> {
        use der::Decode;
        let encoding = || Error::encoding("the responder's certificate");
        let certificate = x509_cert::Certificate::from_der(certificate).map_err(encoding())?;
        let key_hash = Sha1::digest(key.public_key().subject_public_key.raw_bytes()).to_vec();
        Ok(Self {
            key,
            certificate,
            key_hash,
            not_after,
        })
    }
}

/// The responder of this process, lasting for another `at_least`; made when there is none.
pub(super) async fn lasting(app: &App, at_least: Span) -> Result<Arc<Responder>, Error> {
    let until = app.now().plus(at_least);
    // Held while one is made, so that a crowd of requests makes one.
    let mut current = app.ocsp.current.lock().await;
    if let Some(responder) = &*current
        && responder.not_after >= until
    {
        return Ok(Arc::clone(responder));
    }
    let responder = Arc::new(match stored(app, until).await? {
        Some(responder) => responder,
        None => make(app).await?,
    });
    *current = Some(Arc::clone(&responder));
    Ok(responder)
}

/// What an earlier process has made. The key of another node's responder is not in our store, and is passed over.
async fn stored(app: &App, until: Timestamp) -> Result<Option<Responder>, Error> {
    let issuer_id = app.issuers.issuing.id.clone();
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::ocsp_responders::lasting_until(conn, &issuer_id, until.unix())?))
        .await?;
    for row in rows {
        let Some(certificate) = row.certificate else { continue };
        let keys = Arc::clone(&app.ocsp.keys);
        let key = on_blocking_thread(move || open(&*keys, &row.key_id)).await?;
        if let Some(key) = key {
            return Responder::new(key, &certificate, Timestamp::from_unix(row.not_after)).map(Some);
        }
    }
    Ok(None)
}

fn open(keys: &dyn KeyStore, id: &str) -> Result<Option<Arc<dyn SigningKey>>, Error> {
    let failed = |source| Error::Key {
        key: id.to_owned(),
        source,
    };
    let key_id: KeyId = id.parse().map_err(failed)?;
    match keys.open(&key_id) {
        Ok(key) => Ok(Some(key)),
        Err(keys::KeyError::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// A responder's certificate that is committed to the database and may now be signed, once.
///
/// There is no other constructor than [`record`], which returns after the commit.
#[derive(Debug)]
pub(crate) struct RecordedResponder {
    row_id: String,
    issuer_id: String,
    serial: String,
    linted: Linted,
}

impl RecordedResponder {
    pub(crate) fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    /// Lower-case hexadecimal.
    pub(crate) fn serial(&self) -> &str {
        &self.serial
    }

    /// The linted bytes.
    pub(crate) fn tbs(&self) -> &[u8] {
        self.linted.tbs()
    }
}

/// A new key and its certificate, in the order of DESIGN section 4: prepare, lint, record, sign, check, store.
async fn make(app: &App) -> Result<Responder, Error> {
    let now = app.now();
    let issuer = &app.issuers.issuing;
    let names = issuer.names()?;
    let key_id = app.new_id(KEY_PREFIX);
    let (keys, id) = (Arc::clone(&app.ocsp.keys), key_id.clone());
    let key = on_blocking_thread(move || {
        let failed = |source| Error::Key {
            key: id.clone(),
            source,
        };
        let key_id: KeyId = id.parse().map_err(failed)?;
        keys.generate(&key_id, KeyAlgorithm::P256).map_err(failed)
    })
    .await?;
    let serial = app.with_rng(random_serial)?;
    let period = ValidityPeriod::of_days(now, DAYS).until_at_most(issuer.not_after());
    let tbs = responder_template(&names, key.public_key())?.to_be_signed(&serial, period, &names)?;
    let context = LintContext {
        expected: Expected::OcspResponder,
        issuer: &names,
        now,
    };
    let linted = lint::check(tbs, &context).map_err(|findings| Error::LintRefused { findings })?;
    let serial = data_encoding::HEXLOWER.encode(serial.as_bytes());
    let recorded = record(app, key_id, serial, period, linted, now).await?;
    let row_id = recorded.row_id.clone();
    let signer = Arc::clone(&issuer.key);
    let der = on_blocking_thread(move || signer.sign_responder(recorded)).await?;
    let stored = der.clone();
    app.db
        .write(move |conn| {
            if !store::ocsp_responders::mark_signed(conn, &row_id, &stored)? {
                return Err(Error::StateChanged {
                    kind: "OCSP responder",
                    id: row_id.clone(),
                    expected: "recorded",
                });
            }
            let details = serde_json::json!({
                "responder": row_id,
                "der": data_encoding::HEXLOWER.encode(&stored),
            });
            audit::append(conn, now, super::ACTOR, Action::ResponderIssued, &details)
        })
        .await?;
    tracing::info!(not_after = %period.not_after, "made a certificate for OCSP answers");
    Responder::new(key, &der, period.not_after)
}

async fn record(
    app: &App,
    key_id: String,
    serial: String,
    period: ValidityPeriod,
    linted: Linted,
    now: Timestamp,
) -> Result<RecordedResponder, Error> {
    let row = ResponderRow {
        id: app.new_id("osp"),
        issuer_id: app.issuers.issuing.id.clone(),
        serial,
        key_id,
        tbs: linted.tbs().to_vec(),
        tbs_sha256: linted.sha256().to_vec(),
        certificate: None,
        not_before: period.not_before.unix(),
        not_after: period.not_after.unix(),
        recorded_at: now.unix(),
    };
    let recorded = RecordedResponder {
        row_id: row.id.clone(),
        issuer_id: row.issuer_id.clone(),
        serial: row.serial.clone(),
        linted,
    };
    app.db
        .write(move |conn| {
            // DESIGN invariant 2 holds across both tables.
            if store::certificates::find_by_serial(conn, &row.issuer_id, &row.serial)?.is_some() {
                return Err(Error::StateChanged {
                    kind: "serial",
                    id: row.serial.clone(),
                    expected: "unused",
                });
            }
            store::ocsp_responders::insert(conn, &row)?;
            let details = serde_json::json!({
                "responder": row.id,
                "issuer": row.issuer_id,
                "serial": row.serial,
                "key": row.key_id,
                "tbs_sha256": data_encoding::HEXLOWER.encode(&row.tbs_sha256),
            });
            audit::append(conn, now, super::ACTOR, Action::ResponderRecorded, &details)
        })
        .await?;
    // Committed.
    Ok(recorded)
}

/// How keys of responders are called.
const KEY_PREFIX: &str = "ocsp";
/// As short as lets a month of holidays pass with a week to spare.
const DAYS: u16 = 30;
