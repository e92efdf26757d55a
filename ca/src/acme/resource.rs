//! Where resources are: every URL that is handed out, and what a URL of ours names.

use crate::app::App;

/// What lies under `/acme/`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource<'a> {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    NewAuthorization,
    RevokeCert,
    KeyChange,
    RenewalInfo,
    Account(&'a str),
    Orders(&'a str),
    Order(&'a str),
    Finalize(&'a str),
    Certificate(&'a str),
    Authorization(&'a str),
    Challenge(&'a str),
    DomainAuthorization(&'a str),
    /// With the name of the challenge.
    DomainChallenge(&'a str, &'a str),
}

impl Resource<'_> {
    /// The path, with the identifier in its place.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Directory => "/acme/directory".to_owned(),
            Self::NewNonce => "/acme/new-nonce".to_owned(),
            Self::NewAccount => "/acme/new-account".to_owned(),
            Self::NewOrder => "/acme/new-order".to_owned(),
            Self::NewAuthorization => "/acme/new-authz".to_owned(),
            Self::RevokeCert => "/acme/revoke-cert".to_owned(),
            Self::KeyChange => "/acme/key-change".to_owned(),
            Self::RenewalInfo => "/acme/renewal-info".to_owned(),
            Self::Account(id) => format!("/acme/account/{id}"),
            Self::Orders(id) => format!("/acme/account/{id}/orders"),
            Self::Order(id) => format!("/acme/order/{id}"),
            Self::Finalize(id) => format!("/acme/order/{id}/finalize"),
            Self::Certificate(id) => format!("/acme/certificate/{id}"),
            Self::Authorization(id) => format!("/acme/authorization/{id}"),
            Self::Challenge(id) => format!("/acme/challenge/{id}"),
            Self::DomainAuthorization(id) => format!("/acme/domain-authorization/{id}"),
            Self::DomainChallenge(id, challenge) => format!("/acme/domain-authorization/{id}/{challenge}"),
        }
    }

    /// The absolute URL, as clients know and sign it.
    pub(crate) fn url(self, app: &App) -> String {
        format!("{}{}", app.api_url(), self.path())
    }
}

/// The identifier in the URL of an account of ours.
pub(crate) fn account_id<'u>(app: &App, url: &'u str) -> Option<&'u str> {
    let id = url
        .strip_prefix(&app.api_url())
        .and_then(|path| path.strip_prefix("/acme/account/"))?;
    let is_one = !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    is_one.then_some(id)
}
