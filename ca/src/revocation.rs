//! Revocation (BR 4.9): who may, for which reason, and what follows.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use policies::tier::Tier;
use policies::time::Timestamp;
use x509_cert::ext::pkix::CrlReason;

use crate::accounts::{AccountId, Caller, Role};
use crate::app::App;
use crate::audit::{self, Action};
use crate::certificates::{self, Certificate};
use crate::crl::{self, Scope};
use crate::error::Error;
use crate::ocsp;
use crate::store;
use crate::store::certificates::CertificateRow;
use crate::validation::retry_waiting_orders;

/// Revokes a certificate and publishes a new CRL.
///
/// Subscribers and gateways revoke what belongs to their account; operators and officers revoke anything. Revoking
/// again changes nothing and succeeds, except that keyCompromise replaces any other reason, since a key does not
/// become less compromised by having been revoked before (RFC 5280 section 5.3.1). It revokes every certificate of
/// that key, and no other will be issued.
///
/// When the CRL cannot be made now, the certificate is revoked nevertheless and the CRL follows with the next run of
/// [`crate::jobs::refresh_crls`].
pub async fn revoke(app: &Arc<App>, caller: &Caller, serial: &str, reason: Reason) -> Result<Certificate, Error> {
    let (certificate, scopes) = record(app, caller, serial, reason).await?;
    if !scopes.is_empty() {
        publish(app, std::slice::from_ref(&certificate), &scopes).await;
    }
    Ok(certificate)
}

/// The serials of every certificate of an account that is valid now.
pub async fn revocable(app: &App, caller: &Caller, account: &AccountId) -> Result<Vec<String>, Error> {
    let mut query = certificates::Query {
        account: Some(account.to_string()),
        worth: Some(ca_api::CertificateState::Valid),
        ..certificates::Query::default()
    };
    let mut serials = Vec::new();
    loop {
        let page = certificates::list(app, caller, query.clone()).await?;
        let Some(last) = page.last() else { return Ok(serials) };
        query.after = Some(last.id.clone());
        serials.extend(page.into_iter().map(|certificate| certificate.serial));
    }
}

/// Revokes every certificate of an account that is valid now, publishes one CRL and returns the serials.
///
/// `done` is told how many there are so far, and of how many. When one cannot be revoked it stops; those before it are
/// revoked and published, and calling again goes on.
pub async fn revoke_all(
    app: &Arc<App>,
    caller: &Caller,
    account: &AccountId,
    reason: Reason,
    mut done: impl FnMut(usize, usize),
) -> Result<Vec<String>, Error> {
    let serials = revocable(app, caller, account).await?;
    let mut revoked = Vec::new();
    let mut scopes = BTreeSet::new();
    let mut outcome = Ok(());
    for serial in &serials {
        match record(app, caller, serial, reason).await {
            Ok((certificate, of_certificate)) => {
                revoked.push(certificate);
                scopes.extend(of_certificate);
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
        done(revoked.len(), serials.len());
    }
    if !revoked.is_empty() {
        publish(app, &revoked, &scopes).await;
    }
    outcome.map(|()| serials)
}

/// The CRLs that list the revoked certificates, and the orders that may have waited for their seats.
///
/// The revocations are committed: a CRL that cannot be made now is no reason to tell the caller that they failed.
async fn publish(app: &Arc<App>, revoked: &[Certificate], scopes: &BTreeSet<Scope>) {
    for scope in scopes {
        if let Err(error) = crl::publish(app, &app.issuers.issuing, *scope).await {
            let error = crate::error::chain(&error);
            tracing::error!(
                certificates = revoked.len(),
                %scope,
                error,
                "could not publish a CRL after a revocation"
            );
        }
    }
    let freed = revoked.iter().filter(|certificate| certificate.tier == Tier::V4);
    let accounts: HashSet<&AccountId> = freed.map(|certificate| &certificate.account).collect();
    for account in accounts {
        retry_waiting_orders(app, account).await;
    }
}

/// Writes the revocation down, and says which lists have to change at once; none when there is nothing new.
///
/// A certificate that names a shard is looked up there. The complete list, which may be large, follows with the next run of
/// [`crate::jobs::refresh_crls`].
async fn record(
    app: &Arc<App>,
    caller: &Caller,
    serial: &str,
    reason: Reason,
) -> Result<(Certificate, BTreeSet<Scope>), Error> {
    let account = match caller.role {
        Role::Operator | Role::Officer => None,
        Role::Subscriber | Role::Gateway => match &caller.account {
            Some(account) => Some(account.as_ref().to_owned()),
            None => {
                return Err(Error::NotAllowed {
                    role: caller.role.to_string(),
                    name: caller.name.clone(),
                    action: "revoke certificates",
                });
            }
        },
    };
    let now = app.now();
    let issuer_id = app.issuers.issuing.id.clone();
    let serial = serial.to_owned();
    let actor = caller.principal_id.to_string();
    let (row, scopes) = app
        .db
        .write(move |conn| {
            let found = store::certificates::find_by_serial(conn, &issuer_id, &serial)?;
            let row = found
                // Somebody else's certificate does not exist for this caller.
                .filter(|row| account.as_ref().is_none_or(|account| row.account_id == *account))
                .ok_or_else(|| Error::NotFound {
                    kind: "certificate",
                    id: serial.clone(),
                })?;
            if row.not_after < now.unix() {
                return Err(Error::StateChanged {
                    kind: "certificate",
                    id: serial.clone(),
                    expected: "valid, since it expired",
                });
            }
            let reason_text = reason.stored();
            let mut scopes = BTreeSet::from([row.scope()?]);
            match (row.revoked_at, row.revocation_reason.as_deref()) {
                (None, _) => {
                    if !store::certificates::revoke(conn, &row.id, now.unix(), reason_text)? {
                        return Err(Error::StateChanged {
                            kind: "certificate",
                            id: serial.clone(),
                            expected: "unrevoked",
                        });
                    }
                }
                (Some(_), before) if reason == Reason::KeyCompromise && before != reason_text => {
                    store::certificates::set_revocation_reason(conn, &row.id, reason.as_ref())?;
                    // Its date is not new, so that nothing else would tell the complete list.
                    scopes.insert(Scope::Complete);
                }
                (Some(_), _) => return Ok((row, BTreeSet::new())),
            }
            append(conn, now, &actor, &row, reason)?;
            if let (Reason::KeyCompromise, Some(key)) = (reason, &row.spki_sha256) {
                // BR 4.9.1.1 (3) is about the key: nothing else that it is certified with may stay valid, and nothing
                // new is certified with it (BR 6.1.1.3).
                store::subject_keys::mark_compromised(conn, key, &row.serial, now.unix())?;
                for other in store::certificates::unrevoked_of_key(conn, key, now.unix())? {
                    if store::certificates::revoke(conn, &other.id, now.unix(), reason.stored())? {
                        append(conn, now, &actor, &other, reason)?;
                        scopes.insert(other.scope()?);
                    }
                }
            }
            let row = store::certificates::find(conn, &row.id)?;
            let row = row.ok_or_else(|| Error::NotFound {
                kind: "certificate",
                id: serial.clone(),
            })?;
            Ok((row, scopes))
        })
        .await?;
    if !scopes.is_empty() {
        ocsp::notice(app).await;
    }
    Ok((Certificate::from_row(row)?, scopes))
}

fn append(
    conn: &mut migrations::AnyConnection,
    now: Timestamp,
    actor: &str,
    row: &CertificateRow,
    reason: Reason,
) -> Result<(), Error> {
    let details = serde_json::json!({
        "certificate": row.id,
        "serial": row.serial,
        "reason": reason.as_ref(),
    });
    audit::append(conn, now, actor, Action::CertificateRevoked, &details)
}

/// Why a certificate is revoked (RFC 5280 section 5.3.1, as far as BR 7.2.2 lets it stand for subscribers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is told; the CRL entry has no reasonCode.
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

impl Reason {
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// What stands on the CRL; unspecified(0) must be left out (BR 7.2.2).
    pub(crate) fn crl_reason(self) -> Option<CrlReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(CrlReason::KeyCompromise),
            Self::AffiliationChanged => Some(CrlReason::AffiliationChanged),
            Self::Superseded => Some(CrlReason::Superseded),
            Self::CessationOfOperation => Some(CrlReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        }
    }

    /// What stands in the database.
    fn stored(&self) -> Option<&str> {
        match self {
            Self::Unspecified => None,
            other => Some(other.as_ref()),
        }
    }
}

impl AsRef<str> for Reason {
    fn as_ref(&self) -> &str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    /// certificateHold is not among them: it is forbidden for Strict certificates (BR 7.2.2), and a suspension that
    /// can end would take a serial off the list again. The reasons that are left out concern CAs and attribute
    /// authorities.
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_ref() == text)
            .ok_or(UnknownReason)
    }
}

/// The text is not one of [`Reason::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a revocation reason for a subscriber certificate (BR 7.2.2): use unspecified, keyCompromise, \
     affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn"
)]
pub struct UnknownReason;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_back_as_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_ref().parse(), Ok(reason));
        }
    }

    #[test]
    fn reasons_that_may_not_stand_on_a_list_of_subscribers_are_refused() {
        for text in [
            "",
            "certificateHold",
            "removeFromCRL",
            "cACompromise",
            "aACompromise",
            "KeyCompromise",
            "1",
        ] {
            assert_eq!(text.parse::<Reason>(), Err(UnknownReason), "{text}");
        }
    }

    #[test]
    fn unspecified_is_left_out_of_the_list() {
        assert_eq!(Reason::Unspecified.crl_reason(), None);
        assert_eq!(Reason::Unspecified.stored(), None);
    }
}
