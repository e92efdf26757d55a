//! What operators see of the ACME server.

use crate::accounts::Operator;
use crate::acme::resource::Resource;
use crate::app::App;
use crate::error::Error;

pub use super::account::AcmeAccount;
pub use super::order::ListedOrder;

/// Where clients begin.
///
/// # Errors
/// ca.toml has no section `[acme]`.
pub fn directory(app: &App) -> Result<String, Error> {
    app.acme()?;
    Ok(Resource::Directory.url(app))
}

/// The newest ACME accounts, of one of our accounts or of all.
pub async fn accounts(app: &App, operator: Operator<'_>, account: Option<&str>) -> Result<Vec<AcmeAccount>, Error> {
    super::account::list(app, operator, account).await
}

/// The newest ACME orders, of one ACME account or of all.
pub async fn orders(app: &App, operator: Operator<'_>, acme_account: Option<&str>) -> Result<Vec<ListedOrder>, Error> {
    super::order::list(app, operator, acme_account).await
}

/// A record that has to be in the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    pub name: String,
    pub kind: &'static str,
    pub value: String,
}

impl DnsRecord {
    /// As it stands in a zone file: a text is cut into strings of 255 octets (RFC 1035 section 3.3.14).
    pub fn in_zone_file(&self) -> String {
        match self.kind {
            "TXT" => {
                let strings: Vec<String> = self
                    .value
                    .as_bytes()
                    .chunks(255)
                    .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
                    .collect();
                format!("( {} )", strings.join(" "))
            }
            _ => self.value.clone(),
        }
    }
}

/// The key that challenge mails are signed with, and where replies go.
pub fn dns_records(app: &App) -> Result<Vec<DnsRecord>, Error> {
    let acme = app.acme()?;
    Ok(vec![
        DnsRecord {
            name: acme.signer.record_name(),
            kind: "TXT",
            value: acme.signer.record()?,
        },
        DnsRecord {
            name: acme.settings.mail_from.domain().to_string(),
            kind: "MX",
            value: format!("10 {}.", acme.settings.hostname),
        },
    ])
}
