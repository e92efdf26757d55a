//! Why the certificate authority did not do what it was asked to.
//!
//! `Display` says what happened here and what to do about it; the cause is in `source()`.

use std::path::PathBuf;

use policies::lint::Finding;
use policies::time::Timestamp;

/// Every way in which a call into this crate fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- what the caller sent
    /// The caller may not do this, or not to this thing.
    #[error(
        "{role} {name:?} may not {action}: ask an operator of the certificate authority for a token with another role"
    )]
    NotAllowed {
        role: String,
        name: String,
        action: &'static str,
    },

    /// There is no such thing, or it belongs to another account.
    #[error("there is no {kind} {id:?}: check the identifier and the account of the token")]
    NotFound { kind: &'static str, id: String },

    /// A field of a request is not what it has to be.
    #[error("{field} is not usable: {reason}")]
    InvalidInput { field: &'static str, reason: String },

    /// The PKCS#10 request cannot be read, or is not signed by its own key (RFC 2986).
    #[error(
        "the certificate request is not usable: {reason}; send a DER PKCS#10 request signed with the key it carries"
    )]
    CertificateRequest { reason: String },

    /// The key is of a kind or size that no certificate here may carry (BR 6.1.5), has bad parameters (BR 6.1.6), or can
    /// be computed by anybody (BR 6.1.1.3).
    #[error(
        "the public key is not allowed (BR {section}): {reason}; make a new P-256, P-384 or RSA key of 2048, 3072 or \
         4096 bits with current software"
    )]
    KeyNotAllowed { section: &'static str, reason: String },

    /// The key was reported as compromised with an earlier certificate (BR 6.1.1.3, by way of 4.9.1.1).
    #[error(
        "the public key was reported as compromised with certificate {serial} (BR 6.1.1.3, 4.9.1.1): make a new key"
    )]
    KeyCompromised { serial: String },

    /// The key is in a certificate of another account (BR 6.1.1.3).
    #[error(
        "the public key is certified for another subscriber already (BR 6.1.1.3): make a new key, on a machine with good \
         randomness, and give it to nobody"
    )]
    KeyOfAnotherSubscriber,

    /// The key is on a list of keys that were generated weakly (BR 6.1.1.3).
    #[error(
        "the public key is on a list of keys that anybody can compute, such as Debian's of 2008 (BR 6.1.1.3): make a new \
         key with current software"
    )]
    KeyListedAsWeak,

    /// The same idempotency key came with another request.
    #[error("the idempotency key {key:?} was used for another order ({order}): use a new key for a new order")]
    IdempotencyKeyReused { key: String, order: String },

    /// There is no token with the request, or none that counts. The reason is for the log.
    #[error(
        "the token is missing or not valid ({reason}): send `Authorization: Bearer …` with a token of this certificate authority"
    )]
    Unauthenticated { reason: &'static str },

    /// More of something than anybody needs.
    #[error("there are too many {what}: at most {limit}; {advice}")]
    TooMany {
        what: &'static str,
        limit: usize,
        advice: &'static str,
    },

    /// The address cannot be written into a mail.
    #[error("no mail can be addressed to {address:?}: {reason}")]
    MailAddress { address: String, reason: String },

    // ---- what the rules say
    /// DESIGN invariant 6: nobody approves what they asked for.
    #[error("{officer:?} opened the case {case:?} and therefore cannot decide it: another officer has to")]
    OwnCase { case: String, officer: String },

    /// DESIGN invariant 6: two approvals are two officers.
    #[error("{officer:?} has decided the case {case:?} already: another officer has to")]
    DecidedAlready { case: String, officer: String },

    /// A case cannot be approved on nothing.
    #[error("the case {case:?} has no evidence yet: record what was found out before approving it")]
    NothingToApprove { case: String },

    /// The method cannot prove the fact, or the fact is not one that a certificate may state.
    #[error("the evidence is not acceptable")]
    Evidence(#[from] policies::evidence::InvalidEvidence),

    /// The evidence at hand does not carry a certificate of this tier.
    #[error("the evidence does not suffice for the certificate")]
    EvidenceInsufficient(#[source] Box<policies::issuance::Refusal>),

    /// The account's organization may not speak for its employees yet.
    #[error(
        "the account may not confirm employees yet (BR 1.3.2.1): validate the organization's identity and the \
         authority of its representative first"
    )]
    NotEnterpriseRa,

    /// The account's plan has no certificates of this tier.
    #[error("the plan {plan} does not include {tier} certificates: ask an operator for the plan {needed}")]
    PlanExcludes {
        plan: ca_api::Plan,
        tier: policies::tier::Tier,
        needed: ca_api::Plan,
    },

    /// The plan's V4 certificates are all in use.
    #[error(
        "the plan has {seats} seats for V4 certificates and all are taken: ask an operator for more seats, or revoke \
         the V4 certificate of somebody who no longer needs it"
    )]
    SeatsTaken { seats: u64 },

    /// No certificate is ordered elsewhere for what is not managed here.
    #[error(
        "{mailbox} is not managed here: prove control of the mailbox or its domain first, then order its certificate from \
         the other authority"
    )]
    VpNotManaged { mailbox: String },

    /// The plan's Vp certificates are all in use.
    #[error(
        "the plan has {seats} seats for Vp certificates and all are taken: ask an operator for more seats, or revoke the \
         Vp certificate of somebody who no longer needs it"
    )]
    VpSeatsTaken { seats: u64 },

    /// The other authority did not take the order.
    #[error("the other authority did not take the order: {reason}")]
    VpRefused { reason: String },

    /// What should be a challenge mail of the other authority is none.
    #[error("the mail was not answered, since it is not the challenge that is waited for: {reason}")]
    VpChallenge { reason: String },

    /// The other authority could not do something.
    #[error("the other authority that [vp] in ca.toml names was of no use")]
    Vp(#[source] crate::vp::client::ClientError),

    /// The domain of the address does not let us certify it, or nobody can say (BR 4.2.2.1).
    #[error("no certificate for an address of {domain} may be issued now (BR 4.2.2.1)")]
    CaaRefused {
        domain: policies::mailbox::Domain,
        #[source]
        refused: Box<crate::caa::Refused>,
    },

    /// The permission of a domain is about another domain, or too old. A programming error: it is asked for anew each time.
    #[error("the permission of {domain} does not count for certificate {serial} (BR 4.2.2.1): place the order again")]
    PermissionUnusable {
        domain: policies::mailbox::Domain,
        serial: String,
    },

    /// A proof of control of a domain was seen from one network only (BR 4.2.2.2).
    #[error(
        "the proof {evidence} of control of a domain was not corroborated from other networks (TLS BR 3.2.2.9): have the \
         domain validated again"
    )]
    NotCorroborated { evidence: String },

    /// No DNS resolver can be made of the configuration.
    #[error("[dns] in ca.toml cannot be used")]
    Dns(#[from] dns::InvalidConfig),

    /// The lints refused the certificate before it was signed (BR 4.3.1.2).
    #[error("the certificate was not signed, since {} (BR 4.3.1.2): {}", errors(.findings), first_error(.findings))]
    LintRefused { findings: Vec<Finding> },

    /// The linter that the operator put into the path refused the certificate before it was signed (BR 4.3.1.2).
    #[error("the certificate was not signed, since {program} found (BR 4.3.1.2): {findings}")]
    ExternalLintRefused { program: String, findings: String },

    /// The linter that the operator put into the path gave no answer.
    #[error(
        "the certificate was not signed, since {program} could not be asked: {reason}; run `external_linter` of ca.toml by \
         hand, then place the order again"
    )]
    ExternalLinter { program: String, reason: String },

    // ---- states
    /// Somebody else was faster, or the thing is not in the state that this step needs.
    #[error("{kind} {id:?} is no longer {expected}: read it again")]
    StateChanged {
        kind: &'static str,
        id: String,
        expected: &'static str,
    },

    /// What was signed is not what was recorded, or its signature does not verify. Nothing was handed out.
    #[error(
        "certificate {serial} was discarded, since its own check failed ({reason}): the key or the memory of this machine is at fault"
    )]
    OwnSignature { serial: String, reason: String },

    /// The issuer's certificate ends before the certificate would.
    #[error("the issuing certificate {issuer} ends at {not_after}: create a new issuing certificate first")]
    IssuerExpires { issuer: String, not_after: Timestamp },

    /// The audit log is not the one that was written.
    #[error(
        "the audit log is damaged at row {sequence}: {reason}; restore it from a backup and find out who changed it"
    )]
    AuditDamaged { sequence: i64, reason: String },

    /// A checkpoint, or a proof that rests on one, says nothing that can be relied on.
    #[error("the checkpoint is not usable: {what}; take one that `sealwright ca audit checkpoint` has printed")]
    AuditNote { what: &'static str },

    /// The stored tree does not hold the hashes that it must.
    #[error("the Merkle tree of the audit log is not whole: restore table audit_tiles from a backup, or empty it")]
    AuditTree(#[source] tlog_tiles::tlog::Error),

    // ---- the house
    /// The folder holds a certificate authority already.
    #[error("{} holds a certificate authority already: choose another folder, nothing was changed", .folder.display())]
    AlreadyInitialized { folder: PathBuf },

    /// The folder holds no certificate authority.
    #[error("{} holds no certificate authority: run `sealwright ca init --data {}` first", .folder.display(), .folder.display())]
    NotInitialized { folder: PathBuf },

    /// The folder holds a remote perspective already.
    #[error("{} holds a perspective already: choose another folder, nothing was changed", .folder.display())]
    PerspectiveExists { folder: PathBuf },

    /// The folder holds no remote perspective.
    #[error("{} holds no perspective: run `sealwright ca perspective init --data {}` first", .folder.display(), .folder.display())]
    NoPerspective { folder: PathBuf },

    /// The database holds no issuer of this kind, or more than one.
    #[error(
        "the database holds {found} {kind} certificates where one is needed: it does not belong to this data folder"
    )]
    Issuers { kind: &'static str, found: usize },

    /// The configuration file cannot be used.
    #[error("{} cannot be used: {reason}", .path.display())]
    Configuration { path: PathBuf, reason: String },

    /// A file of the data folder could not be read or written.
    #[error("could not {action} {}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// A row of the database does not say what it has to say.
    #[error("the database row of {kind} {id:?} cannot be read: {reason}")]
    Row {
        kind: &'static str,
        id: String,
        reason: String,
    },

    /// A query failed.
    #[error("the database refused a query")]
    Database(#[from] diesel::result::Error),

    /// The database could not be opened or reached.
    #[error("the database cannot be used")]
    Migrations(#[from] migrations::Error),

    /// A private key could not be opened or used.
    #[error("the key {key} cannot be used")]
    Key {
        key: String,
        #[source]
        source: keys::KeyError,
    },

    /// The store of the private keys could not be opened.
    #[error("the key store that ca.toml names cannot be used")]
    KeyStore(#[source] keys::KeyError),

    /// The sealing key could not be used.
    #[error("what is stored sealed cannot be used")]
    Sealing(#[source] keys::KeyError),

    /// No mail server is configured.
    #[error(
        "no mail can be sent: write `smtp = \"host:port\"` under [mail] in ca.toml and start the certificate authority again"
    )]
    NoMailServer,

    /// The mail server did not take a mail.
    #[error("the mail server {server} did not take the mail: check that it runs and takes mail from here")]
    MailNotSent {
        server: String,
        #[source]
        source: Box<lettre::transport::smtp::Error>,
    },

    /// A listener could not be opened.
    #[error("cannot listen on {address} ({what}): stop what uses it, or change `{key}` in ca.toml")]
    Listen {
        address: std::net::SocketAddr,
        what: &'static str,
        key: &'static str,
        #[source]
        source: std::io::Error,
    },

    /// The server for replies to ACME challenges could not be started.
    #[error(
        "cannot receive replies to ACME challenges: stop what uses the address, or change `acme.listen` in ca.toml"
    )]
    MailReceiver(#[source] smtp::server::ServerError),

    /// The TLS identity of the API could not be opened.
    #[error("the API has no usable TLS certificate")]
    Tls(#[source] keys::KeyError),

    /// A structure could not be written as DER.
    #[error("could not encode {what}")]
    Encoding {
        what: &'static str,
        #[source]
        source: der::Error,
    },

    /// A certificate could not be put together.
    #[error("could not put the certificate together")]
    Template(#[from] policies::issuance::TemplateError),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::StateChanged { .. } => true,
            Self::MailNotSent { source, .. } => !source.is_permanent(),
            Self::Migrations(source) => source.is_temporary(),
            Self::Key { source, .. } | Self::KeyStore(source) | Self::Sealing(source) => source.is_temporary(),
            _ => false,
        }
    }

    /// For `map_err` on DER encoders.
    pub(crate) fn encoding(what: &'static str) -> impl FnOnce(der::Error) -> Self {
        move |source| Self::Encoding { what, source }
    }
}

/// The error and its causes on one line, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// "1 lint refused it" or "3 lints refused it".
fn errors(findings: &[Finding]) -> String {
    match refusing(findings).count() {
        1 => "1 lint refused it".to_owned(),
        several => format!("{several} lints refused it"),
    }
}

fn first_error(findings: &[Finding]) -> String {
    refusing(findings)
        .map(|finding| format!("{} ({}): {}", finding.lint, finding.section, finding.detail))
        .next()
        .unwrap_or_default()
}

fn refusing(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.severity == policies::lint::Severity::Error)
}
