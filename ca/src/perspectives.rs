//! Domains looked at from several networks (BR 4.2.2.2, TLS BR 3.2.2.9).
//!
//! Whoever diverts the traffic of one network, or poisons one resolver, deceives whoever looks from there. So remote
//! perspectives, which are this same program elsewhere, look too, and what we see counts when enough of them saw the
//! same. [`Panel::ask`] puts one [`Question`] to all of them at once; [`Asked::judge`] compares what came back with what
//! has to be there. A [`Corroboration`] has no other constructor, and neither evidence nor a permission comes without one.
//!
//! A perspective is told where to look, never for what, and it decides nothing: it answers with what is there.

mod client;
mod protocol;
pub mod service;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use policies::mailbox::Domain;
use policies::perspective::{NoQuorum, Quorum, Registry, Requirement, Vote};
use policies::time::{Span, Timestamp};
use tokio::task::JoinSet;

use crate::app::App;
use crate::caa;
use crate::config::{Perspectives, Trusted};
use crate::error::Error;
use crate::store;
use crate::store::corroborations::{AnswerRow, CORROBORATED, CorroborationRow, PRIVATE, PUBLIC};
use crate::validation::control::{Place, Seen};
pub(crate) use client::{Remote, Unanswered};

/// What the remote perspectives are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Who it is, and what its clock says.
    About,
    /// The CAA records that are relevant for a domain, found by climbing.
    Caa { domain: Domain },
    /// What is at a place of a domain where proofs of control are.
    Control { domain: Domain, place: Place },
}

/// What one of them found out.
#[derive(Clone, Debug)]
pub(crate) enum Observation {
    About,
    Caa(caa::Found),
    Control(Seen),
    /// It looked, and there is nothing, or nothing that can be believed.
    Nothing {
        reason: String,
    },
}

/// All remote perspectives, and how many of them have to agree.
#[derive(Debug)]
pub(crate) struct Panel {
    trusted: Trusted,
    remotes: Vec<Remote>,
}

impl Panel {
    /// Reads the secrets of all perspectives.
    pub(crate) fn open(settings: &Perspectives) -> Result<Self, Error> {
        Ok(Self {
            trusted: settings.trusted,
            remotes: settings
                .remote
                .iter()
                .map(|remote| Remote::open(remote, settings.patience))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Whether anything has to be corroborated: always for whom everybody trusts, else when somebody is there to ask.
    pub(crate) fn demands(&self) -> bool {
        self.trusted == Trusted::Publicly || !self.remotes.is_empty()
    }

    /// How many have to look at an instant.
    pub(crate) fn requirement(&self, now: Timestamp) -> Requirement {
        match self.trusted {
            Trusted::Publicly => Requirement::at(now).unwrap_or(Requirement::PRIVATE),
            Trusted::Privately => Requirement::PRIVATE,
        }
    }

    /// What earlier proofs are measured by.
    pub(crate) const fn standard(&self) -> Standard {
        Standard(self.trusted)
    }

    /// Puts a question to all of them at once and waits for the slowest, or for its time to be over.
    pub(crate) async fn ask(&self, app: &App, question: &Question) -> Asked {
        let now = app.now();
        let requirement = self.requirement(now);
        let mut asked = Asked {
            id: match self.demands() {
                true => app.new_id("cor"),
                false => String::new(),
            },
            subject: question.subject(),
            domain: question.domain().map(ToString::to_string).unwrap_or_default(),
            at: now,
            standard: match self.trusted {
                Trusted::Publicly => PUBLIC,
                Trusted::Privately => PRIVATE,
            },
            requirement,
            demanded: self.demands(),
            answers: Vec::new(),
        };
        // With too few there is no quorum whatever they see, so nobody is bothered.
        if self.remotes.len() < requirement.perspectives {
            return asked;
        }
        let mut asking = JoinSet::new();
        for (position, remote) in self.remotes.iter().enumerate() {
            let (remote, question) = (remote.clone(), question.clone());
            let nonce = data_encoding::BASE64URL_NOPAD.encode(&app.random::<16>());
            asking.spawn(async move { (position, remote.ask(&question, &nonce, now).await) });
        }
        let mut answers: Vec<Option<Answer>> = self.remotes.iter().map(|_| None).collect();
        while let Some(joined) = asking.join_next().await {
            match joined {
                Ok((position, answer)) => answers[position] = Some(answer),
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        asked.answers = answers.into_iter().flatten().collect();
        asked
    }
}

/// Which earlier proofs and corroborations count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standard(Trusted);

impl Standard {
    /// Whether an earlier corroboration is of the kind that is asked for now.
    pub(crate) fn accepts(self, row: &CorroborationRow) -> bool {
        row.outcome == CORROBORATED && (self.0 == Trusted::Privately || row.standard == PUBLIC)
    }

    /// Whether a proof of control made by looking may be used without corroboration.
    pub(crate) fn accepts_uncorroborated_proofs(self) -> bool {
        // A private authority may have had no perspectives when the proof was made, and loses nothing.
        self.0 == Trusted::Privately
    }
}

impl Question {
    const fn subject(&self) -> &'static str {
        match self {
            Self::About => "about",
            Self::Caa { .. } => "caa",
            Self::Control { .. } => "domain-control",
        }
    }

    const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::About => None,
            Self::Caa { domain } | Self::Control { domain, .. } => Some(domain),
        }
    }
}

/// What one perspective answered, or why it did not.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) perspective: String,
    /// As configured.
    pub(crate) registry: Registry,
    /// As it says itself.
    pub(crate) network: Option<String>,
    /// By its own clock.
    pub(crate) at: Option<Timestamp>,
    pub(crate) observation: Result<Observation, Unanswered>,
}

/// What all of them answered to one question. Nothing is decided yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Asked {
    id: String,
    subject: &'static str,
    domain: String,
    at: Timestamp,
    standard: &'static str,
    requirement: Requirement,
    demanded: bool,
    answers: Vec<Answer>,
}

impl Asked {
    /// Decides. `corroborates` says in words what agrees with what we saw, or what is different.
    pub(crate) fn judge(
        self,
        corroborates: impl Fn(&Observation) -> Result<String, String>,
    ) -> Result<Corroboration, NotCorroborated> {
        if !self.demanded {
            return Ok(Corroboration(None));
        }
        let answers: Vec<Judged> = self
            .answers
            .into_iter()
            .map(|answer| {
                let judgement = match &answer.observation {
                    Err(unanswered) => Err(unanswered.to_string()),
                    Ok(Observation::Nothing { reason }) => Err(reason.clone()),
                    Ok(observation) => corroborates(observation),
                };
                let corroborates = judgement.is_ok();
                Judged {
                    perspective: answer.perspective,
                    registry: answer.registry,
                    network: answer.network,
                    at: answer.at,
                    corroborates,
                    saw: judgement
                        .unwrap_or_else(|reason| reason)
                        .chars()
                        .take(LONGEST_SAW)
                        .collect(),
                }
            })
            .collect();
        let votes: Vec<Vote> = answers
            .iter()
            .map(|answer| Vote {
                registry: answer.registry,
                corroborates: answer.corroborates,
            })
            .collect();
        let quorum = Quorum::of(self.requirement, &votes);
        let report = Report {
            id: self.id,
            subject: self.subject,
            domain: self.domain,
            made_at: self.at,
            standard: self.standard,
            requirement: self.requirement,
            outcome: match &quorum {
                Ok(_) => CORROBORATED.to_owned(),
                Err(missing) => missing.to_string(),
            },
            answers,
        };
        match quorum {
            Ok(_) => Ok(Corroboration(Some(report))),
            Err(missing) => Err(NotCorroborated {
                report: Box::new(report),
                missing,
            }),
        }
    }
}

/// That too few networks saw the same.
#[derive(Debug)]
pub(crate) struct NotCorroborated {
    pub(crate) report: Box<Report>,
    pub(crate) missing: NoQuorum,
}

/// That enough networks saw the same, or that a private authority has nobody to ask. [`Asked::judge`] makes them.
#[derive(Debug)]
#[must_use]
pub(crate) struct Corroboration(Option<Report>);

impl Corroboration {
    /// What everybody saw; `None` when nobody was asked.
    pub(crate) const fn report(&self) -> Option<&Report> {
        self.0.as_ref()
    }

    /// For the audit log.
    pub(crate) fn details(&self) -> serde_json::Value {
        match &self.0 {
            Some(report) => report.details(),
            None => serde_json::json!({ "not_asked_because": "a private authority without remote perspectives" }),
        }
    }
}

/// What every perspective saw, to be kept with what rests on it (BR 5.4.1).
#[derive(Clone, Debug)]
pub struct Report {
    id: String,
    subject: &'static str,
    domain: String,
    made_at: Timestamp,
    standard: &'static str,
    requirement: Requirement,
    outcome: String,
    answers: Vec<Judged>,
}

#[derive(Clone, Debug)]
struct Judged {
    perspective: String,
    registry: Registry,
    network: Option<String>,
    at: Option<Timestamp>,
    corroborates: bool,
    saw: String,
}

impl Report {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn corroborating(&self) -> usize {
        self.answers.iter().filter(|answer| answer.corroborates).count()
    }

    /// Who saw something else, and what.
    pub(crate) fn summary(&self) -> String {
        let others: Vec<String> = self
            .answers
            .iter()
            .filter(|answer| !answer.corroborates)
            .map(|answer| format!("{}: {}", answer.perspective, answer.saw))
            .collect();
        match others.is_empty() {
            true => format!("perspectives asked: {}", self.answers.len()),
            false => others.join("; "),
        }
    }

    /// Name, registry, whether it agrees, and what it saw, of each perspective.
    pub(crate) fn lines(&self) -> impl Iterator<Item = [String; 4]> + '_ {
        self.answers.iter().map(|answer| {
            let agrees = if answer.corroborates { "yes" } else { "no" };
            [
                answer.perspective.clone(),
                answer.registry.to_string(),
                agrees.to_owned(),
                answer.saw.clone(),
            ]
        })
    }

    /// For the audit log.
    pub(crate) fn details(&self) -> serde_json::Value {
        let answers: Vec<serde_json::Value> = self
            .answers
            .iter()
            .map(|answer| {
                serde_json::json!({
                    "perspective": answer.perspective,
                    "registry": answer.registry.as_ref(),
                    "network": answer.network,
                    "at": answer.at.map(|at| at.to_string()),
                    "corroborates": answer.corroborates,
                    "saw": answer.saw,
                })
            })
            .collect();
        serde_json::json!({
            "id": self.id,
            "section": SECTION,
            "quorum": format!("{}/{}", self.corroborating(), self.answers.len()),
            "standard": self.standard,
            "needed_perspectives": self.requirement.perspectives,
            "needed_registries": self.requirement.registries,
            "outcome": self.outcome,
            "answers": answers,
        })
    }

    /// Keeps it.
    pub(crate) fn store(&self, conn: &mut migrations::AnyConnection) -> Result<(), Error> {
        // Some dozens at most.
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let row = CorroborationRow {
            id: self.id.clone(),
            subject: self.subject.to_owned(),
            domain: self.domain.clone(),
            made_at: self.made_at.unix(),
            standard: self.standard.to_owned(),
            needed_perspectives: number(self.requirement.perspectives),
            needed_registries: number(self.requirement.registries),
            asked: number(self.answers.len()),
            corroborating: number(self.corroborating()),
            outcome: self.outcome.clone(),
        };
        let answers: Vec<AnswerRow> = self
            .answers
            .iter()
            .map(|answer| AnswerRow {
                corroboration_id: self.id.clone(),
                perspective: answer.perspective.clone(),
                registry: answer.registry.to_string(),
                network: answer.network.clone(),
                answered_at: answer.at.map(Timestamp::unix),
                corroborates: answer.corroborates,
                saw: answer.saw.clone(),
            })
            .collect();
        Ok(store::corroborations::insert(conn, &row, &answers)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.corroborating(), self.answers.len())
    }
}

/// Where the TLS BR ask for this.
pub(crate) const SECTION: &str = "TLS BR 3.2.2.9";
/// An answer that is older, or comes from a clock that is wronger, does not count.
pub(crate) const CLOCK_TOLERANCE: Span = Span::minutes(5);
/// What is kept of what somebody else wrote.
const LONGEST_SAW: usize = 600;
