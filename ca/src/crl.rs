//! Certificate revocation lists (RFC 5280 section 5, BR 4.9.7 and 7.2).
//!
//! Full lists without an issuing distribution point. The number is taken, and the content decided, in one committed
//! transaction; what is signed afterwards can only be that. A crash burns a number and nothing else.

use std::sync::Arc;

use const_oid::AssociatedOid;
use der::Encode;
use der::asn1::{OctetString, Uint};
use migrations::AnyConnection;
use policies::time::{Span, Timestamp};
use sha2::{Digest, Sha256};
use x509_cert::certificate::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber};
use x509_cert::serial_number::SerialNumber;

use crate::app::{App, on_blocking_thread};
use crate::audit::{self, Action};
use crate::error::Error;
use crate::issuers::{Issuer, IssuerKind};
use crate::revocation::Reason;
use crate::store;
use crate::store::certificates::RevokedRow;
use crate::store::crls::CrlRow;

/// Makes, signs and stores a new CRL of an issuer, and returns the newest one.
///
/// When two processes publish at once each takes a number of its own; whoever comes late with an older list drops
/// it, so `thisUpdate` never goes back while the number goes up.
pub async fn publish(app: &App, issuer: &Issuer) -> Result<Crl, Error> {
    // 1. Take the number and decide the content.
    let reserved = reserve(app, issuer).await?;
    // 2. Sign exactly that, and check the signature.
    let key = Arc::clone(&issuer.key);
    let signed = on_blocking_thread(move || key.sign_crl(reserved)).await?;
    // 3. Store it, unless a newer one is there already.
    let now = app.now();
    let crl = app
        .db
        .write(move |conn| {
            if let Some(newest) = store::crls::newest(conn, &signed.issuer_id)?
                && (newest.number > signed.number || newest.this_update > signed.this_update)
            {
                return Ok::<_, Error>(Crl::from(newest));
            }
            let row = CrlRow {
                issuer_id: signed.issuer_id.clone(),
                number: signed.number,
                this_update: signed.this_update,
                next_update: signed.next_update,
                der: signed.der.clone(),
            };
            store::crls::insert(conn, &row)?;
            let details = serde_json::json!({
                "issuer": row.issuer_id,
                "number": row.number,
                "this_update": row.this_update,
                "next_update": row.next_update,
                "sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(&row.der)),
            });
            audit::append(conn, now, ACTOR, Action::CrlPublished, &details)?;
            Ok(Crl::from(row))
        })
        .await?;
    tracing::info!(issuer = issuer.id, number = crl.number, "published a CRL");
    Ok(crl)
}

/// The newest CRL of an issuer; makes the first one when there is none.
pub async fn current(app: &App, issuer: &Issuer) -> Result<Crl, Error> {
    match newest(app, issuer).await? {
        Some(crl) => Ok(crl),
        None => publish(app, issuer).await,
    }
}

/// Publishes a new CRL when the newest one is due, or does not list what was revoked since. `None` when not.
pub async fn refresh(app: &App, issuer: &Issuer) -> Result<Option<Crl>, Error> {
    let now = app.now();
    let issuer_id = issuer.id.clone();
    let (newest, last_revocation) = app
        .db
        .read(move |conn| {
            Ok::<_, Error>((
                store::crls::newest(conn, &issuer_id)?,
                store::certificates::last_revocation(conn, &issuer_id)?,
            ))
        })
        .await?;
    let due = match newest {
        None => true,
        Some(newest) => {
            let age = now.since(Timestamp::from_unix(newest.this_update));
            // At the very same second the list may have been decided before the revocation.
            age >= refresh_period(app, issuer) || last_revocation.is_some_and(|at| at >= newest.this_update)
        }
    };
    match due {
        true => publish(app, issuer).await.map(Some),
        false => Ok(None),
    }
}

/// A signed CRL, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    pub number: i64,
    pub this_update: Timestamp,
    pub next_update: Timestamp,
    pub der: Arc<[u8]>,
}

impl From<CrlRow> for Crl {
    fn from(row: CrlRow) -> Self {
        Self {
            number: row.number,
            this_update: Timestamp::from_unix(row.this_update),
            next_update: Timestamp::from_unix(row.next_update),
            der: row.der.into(),
        }
    }
}

async fn newest(app: &App, issuer: &Issuer) -> Result<Option<Crl>, Error> {
    let issuer_id = issuer.id.clone();
    app.db
        .read(move |conn| Ok::<_, Error>(store::crls::newest(conn, &issuer_id)?.map(Crl::from)))
        .await
}

/// A CRL whose number was taken in a committed transaction; signing consumes it.
#[derive(Debug)]
pub(crate) struct ReservedCrl {
    issuer_id: String,
    number: i64,
    this_update: i64,
    next_update: i64,
    tbs: Vec<u8>,
}

impl ReservedCrl {
    pub(crate) fn issuer_id(&self) -> &str {
        &self.issuer_id
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Joins the list with its signature.
    pub(crate) fn into_signed(self, der: Vec<u8>) -> SignedCrl {
        SignedCrl {
            issuer_id: self.issuer_id,
            number: self.number,
            this_update: self.this_update,
            next_update: self.next_update,
            der,
        }
    }
}

/// A CRL with a signature that was checked.
#[derive(Debug)]
pub(crate) struct SignedCrl {
    issuer_id: String,
    number: i64,
    this_update: i64,
    next_update: i64,
    der: Vec<u8>,
}

/// The only way to a [`ReservedCrl`].
async fn reserve(app: &App, issuer: &Issuer) -> Result<ReservedCrl, Error> {
    let now = app.now();
    let draft = Draft {
        issuer_id: issuer.id.clone(),
        issuer: issuer.certificate.tbs_certificate().subject().clone(),
        key_identifier: issuer.key_identifier.0.clone(),
        signature: issuer.key.algorithm()?.identifier(),
        lifetime: lifetime(issuer),
    };
    app.db
        .write(move |conn| {
            let reserved = draft.decide(conn, now)?;
            let details = serde_json::json!({
                "issuer": reserved.issuer_id,
                "number": reserved.number,
                "tbs_sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(&reserved.tbs)),
            });
            audit::append(conn, now, ACTOR, Action::CrlNumberTaken, &details)?;
            Ok::<_, Error>(reserved)
        })
        .await
}

/// What of a CRL is known before the database is asked.
#[derive(Debug)]
struct Draft {
    issuer_id: String,
    issuer: x509_cert::name::Name,
    key_identifier: OctetString,
    signature: spki::AlgorithmIdentifierOwned,
    lifetime: Span,
}

impl Draft {
    fn decide(&self, conn: &mut AnyConnection, now: Timestamp) -> Result<ReservedCrl, Error> {
        let previous = store::crls::newest(conn, &self.issuer_id)?;
        let previous = previous.map(|crl| Timestamp::from_unix(crl.this_update));
        // A clock that was set back must not make this list look older than the last one.
        let this_update = previous.map_or(now, |previous| previous.max(now));
        let next_update = this_update.plus(self.lifetime);
        // RFC 5280 section 3.3: an entry stays until it has stood on one list made after the certificate expired.
        // The last list was such a one for everything that had expired when it was made.
        let since = previous.unwrap_or(Timestamp::EARLIEST);
        let revoked = store::certificates::revoked(conn, &self.issuer_id, since.unix())?;
        let number = store::issuers::take_crl_number(conn, &self.issuer_id)?;
        let tbs = self.encode(number, this_update, next_update, &revoked)?;
        Ok(ReservedCrl {
            issuer_id: self.issuer_id.clone(),
            number,
            this_update: this_update.unix(),
            next_update: next_update.unix(),
            tbs,
        })
    }

    /// RFC 5280 section 5.1.2. Built by hand, since the key identifier must be the issuer's own.
    fn encode(
        &self,
        number: i64,
        this_update: Timestamp,
        next_update: Timestamp,
        revoked: &[RevokedRow],
    ) -> Result<Vec<u8>, Error> {
        let mut entries = revoked.iter().map(entry).collect::<Result<Vec<RevokedCert>, Error>>()?;
        entries.sort_by(|left, right| left.serial_number.as_bytes().cmp(right.serial_number.as_bytes()));
        let number = CrlNumber(Uint::new(&number.to_be_bytes()).map_err(Error::encoding("the CRL number"))?);
        let authority = AuthorityKeyIdentifier {
            key_identifier: Some(self.key_identifier.clone()),
            ..AuthorityKeyIdentifier::default()
        };
        TbsCertList::<x509_cert::certificate::Rfc5280> {
            version: Version::V2,
            signature: self.signature.clone(),
            issuer: self.issuer.clone(),
            this_update: certificate_time(this_update)?,
            next_update: Some(certificate_time(next_update)?),
            // "MUST be absent" rather than empty (RFC 5280 section 5.1.2.6).
            revoked_certificates: (!entries.is_empty()).then_some(entries),
            crl_extensions: Some(vec![extension(&authority)?, extension(&number)?]),
        }
        .to_der()
        .map_err(Error::encoding("the CRL"))
    }
}

/// One line of the list. The reason is left out when there is none to tell (BR 7.2.2).
fn entry(row: &RevokedRow) -> Result<RevokedCert, Error> {
    let unreadable = |reason: String| Error::Row {
        kind: "certificate",
        id: row.serial.clone(),
        reason,
    };
    let serial = data_encoding::HEXLOWER
        .decode(row.serial.as_bytes())
        .map_err(|error| unreadable(error.to_string()))?;
    let reason = match &row.revocation_reason {
        None => None,
        Some(text) => text
            .parse::<Reason>()
            .map_err(|error| unreadable(error.to_string()))?
            .crl_reason(),
    };
    let crl_entry_extensions = match reason {
        None => None,
        Some(reason) => Some(vec![extension(&reason)?]),
    };
    let revoked_at = row
        .revoked_at
        .ok_or_else(|| unreadable("it is not revoked".to_owned()))?;
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&serial).map_err(|error| unreadable(error.to_string()))?,
        revocation_date: certificate_time(Timestamp::from_unix(revoked_at))?,
        crl_entry_extensions,
    })
}

/// No extension of ours in a CRL is critical: AKI and number must not be (5.2.1, 5.2.3), reasonCode neither (BR 7.2.2).
fn extension<T: Encode + AssociatedOid>(value: &T) -> Result<Extension, Error> {
    let value = value.to_der().map_err(Error::encoding("a CRL extension"))?;
    Ok(Extension {
        extn_id: T::OID,
        critical: false,
        extn_value: OctetString::new(value).map_err(Error::encoding("a CRL extension"))?,
    })
}

fn certificate_time(instant: Timestamp) -> Result<x509_cert::time::Time, Error> {
    instant.to_certificate_time().map_err(|error| Error::InvalidInput {
        field: "time",
        reason: error.to_string(),
    })
}

/// How long a list may be relied upon (BR 4.9.7).
fn lifetime(issuer: &Issuer) -> Span {
    match issuer.kind {
        IssuerKind::Root => ROOT_LIFETIME,
        IssuerKind::Issuing => ISSUING_LIFETIME,
    }
}

/// How old the newest list may become.
fn refresh_period(app: &App, issuer: &Issuer) -> Span {
    match issuer.kind {
        IssuerKind::Root => ROOT_REFRESH,
        IssuerKind::Issuing => Span::hours(i64::from(app.config.issuance.crl_refresh_hours)),
    }
}

/// Who is named in the audit log.
const ACTOR: &str = "crl";
/// BR 4.9.7: nextUpdate at most ten days after thisUpdate, a new list at least every seven days. Seven days and the
/// three that are left would let a week pass in which no list can be made; we stay below both.
const ISSUING_LIFETIME: Span = Span::days(7);
/// BR 4.9.7: at most twelve months, of which the shortest have 365 days.
const ROOT_LIFETIME: Span = Span::days(364);
const ROOT_REFRESH: Span = Span::days(90);
