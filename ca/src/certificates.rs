//! Issued certificates, as callers see them.

use policies::key_use::KeyUse;
use policies::mailbox::Mailbox;
use policies::tier::{Generation, Tier};
use policies::time::Timestamp;

use crate::accounts::{AccountId, Caller, Role};
use crate::app::App;
use crate::error::Error;
use crate::issuers;
use crate::revocation::Reason;
use crate::store;
pub use crate::store::certificates::CertificateState;
use crate::store::certificates::{CertificateRow, Filter};

/// One certificate and what became of it.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub id: String,
    /// Lower-case hexadecimal, without leading zeros beyond the octet.
    pub serial: String,
    pub issuer_id: String,
    pub account: AccountId,
    pub order_id: String,
    pub tier: Tier,
    pub generation: Generation,
    pub key_use: KeyUse,
    pub mailbox: String,
    /// RFC 4514.
    pub subject: String,
    pub state: CertificateState,
    /// The DER, once signed, checked and stored.
    pub der: Option<Vec<u8>>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub revocation_reason: Option<Reason>,
}

impl Certificate {
    pub(crate) fn from_row(row: CertificateRow) -> Result<Self, Error> {
        let reason = match &row.revocation_reason {
            None => row.revoked_at.map(|_| Reason::Unspecified),
            Some(text) => Some(text.parse().map_err(|_| Error::Row {
                kind: "certificate",
                id: row.id.clone(),
                reason: format!("{text:?} is not a revocation reason"),
            })?),
        };
        Ok(Self {
            account: AccountId::from_stored(row.account_id),
            tier: row.tier.0,
            generation: row.generation.0,
            key_use: row.key_use.0,
            state: row.state.0,
            not_before: Timestamp::from_unix(row.not_before),
            not_after: Timestamp::from_unix(row.not_after),
            revoked_at: row.revoked_at.map(Timestamp::from_unix),
            revocation_reason: reason,
            id: row.id,
            serial: row.serial,
            issuer_id: row.issuer_id,
            order_id: row.order_id,
            mailbox: row.mailbox,
            subject: row.subject,
            der: row.certificate,
        })
    }

    /// The certificate in PEM, once there is one.
    pub fn pem(&self) -> Option<String> {
        self.der.as_deref().map(|der| issuers::pem("CERTIFICATE", der))
    }
}

/// The certificate, its issuing certificate and nothing above: what a message or a server sends along, in PEM.
pub(crate) fn chain_pem(app: &App, der: &[u8]) -> String {
    let mut chain = issuers::pem("CERTIFICATE", der);
    chain.push_str(&app.issuers.issuing.certificate_pem());
    chain
}

/// A certificate of ours by its serial, if the caller may see it.
pub async fn find(app: &App, caller: &Caller, serial: &str) -> Result<Certificate, Error> {
    let account = visible_account(caller)?;
    let not_found = Error::NotFound {
        kind: "certificate",
        id: serial.to_owned(),
    };
    let issuer_id = app.issuers.issuing.id.clone();
    let serial = serial.to_owned();
    let row = app
        .db
        .read(move |conn| Ok::<_, Error>(store::certificates::find_by_serial(conn, &issuer_id, &serial)?))
        .await?;
    match row {
        Some(row) if account.is_none_or(|account| row.account_id == account.as_ref()) => Certificate::from_row(row),
        _ => Err(not_found),
    }
}

/// What [`list`] leaves out, and where it begins.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub mailbox: Option<Mailbox>,
    pub tier: Option<Tier>,
    pub key_use: Option<KeyUse>,
    /// Only those of this account, for callers who see more than one.
    pub account: Option<String>,
    /// What the certificate is worth now.
    pub worth: Option<ca_api::CertificateState>,
    /// The identifier of the last certificate of the page before.
    pub after: Option<String>,
    /// At most a hundred; that many when zero.
    pub limit: u32,
}

/// Certificates that the caller may see, in the order of issuance.
pub async fn list(app: &App, caller: &Caller, query: Query) -> Result<Vec<Certificate>, Error> {
    let own = visible_account(caller)?.map(|account| account.as_ref().to_owned());
    let account_id = match (own, query.account) {
        // Another account has no certificates for this caller.
        (Some(own), Some(wanted)) if own != wanted => return Ok(Vec::new()),
        (own, wanted) => own.or(wanted),
    };
    let filter = Filter {
        account_id,
        mailbox: query.mailbox.map(|mailbox| mailbox.as_ref().to_owned()),
        tier: query.tier,
        key_use: query.key_use,
        worth: query.worth.map(|worth| (worth, app.now().unix())),
        ..Filter::default()
    };
    let limit = match query.limit {
        1..=MOST_PER_PAGE => i64::from(query.limit),
        _ => i64::from(MOST_PER_PAGE),
    };
    let after = query.after;
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::certificates::page(conn, &filter, after.as_deref(), limit)?))
        .await?;
    rows.into_iter().map(Certificate::from_row).collect()
}

/// The identifiers of the proofs a certificate rests on.
pub async fn evidence(app: &App, certificate: &Certificate) -> Result<Vec<String>, Error> {
    let id = certificate.id.clone();
    app.db
        .read(move |conn| Ok::<_, Error>(store::certificates::evidence_of(conn, &id)?))
        .await
}

/// The account a caller is confined to; `None` for those who see everything.
pub(crate) fn visible_account(caller: &Caller) -> Result<Option<&AccountId>, Error> {
    match (caller.role, &caller.account) {
        (Role::Operator | Role::Officer, _) => Ok(None),
        (Role::Subscriber | Role::Gateway, Some(account)) => Ok(Some(account)),
        (Role::Subscriber | Role::Gateway, None) => Err(Error::NotAllowed {
            role: caller.role.to_string(),
            name: caller.name.clone(),
            action: "see certificates without an account",
        }),
    }
}

const MOST_PER_PAGE: u32 = 100;
