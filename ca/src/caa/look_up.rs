//! Climbing the tree of names until there are CAA records (RFC 8659 section 3).

use dns::{Answer, CertificationAuthorityAuthorization, Failure, Name, Resolver, Security, ZoneSecurity};
use policies::caa::{self, CaaDecision, CaaRecord};
use policies::mailbox::Domain;

/// What the look-up found, seen from one network.
#[derive(Clone, Debug)]
pub(crate) struct Found {
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

impl Found {
    /// What it means for an authority with these names.
    pub(crate) fn decide(self, issuers: &[Domain]) -> Outcome {
        Outcome {
            decision: match &self.proof {
                Proof::Secure | Proof::Insecure => caa::decide(&self.records, issuers),
                // Whether such a look-up may be overlooked is said by the proof.
                Proof::AcceptedFailure(_) | Proof::NoAnswer(_) | Proof::Bogus(_) => CaaDecision::Unrestricted,
            },
            found_at: self.found_at,
            records: self.records,
            proof: self.proof,
        }
    }
}

/// What the look-up came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) decision: CaaDecision,
    /// Whose records decided; `None` when neither the domain nor one above it has any.
    pub(crate) found_at: Option<Name>,
    pub(crate) records: Vec<CaaRecord>,
    pub(crate) proof: Proof,
}

impl Proof {
    /// The inverse of [`Proof::word`].
    pub(crate) fn from_word(word: &str, reason: String) -> Option<Self> {
        Some(match word {
            "secure" => Self::Secure,
            "insecure" => Self::Insecure,
            "accepted-failure" => Self::AcceptedFailure(reason),
            "no-answer" => Self::NoAnswer(reason),
            "bogus" => Self::Bogus(reason),
            _ => return None,
        })
    }

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

/// Asks the domain, then each one above it, for CAA records; those of the first that has some are relevant.
pub(crate) async fn find(resolver: &Resolver, domain: &Domain) -> Found {
    let nothing = |proof| Found {
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
                return Found {
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
