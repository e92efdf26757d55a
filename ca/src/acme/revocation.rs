//! Revoking (RFC 8555 section 7.6): by the account that ordered the certificate, or by who holds its key.

use std::sync::Arc;

use der::Decode;
use serde::Deserialize;
use x509_cert::certificate::Certificate;

use super::jwk::Jwk;
use super::problem::{ErrorType, Outcome, Refusal};
use super::request::ByEither;
use crate::accounts::{AccountId, Caller, PrincipalId, Role};
use crate::app::App;
use crate::error::Error;
use crate::revocation::{self, Reason};
use crate::store;

#[derive(Debug, Deserialize)]
struct Revocation {
    certificate: String,
    reason: Option<u32>,
}

/// Revokes the certificate that the request carries.
pub(crate) async fn revoke(app: &Arc<App>, request: &ByEither) -> Outcome<()> {
    let wanted: Revocation = match request {
        ByEither::Account(request) => request.read()?,
        ByEither::Key(request) => request.read()?,
    };
    let reason = reason(wanted.reason)?;
    let der = data_encoding::BASE64URL_NOPAD
        .decode(wanted.certificate.as_bytes())
        .map_err(|_| Refusal::malformed("certificate is not base64url without padding"))?;
    let certificate =
        Certificate::from_der(&der).map_err(|_| Refusal::malformed("certificate is not DER of a certificate"))?;
    let serial = data_encoding::HEXLOWER.encode(certificate.tbs_certificate().serial_number().as_bytes());
    let issuer = app.issuers.issuing.id.clone();
    let row = {
        let serial = serial.clone();
        app.db
            .read(move |conn| Ok::<_, Error>(store::certificates::find_by_serial(conn, &issuer, &serial)?))
            .await?
    };
    // The very certificate, not only its number.
    let row = row
        .filter(|row| row.certificate.as_deref() == Some(&*der))
        .ok_or(Refusal::NotFound)?;
    let caller = match request {
        ByEither::Account(request) => {
            let (acme_account, order) = (request.account.id.clone(), row.order_id.clone());
            let own = app
                .db
                .read(move |conn| Ok::<_, Error>(store::acme_orders::has_ordered(conn, &acme_account, &order)?))
                .await?;
            if !own {
                return Err(Refusal::unauthorized("the certificate was not ordered by this account"));
            }
            request.account.caller()
        }
        ByEither::Key(request) => {
            let key = certificate.tbs_certificate().subject_public_key_info();
            if !Jwk::from_public_key(key).is_some_and(|key| key.is(&request.key)) {
                return Err(Refusal::unauthorized(
                    "the request is not signed with the key of the certificate",
                ));
            }
            Caller {
                principal_id: PrincipalId::from_stored("holder-of-the-key".to_owned()),
                account: Some(AccountId::from_stored(row.account_id.clone())),
                role: Role::Subscriber,
                name: "holder of the certificate's key".to_owned(),
            }
        }
    };
    if row.revoked_at.is_some() {
        return Err(Refusal::new(
            ErrorType::AlreadyRevoked,
            "the certificate is revoked already",
        ));
    }
    match revocation::revoke(app, &caller, &serial, reason).await {
        Ok(_) => Ok(()),
        Err(Error::StateChanged { .. }) => Err(Refusal::malformed("the certificate has expired")),
        Err(error) => Err(error.into()),
    }
}

/// The numbers of RFC 5280 section 5.3.1, as far as BR 7.2.2 lets them stand for subscribers.
fn reason(code: Option<u32>) -> Outcome<Reason> {
    Ok(match code {
        None | Some(0) => Reason::Unspecified,
        Some(1) => Reason::KeyCompromise,
        Some(3) => Reason::AffiliationChanged,
        Some(4) => Reason::Superseded,
        Some(5) => Reason::CessationOfOperation,
        Some(9) => Reason::PrivilegeWithdrawn,
        Some(_) => {
            return Err(super::problem::Problem::new(
                ErrorType::BadRevocationReason,
                "the reason is not one for a subscriber certificate: use 0, 1, 3, 4, 5 or 9",
            )
            .in_section("7.2.2")
            .into());
        }
    })
}
