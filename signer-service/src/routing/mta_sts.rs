//! What a domain's policy says of its servers, see [RFC 8461] (MTA-STS).
//!
//! A policy is found by two ways that an attacker between mail servers has to block for a long time: a TXT record that says
//! that there is one, and a file on a web server with a certificate of the Web PKI. It is kept in the database until it
//! expires, whatever the DNS says meanwhile.
//!
//! [RFC 8461]: https://www.rfc-editor.org/rfc/rfc8461

mod fetch;
mod policy;
mod record;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dns::{Answer, Name, Resolver};
use migrations::Pool;
use policies::time::{Clock, Span, Timestamp};
use rustls::ClientConfig;

pub(crate) use self::policy::{Mode, Policy};
use crate::error::Error;
use crate::store::mta_sts_policies as store;

/// Finds policies, and remembers them.
pub(super) struct Policies {
    pub(super) resolver: Resolver,
    pub(super) db: Pool,
    pub(super) clock: Arc<dyn Clock>,
    /// Whose certificates web servers may have.
    pub(super) tls: Arc<ClientConfig>,
    /// 443.
    pub(super) port: u16,
    /// When a domain's file may be asked for again after it could not be had.
    failed: Mutex<HashMap<Name, (Timestamp, String)>>,
}

/// A policy that is in force, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) fetched_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Why nothing newer could be had, if that was tried.
    pub(crate) problem: Option<String>,
}

impl Policies {
    pub(super) fn new(resolver: Resolver, db: Pool, clock: Arc<dyn Clock>, tls: Arc<ClientConfig>, port: u16) -> Self {
        Self {
            resolver,
            db,
            clock,
            tls,
            port,
            failed: Mutex::default(),
        }
    }

    /// The policy of a domain; `None` if it has none, or none that could be had.
    pub(super) async fn of(&self, domain: &Name) -> Result<Option<InForce>, Error> {
        let now = self.clock.now();
        let key = domain.to_string();
        let kept = {
            let key = key.clone();
            let found = self.db.read(move |conn| store::find(conn, &key).map_err(Error::from));
            found.await?.and_then(|row| in_force(&row, now))
        };
        // RFC 8461 section 3.1. What the DNS does not say does not end a policy that is kept (section 5.1).
        let id = match self.identifier(domain).await {
            Ok(id) => id,
            Err(problem) => {
                return Ok(kept.map(|kept| InForce {
                    problem: Some(problem),
                    ..kept
                }));
            }
        };
        let Some(id) = id else {
            return Ok(kept);
        };
        if let Some(kept) = &kept
            && kept.policy.id == id
            && !kept.is_half_over(now)
        {
            return Ok(Some(kept.clone()));
        }
        match self.fetch(domain, &id, now).await {
            Ok(policy) => {
                let expires_at = now.plus(Span::seconds(i64::from(policy.max_age)));
                let row = store::PolicyRow {
                    domain: key,
                    policy_id: policy.id.clone(),
                    policy: policy.to_string(),
                    fetched_at: now.unix(),
                    expires_at: expires_at.unix(),
                };
                // What cannot be written down is still what the domain says; it is asked for once more then.
                let written = self.db.write(move |conn| store::put(conn, &row).map_err(Error::from));
                if let Err(error) = written.await {
                    tracing::warn!(%error, "an MTA-STS policy could not be kept");
                }
                Ok(Some(InForce {
                    policy,
                    fetched_at: now,
                    expires_at,
                    problem: None,
                }))
            }
            Err(problem) => {
                if kept.is_none() {
                    tracing::warn!(%domain, problem, "a domain says that it has an MTA-STS policy, and it cannot be had");
                }
                Ok(kept.map(|kept| InForce {
                    problem: Some(problem),
                    ..kept
                }))
            }
        }
    }

    /// What the DNS says of the newest policy: nothing, or its id.
    async fn identifier(&self, domain: &Name) -> Result<Option<String>, String> {
        let Ok(name) = domain.below("_mta-sts") else {
            return Ok(None);
        };
        match self.resolver.txt(&name).await {
            Answer::Secure(found) | Answer::Insecure(found) => {
                let texts: Vec<&[u8]> = found.records.iter().map(|record| &record.0[..]).collect();
                Ok(record::identifier(&texts))
            }
            Answer::NoData(_) | Answer::NxDomain(_) => Ok(None),
            Answer::Bogus(problem) => Err(problem.to_string()),
            Answer::Failed(problem) => Err(problem.to_string()),
        }
    }

    async fn fetch(&self, domain: &Name, id: &str, now: Timestamp) -> Result<Policy, String> {
        if let Some(problem) = self.failed_lately(domain, now) {
            return Err(problem);
        }
        let fetched = fetch::text(&self.resolver, domain, &self.tls, self.port).await;
        let policy = fetched
            .map_err(|error| error.to_string())
            .and_then(|text| Policy::parse(id, &text).map_err(|error| error.to_string()));
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match &policy {
            Ok(_) => {
                failed.remove(domain);
            }
            Err(problem) => {
                if failed.len() >= MOST_FAILED {
                    failed.retain(|_, (until, _)| *until > now);
                }
                if failed.len() < MOST_FAILED {
                    failed.insert(domain.clone(), (now.plus(PAUSE), problem.clone()));
                }
            }
        }
        policy
    }

    fn failed_lately(&self, domain: &Name, now: Timestamp) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, problem) = failed.get(domain)?;
        (*until > now).then(|| problem.clone())
    }
}

impl InForce {
    /// RFC 8461 section 10.2 advises to ask anew before a policy ends, so that whoever blocks the web server at its end
    /// gains nothing.
    fn is_half_over(&self, now: Timestamp) -> bool {
        now.unix() - self.fetched_at.unix() > (self.expires_at.unix() - self.fetched_at.unix()) / 2
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn in_force(row: &store::PolicyRow, now: Timestamp) -> Option<InForce> {
    if row.expires_at <= now.unix() {
        return None;
    }
    // A row that an older or newer program has written otherwise is asked for anew.
    let policy = Policy::parse(&row.policy_id, &row.policy).ok()?;
    Some(InForce {
        policy,
        fetched_at: Timestamp::from_unix(row.fetched_at),
        expires_at: Timestamp::from_unix(row.expires_at),
        problem: None,
    })
}

/// RFC 8461 section 3.3: five minutes or more.
const PAUSE: Span = Span::seconds(300);
/// Whoever names many domains cannot fill the memory.
const MOST_FAILED: usize = 10_000;
