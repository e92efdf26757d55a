//! Climbing the tree of names until there are CAA records (RFC 8659 section 3).

use dns::{Answer, CertificationAuthorityAuthorization, Failure, Name, Resolver, Security, ZoneSecurity};
use policies::caa::{self, CaaDecision, CaaRecord};
use policies::mailbox::Domain;

/// What the look-up came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) decision: CaaDecision,
    /// Whose records decided; `None` when neither the domain nor one above it has any.
    pub(crate) found_at: Option<Name>,
    pub(crate) records: Vec<CaaRecord>,
    pub(crate) proof: Proof,
}

/// How far the outcome is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Every answer on the way is signed.
    Secure,
    /// At least one answer on the way is of a zone that is proved not to be signed.
    Insecure,
    /// There was no answer, and BR 4.2.2.1 lets that pass: it is not our fault, it was asked again, and the zone is proved
    /// not to be signed.
    AcceptedFailure(String),
    /// There was no answer, and that may not be overlooked.
    NoAnswer(String),
    /// An answer without the proof that it must have.
    Bogus(String),
}

impl Proof {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::AcceptedFailure(_) => "accepted-failure",
            Self::NoAnswer(_) => "no-answer",
            Self::Bogus(_) => "bogus",
        }
    }
}

/// Asks the domain, then each one above it, for CAA records, and decides by the first that has some.
pub(crate) async fn look_up(resolver: &Resolver, domain: &Domain, issuers: &[Domain]) -> Outcome {
    let nothing = |proof| Outcome {
        decision: CaaDecision::Unrestricted,
        found_at: None,
        records: Vec::new(),
        proof,
    };
    let mut name = match Name::parse(domain.as_ref()) {
        Ok(name) => name,
        Err(error) => return nothing(Proof::NoAnswer(error.to_string())),
    };
    let mut security = Security::Secure;
    loop {
        match ask(resolver, &name).await {
            Asked::Found(records, found_security) => {
                let records: Vec<CaaRecord> = records.into_iter().map(record).collect();
                return Outcome {
                    decision: caa::decide(&records, issuers),
                    found_at: Some(name),
                    records,
                    proof: proof_of(security.min(found_security)),
                };
            }
            Asked::Absent(absent_security) => security = security.min(absent_security),
            Asked::Nothing(proof) => return nothing(proof),
        }
        match name.parent() {
            Some(parent) => name = parent,
            None => return nothing(proof_of(security)),
        }
    }
}

enum Asked {
    Found(Vec<CertificationAuthorityAuthorization>, Security),
    Absent(Security),
    /// What the whole look-up comes to.
    Nothing(Proof),
}

/// Asks one name, and once more when nobody answers.
async fn ask(resolver: &Resolver, name: &Name) -> Asked {
    let mut answer = resolver.caa(name).await;
    if matches!(&answer, Answer::Failed(failure) if failure.may_pass()) {
        answer = resolver.caa(name).await;
    }
    match answer {
        Answer::Secure(found) => Asked::Found(found.records, Security::Secure),
        Answer::Insecure(found) => Asked::Found(found.records, Security::Insecure),
        Answer::NoData(absent) | Answer::NxDomain(absent) => Asked::Absent(absent.security),
        Answer::Bogus(bogus) => Asked::Nothing(Proof::Bogus(bogus.to_string())),
        Answer::Failed(failure) => Asked::Nothing(failed(resolver, name, &failure).await),
    }
}

/// Whether a failure is one that BR 4.2.2.1 lets pass.
async fn failed(resolver: &Resolver, name: &Name, failure: &Failure) -> Proof {
    // An answer that cannot be read, or has no end, may well be one that forbids.
    if !failure.may_pass() {
        return Proof::NoAnswer(failure.to_string());
    }
    // That the servers above prove the zone to be unsigned also proves that our own resolvers and network work.
    match resolver.zone_security(name).await {
        ZoneSecurity::ProvedInsecure { delegation } => {
            Proof::AcceptedFailure(format!("{failure}, twice; {delegation} is proved not to use DNSSEC"))
        }
        ZoneSecurity::NotProvedInsecure => Proof::NoAnswer(failure.to_string()),
    }
}

fn record(record: CertificationAuthorityAuthorization) -> CaaRecord {
    CaaRecord {
        critical: record.critical,
        tag: record.tag,
        value: record.value,
    }
}

const fn proof_of(security: Security) -> Proof {
    match security {
        Security::Secure => Proof::Secure,
        Security::Insecure => Proof::Insecure,
    }
}
