//! A small client: one method per endpoint, HTTPS only, one trust root.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use policies::mailbox::Mailbox;
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cases::CaseList;
use crate::{
    Account, AccountPlan, Case, Certificate, CertificateFilter, CertificatePage, Challenge, DirectoryEntry, Document,
    DomainChallenge, DomainChallengeList, IssuedToken, MailboxStanding, NewAccount, NewCase, NewChallenge, NewDecision,
    NewDomainChallenge, NewEvidence, NewOrder, NewPrincipal, Order, PlanChange, Problem, Revocation, Roster,
    RosterDecision, RosterReport, WhoAmI,
};

/// Speaks to one certificate authority with one token. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: header::HeaderValue,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// `url` is that of the API (`https://…`, a path is kept as prefix), `trust_roots_pem` the PEM certificates that
    /// may vouch for its TLS certificate, and no other does.
    pub fn new(url: &str, trust_roots_pem: &[u8], token: &str) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trust_roots_pem) {
            let certificate = certificate.map_err(|error| ClientError::TrustRoots {
                reason: error.to_string(),
            })?;
            roots.add(certificate).map_err(|error| ClientError::TrustRoots {
                reason: error.to_string(),
            })?;
        }
        if roots.is_empty() {
            return Err(ClientError::TrustRoots {
                reason: "no certificate in it".to_owned(),
            });
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::TrustRoots {
                reason: error.to_string(),
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::with_tls(url, tls, token)
    }

    /// As [`Client::new`], with TLS settings of the caller's own.
    pub fn with_tls(url: &str, tls: rustls::ClientConfig, token: &str) -> Result<Self, ClientError> {
        let invalid = |reason: &str| ClientError::Url {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        let base = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
        if base.scheme() != "https" {
            return Err(invalid("it must begin with https://, since the token goes over it"));
        }
        if base.query().is_some() || base.fragment().is_some() || base.has_authority() && !base.username().is_empty() {
            return Err(invalid("it must not have a user, a query or a fragment"));
        }
        let mut authorization =
            header::HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| ClientError::Token)?;
        if token.trim().is_empty() {
            return Err(ClientError::Token);
        }
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // A redirect would carry the token to somebody else, a proxy from the environment would see who asks.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("sealwright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| ClientError::Unreachable {
                url: url.to_owned(),
                source,
            })?;
        Ok(Self {
            http,
            base,
            authorization,
        })
    }

    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.get(&["v1", "whoami"]).await
    }

    pub async fn create_account(&self, account: &NewAccount) -> Result<Account, ClientError> {
        self.post(&["v1", "accounts"], account).await
    }

    pub async fn plan(&self, account: &str) -> Result<AccountPlan, ClientError> {
        self.get(&["v1", "accounts", account, "plan"]).await
    }

    pub async fn change_plan(&self, account: &str, change: &PlanChange) -> Result<AccountPlan, ClientError> {
        let path = ["v1", "accounts", account, "plan"];
        self.json(self.request(Method::PATCH, &path)?.json(change)).await
    }

    pub async fn create_principal(&self, principal: &NewPrincipal) -> Result<IssuedToken, ClientError> {
        self.post(&["v1", "principals"], principal).await
    }

    pub async fn create_challenge(&self, challenge: &NewChallenge) -> Result<Challenge, ClientError> {
        self.post(&["v1", "challenges"], challenge).await
    }

    pub async fn challenge(&self, id: &str) -> Result<Challenge, ClientError> {
        self.get(&["v1", "challenges", id]).await
    }

    pub async fn begin_domain(&self, challenge: &NewDomainChallenge) -> Result<DomainChallenge, ClientError> {
        self.post(&["v1", "domains"], challenge).await
    }

    pub async fn domain(&self, id: &str) -> Result<DomainChallenge, ClientError> {
        self.get(&["v1", "domains", id]).await
    }

    pub async fn domains(&self) -> Result<DomainChallengeList, ClientError> {
        self.get(&["v1", "domains"]).await
    }

    /// Has the authority look now; the answer's state says what it found.
    pub async fn check_domain(&self, id: &str) -> Result<DomainChallenge, ClientError> {
        self.json(self.request(Method::POST, &["v1", "domains", id, "check"])?)
            .await
    }

    pub async fn open_case(&self, case: &NewCase) -> Result<Case, ClientError> {
        self.post(&["v1", "cases"], case).await
    }

    pub async fn case(&self, id: &str) -> Result<Case, ClientError> {
        self.get(&["v1", "cases", id]).await
    }

    pub async fn cases(&self, cursor: Option<&str>) -> Result<CaseList, ClientError> {
        let query: Vec<_> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        self.json(self.request_with_query(Method::GET, &["v1", "cases"], &query)?)
            .await
    }

    pub async fn add_document(
        &self,
        case: &str,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<Document, ClientError> {
        let path = ["v1", "cases", case, "documents"];
        let request = self.request_with_query(Method::POST, &path, &[("name", name)])?;
        self.json(request.header(header::CONTENT_TYPE, media_type).body(content))
            .await
    }

    /// The content of a document, for officers.
    pub async fn document(&self, case: &str, document: &str) -> Result<Vec<u8>, ClientError> {
        let request = self.request(Method::GET, &["v1", "cases", case, "documents", document])?;
        self.bytes(request).await
    }

    pub async fn record_evidence(&self, case: &str, evidence: &NewEvidence) -> Result<Case, ClientError> {
        self.post(&["v1", "cases", case, "evidence"], evidence).await
    }

    pub async fn decide(&self, case: &str, decision: &NewDecision) -> Result<Case, ClientError> {
        self.post(&["v1", "cases", case, "decisions"], decision).await
    }

    /// Hands in the employees of the caller's organization as CSV, or only has them checked.
    pub async fn import_roster(&self, file: Vec<u8>, dry_run: bool) -> Result<RosterReport, ClientError> {
        let query: &[(&str, &str)] = if dry_run { &[("dry_run", "true")] } else { &[] };
        let request = self.request_with_query(Method::POST, &["v1", "rosters"], query)?;
        self.json(request.header(header::CONTENT_TYPE, "text/csv").body(file))
            .await
    }

    pub async fn roster(&self, id: &str) -> Result<Roster, ClientError> {
        self.get(&["v1", "rosters", id]).await
    }

    pub async fn decide_roster(&self, id: &str, decision: &RosterDecision) -> Result<Roster, ClientError> {
        self.post(&["v1", "rosters", id, "decision"], decision).await
    }

    /// Places an order. With an idempotency key the call can be repeated until it is answered.
    pub async fn place_order(&self, order: &NewOrder, idempotency_key: Option<&str>) -> Result<Order, ClientError> {
        let mut request = self.request(Method::POST, &["v1", "orders"])?.json(order);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        self.json(request).await
    }

    pub async fn order(&self, id: &str) -> Result<Order, ClientError> {
        self.get(&["v1", "orders", id]).await
    }

    pub async fn certificates(&self, filter: &CertificateFilter) -> Result<CertificatePage, ClientError> {
        let mailbox = filter.mailbox.as_ref().map(Mailbox::to_string);
        let tier = filter.tier.map(|tier| tier.to_string());
        let key_use = filter.key_use.map(|key_use| key_use.to_string());
        let query: Vec<_> = [
            ("mailbox", mailbox.as_deref()),
            ("state", filter.state.as_ref().map(AsRef::as_ref)),
            ("tier", tier.as_deref()),
            ("use", key_use.as_deref()),
            ("account", filter.account.as_deref()),
            ("cursor", filter.cursor.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        self.json(self.request_with_query(Method::GET, &["v1", "certificates"], &query)?)
            .await
    }

    pub async fn certificate(&self, serial: &str) -> Result<Certificate, ClientError> {
        self.get(&["v1", "certificates", serial]).await
    }

    pub async fn revoke(&self, serial: &str, revocation: &Revocation) -> Result<Certificate, ClientError> {
        self.post(&["v1", "certificates", serial, "revocation"], revocation)
            .await
    }

    pub async fn mailbox(&self, mailbox: &Mailbox) -> Result<MailboxStanding, ClientError> {
        let mailbox = mailbox.to_string();
        self.get(&["v1", "mailboxes", &mailbox]).await
    }

    /// The certificates to encrypt to an address with; [`ClientError::Refused`] with 404 when there are none.
    pub async fn directory(&self, mailbox: &Mailbox) -> Result<DirectoryEntry, ClientError> {
        let mailbox = mailbox.to_string();
        self.get(&["v1", "directory", &mailbox]).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path)?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path)?.json(body)).await
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, ClientError> {
        self.request_with_query(method, path, &[])
    }

    fn request_with_query(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            // `extend` percent-encodes each segment and would drop "." and "..", which would name another resource.
            Ok(mut segments) if !path.iter().any(|segment| matches!(*segment, "" | "." | "..")) => {
                segments.pop_if_empty().extend(path);
            }
            _ => {
                return Err(ClientError::Url {
                    url: path.join("/"),
                    reason: "an identifier in it is empty or made of dots".to_owned(),
                });
            }
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self
            .http
            .request(method, url)
            .header(header::AUTHORIZATION, self.authorization.clone()))
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let body = self.bytes(request).await?;
        serde_json::from_slice(&body).map_err(|source| ClientError::Answer {
            url: self.base.to_string(),
            source,
        })
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let unreachable = |source: reqwest::Error| ClientError::Unreachable {
            url: self.base.to_string(),
            // The path may hold an address; the base says enough.
            source: source.without_url(),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(ClientError::TooLarge {
                    url: self.base.to_string(),
                    limit: LARGEST_ANSWER,
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Status {
                url: self.base.to_string(),
                status: status.as_u16(),
            }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Why a call has no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("the address {url:?} of the certificate authority is not usable: {reason}")]
    Url { url: String, reason: String },
    #[error("the trust roots for the certificate authority are not usable: {reason}; give its TLS root as PEM")]
    TrustRoots { reason: String },
    #[error("the token is not usable: it must be one line of visible ASCII characters")]
    Token,
    #[error("the certificate authority at {url} cannot be reached: check that it runs, its address and its TLS root")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// The authority answered, with a reason.
    #[error("the certificate authority refused: {0}")]
    Refused(Box<Problem>),
    /// Something else answered, perhaps a proxy in between.
    #[error("{url} answered with status {status} and nothing that explains it: is it the certificate authority?")]
    Status { url: String, status: u16 },
    #[error("the answer of {url} is not what this version understands: compare the versions of both sides")]
    Answer {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the answer of {url} is larger than {limit} octets and was not read")]
    TooLarge { url: String, limit: usize },
}

impl ClientError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_builder(),
            Self::Refused(problem) => is_temporary_status(problem.status),
            Self::Status { status, .. } => is_temporary_status(*status),
            Self::Url { .. } | Self::TrustRoots { .. } | Self::Token | Self::Answer { .. } | Self::TooLarge { .. } => {
                false
            }
        }
    }

    /// The explanation of the authority, if it gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

/// RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4, and every failure on the server's side.
fn is_temporary_status(status: u16) -> bool {
    matches!(StatusCode::from_u16(status), Ok(status) if status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A certificate is there well within a second; a slow disk and a full queue get half a minute.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest document is 10 MiB; everything else is far smaller.
const LARGEST_ANSWER: usize = 12 * 1024 * 1024;
