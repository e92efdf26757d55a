//! `sealwright gateway token …`: who may use the HTTP API.

use std::sync::Arc;

use clap::Subcommand;
use policies::signing::MaySign;
use policies::time::{Clock, Timestamp};
use serde_json::json;

use super::{Data, Failure};
use crate::gateway::{Gateway, GatewayParts};
use crate::tokens;

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token; it is shown this once.
    Add {
        #[command(flatten)]
        data: Data,
        /// What it is for, such as the name of a system.
        #[arg(value_name = "NAME")]
        name: String,
        /// A mailbox, a domain, or .example.com for the domains below it; may be given several times.
        #[arg(long, value_name = "WHOM", required = true)]
        may_sign_for: Vec<String>,
    },
    /// List the tokens, without their secrets.
    List(Data),
    /// End a token at once.
    Revoke {
        #[command(flatten)]
        data: Data,
        /// As `list` shows it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

pub(super) async fn run(command: &Token, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    match command {
        Token::Add {
            data,
            name,
            may_sign_for,
        } => add(data, name, may_sign_for, clock).await,
        Token::List(data) => list(data, clock).await,
        Token::Revoke { data, id } => revoke(data, id, clock).await,
    }
}

async fn add(data: &Data, name: &str, may_sign_for: &[String], clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let may_sign_for = may_sign_for
        .iter()
        .map(|text| text.parse().map_err(|error| format!("--may-sign-for {text}: {error}")))
        .collect::<Result<Vec<MaySign>, _>>()?;
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    let token = tokens::add(&gateway, name, &may_sign_for).await?;
    if data.json {
        println!("{}", json!({ "name": name, "token": token.expose() }));
    } else {
        println!("{}", token.expose());
        eprintln!("This is the token of {name}. It is not shown again.");
    }
    Ok(())
}

async fn list(data: &Data, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    let rows = tokens::list(&gateway).await?;
    if data.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.id,
                    "name": row.name,
                    "may_sign_for": row.may_sign_for.split(' ').collect::<Vec<_>>(),
                    "created_at": tokens::made_at(row).to_string(),
                    "revoked_at": row.revoked_at.map(|at| Timestamp::from_unix(at).to_string()),
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else if rows.is_empty() {
        println!("There are no tokens.");
    } else {
        for row in rows {
            let state = if row.revoked_at.is_some() { "revoked" } else { "valid" };
            println!(
                "{}  {}  {}  {}  since {}",
                row.id,
                state,
                row.name,
                row.may_sign_for,
                tokens::made_at(&row)
            );
        }
    }
    Ok(())
}

async fn revoke(data: &Data, id: &str, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&data.folder, GatewayParts::production(clock)).await?;
    if !tokens::revoke(&gateway, id).await? {
        return Err(
            format!("there is no valid token {id:?}; `sealwright gateway token list` shows which there are").into(),
        );
    }
    if data.json {
        println!("{}", json!({ "revoked": id }));
    } else {
        println!("The token {id} is not accepted any more.");
    }
    Ok(())
}
