//! `/v1/accounts`, `/v1/principals`, `/v1/whoami`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::accounts::{self, Account, AccountId, Caller, NewPrincipal, Principal};
use crate::app::App;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;

pub(super) async fn create_account(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(new): JsonBody<ca_api::NewAccount>,
) -> Result<(StatusCode, Json<ca_api::Account>), HttpProblem> {
    let operator = caller.as_operator("create accounts")?;
    let account = accounts::create_account(&app, operator, &new.name, new.kind).await?;
    Ok((StatusCode::CREATED, Json(account_on_the_wire(account))))
}

pub(super) async fn list_accounts(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<ca_api::Account>>, HttpProblem> {
    let accounts = accounts::list_accounts(&app, caller.as_operator("list accounts")?).await?;
    Ok(Json(accounts.into_iter().map(account_on_the_wire).collect()))
}

pub(super) async fn create_principal(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(new): JsonBody<ca_api::NewPrincipal>,
) -> Result<(StatusCode, Json<ca_api::IssuedToken>), HttpProblem> {
    let operator = caller.as_operator("create principals")?;
    let new = NewPrincipal {
        name: new.name,
        role: new.role,
        account: new.account,
        expires_at: new.expires_at,
    };
    let (principal, token) = accounts::create_principal(&app, operator, new).await?;
    let principal = principal_on_the_wire(principal);
    Ok((
        StatusCode::CREATED,
        Json(ca_api::IssuedToken {
            principal,
            token: token.reveal().to_owned(),
        }),
    ))
}

pub(super) async fn revoke_tokens(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(principal): Path<String>,
) -> Result<StatusCode, HttpProblem> {
    accounts::revoke_tokens(&app, caller.as_operator("revoke tokens")?, &principal).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn show_caller(caller: Caller) -> Json<ca_api::WhoAmI> {
    Json(ca_api::WhoAmI {
        principal: caller.principal_id.to_string(),
        name: caller.name,
        role: caller.role,
        account: caller.account.as_ref().map(AccountId::to_string),
    })
}

fn account_on_the_wire(account: Account) -> ca_api::Account {
    ca_api::Account {
        id: account.id.to_string(),
        name: account.name,
        kind: account.kind,
        created_at: account.created_at,
    }
}

fn principal_on_the_wire(principal: Principal) -> ca_api::Principal {
    ca_api::Principal {
        id: principal.id.to_string(),
        name: principal.name,
        role: principal.role,
        account: principal.account.as_ref().map(AccountId::to_string),
        created_at: principal.created_at,
    }
}
