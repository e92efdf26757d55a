//! The table `[[sender]]`: who may hand in mail, and for whom it is signed.

use policies::signing::MaySign;
use serde::Deserialize;

use super::network::Network;
use crate::wishes::TrustFields;

/// A network and whose mail may be signed when it comes from there.
///
/// This is authorization from the session: no header field can widen it.
#[derive(Clone, Debug)]
pub struct Sender {
    pub networks: Vec<Network>,
    /// Names of logins at the mail server whose milter this is; either these or the networks suffice.
    pub auth: Vec<String>,
    pub may_sign_for: Vec<MaySign>,
    /// Whether its `X-Sealwright-` fields are obeyed.
    pub fields: TrustFields,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SenderFile {
    #[serde(default)]
    networks: Vec<String>,
    #[serde(default)]
    auth: Vec<String>,
    may_sign_for: Vec<String>,
    #[serde(default)]
    trust_fields: bool,
}

impl SenderFile {
    /// `has_milter`: whether there is a mail server that could tell who has logged in.
    pub(super) fn check(self, has_milter: bool) -> Result<Sender, String> {
        let may_sign_for = may_sign(&self.may_sign_for);
        let may_sign_for = may_sign_for.map_err(|reason| format!("[[sender]] may_sign_for: {reason}"))?;
        let networks = self
            .networks
            .iter()
            .map(|network| network.parse())
            .collect::<Result<Vec<Network>, _>>();
        let networks = networks.map_err(|reason| format!("[[sender]] networks: {reason}"))?;
        if networks.is_empty() && self.auth.is_empty() {
            return Err("[[sender]]: name at least one network or login (auth)".to_owned());
        }
        if self.auth.iter().any(String::is_empty) {
            return Err("[[sender]] auth: a login has no name".to_owned());
        }
        if !self.auth.is_empty() && !has_milter {
            return Err(
                "[[sender]] auth: logins are told by a mail server to the [milter], and there is none".to_owned(),
            );
        }
        Ok(Sender {
            networks,
            auth: self.auth,
            may_sign_for,
            fields: if self.trust_fields {
                TrustFields::Obey
            } else {
                TrustFields::Ignore
            },
        })
    }
}

pub(super) fn may_sign<'t>(texts: impl IntoIterator<Item = &'t String>) -> Result<Vec<MaySign>, String> {
    texts
        .into_iter()
        .map(|text| text.parse().map_err(|error| format!("{text:?}: {error}")))
        .collect()
}
