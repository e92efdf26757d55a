//! `sealwright ca crl`: a new CRL of each issuer.

use super::Failure;
use super::output::{self, Format, Table};
use crate::app::App;
use crate::crl;

pub(super) async fn run(app: &App, format: Format) -> Result<(), Failure> {
    let mut published = Vec::new();
    for issuer in app.issuers().all() {
        for scope in crl::scopes(app, issuer).await? {
            let crl = crl::publish(app, issuer, scope).await?;
            published.push((issuer.id().to_owned(), scope, crl));
        }
    }
    match format {
        Format::Json => {
            let crls: Vec<_> = published
                .iter()
                .map(|(issuer, scope, crl)| {
                    serde_json::json!({
                        "issuer": issuer,
                        "scope": scope.to_string(),
                        "number": crl.number,
                        "this_update": crl.this_update.to_string(),
                        "next_update": crl.next_update.to_string(),
                    })
                })
                .collect();
            output::json(&crls)?;
        }
        Format::Text => {
            let mut table = Table::new(&["ISSUER", "SCOPE", "NUMBER", "THIS UPDATE", "NEXT UPDATE"]);
            for (issuer, scope, crl) in published {
                table.row([
                    issuer,
                    scope.to_string(),
                    crl.number.to_string(),
                    crl.this_update.to_string(),
                    crl.next_update.to_string(),
                ]);
            }
            table.print()?;
        }
    }
    Ok(())
}
