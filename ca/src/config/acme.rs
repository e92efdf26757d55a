//! `[acme]`: the ACME server.

use std::net::SocketAddr;

use policies::mailbox::Mailbox;
use serde::Deserialize;

use crate::acme::dkim::ReplyFields;

/// The ACME server (RFC 8555, RFC 8823).
#[derive(Clone, Debug)]
pub struct Acme {
    /// Challenge mails come from this address with a tag behind a plus sign, and replies go there.
    pub mail_from: Mailbox,
    /// Where replies arrive by SMTP: what the MX record of the domain of `mail_from` leads to.
    pub listen: SocketAddr,
    /// How the receiver of replies greets.
    pub hostname: String,
    /// Under which name below `_domainkey` the public key is published that challenge mails are signed with.
    pub dkim_selector: String,
    /// Which header fields of a reply its DKIM signature has to cover.
    pub reply_fields: ReplyFields,
    /// What clients have to agree to, and where they can read it.
    pub terms_of_service: Option<String>,
    /// Where people read about the authority.
    pub website: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcmeSection {
    mail_from: String,
    #[serde(default = "default_acme_listen")]
    listen: SocketAddr,
    hostname: Option<String>,
    #[serde(default = "default_dkim_selector")]
    dkim_selector: String,
    #[serde(default)]
    reply_fields: ReplyFields,
    terms_of_service: Option<String>,
    website: Option<String>,
}

impl AcmeSection {
    pub(super) fn check(self) -> Result<Acme, String> {
        let mail_from = Mailbox::parse(&self.mail_from)
            .map_err(|error| format!("acme.mail_from {:?} is not usable: {error}", self.mail_from))?;
        if !mail_from.is_ascii_local() || mail_from.local_part().contains('+') || mail_from.local_part().len() > 30 {
            return Err(
                "acme.mail_from must have at most 30 ASCII characters and no plus sign before the \"@\": a tag is put there"
                    .to_owned(),
            );
        }
        let is_label = |text: &str| {
            !text.is_empty()
                && text.len() <= 63
                && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        };
        if !is_label(&self.dkim_selector) {
            return Err("acme.dkim_selector must be letters, digits and hyphens".to_owned());
        }
        for (key, url) in [("terms_of_service", &self.terms_of_service), ("website", &self.website)] {
            if url
                .as_ref()
                .is_some_and(|url| !url.starts_with("https://") || !url.bytes().all(|octet| octet.is_ascii_graphic()))
            {
                return Err(format!("acme.{key} must be a URL that begins with https://"));
            }
        }
        Ok(Acme {
            hostname: self.hostname.unwrap_or_else(|| mail_from.domain().to_string()),
            mail_from,
            listen: self.listen,
            dkim_selector: self.dkim_selector,
            reply_fields: self.reply_fields,
            terms_of_service: self.terms_of_service,
            website: self.website,
        })
    }
}

fn default_acme_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 2525))
}

fn default_dkim_selector() -> String {
    "sealwright".to_owned()
}
