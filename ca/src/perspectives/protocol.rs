//! What an authority and its perspectives say to each other: JSON over HTTPS, one request, one answer.
//!
//! The request carries the shared token. The answer repeats the number of the request and is authenticated with the same
//! token, so that neither an earlier answer, nor that of another perspective, nor a proxy that TLS ends at, passes for it.

use std::net::SocketAddr;

use data_encoding::BASE64;
use dns::{Name, Security};
use hmac::{Hmac, KeyInit, Mac};
use policies::caa::CaaRecord;
use policies::mailbox::Domain;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Observation, Question};
use crate::caa::{Found, Proof};
use crate::validation::control::{FilePath, Label, Place, Seen};

/// The one path.
pub(super) const PATH: &str = "/v1/observation";
/// The field of the header that authenticates an answer.
pub(super) const PROOF: &str = "sealwright-answer-proof";
/// A question is a name and a path.
pub(super) const LARGEST_REQUEST: usize = 4 * 1024;
/// 128 TXT records of some kilobytes are more than anybody has.
pub(super) const LARGEST_ANSWER: usize = 512 * 1024;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRequest {
    /// Unique for this request and this perspective.
    pub(super) number: String,
    pub(super) question: WireQuestion,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub(super) enum WireQuestion {
    About,
    Caa { domain: String },
    Text { domain: String, label: String },
    File { domain: String, path: String },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireAnswer {
    pub(super) number: String,
    pub(super) perspective: String,
    pub(super) registry: String,
    /// How the operator of the perspective describes the network it is in.
    pub(super) network: String,
    /// The version of the program.
    pub(super) version: String,
    /// Seconds since 1970 by the clock of the perspective.
    pub(super) at: i64,
    pub(super) observation: WireObservation,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum WireObservation {
    About,
    Caa {
        found_at: Option<String>,
        records: Vec<WireCaa>,
        proof: String,
        reason: Option<String>,
    },
    Text {
        records: Vec<String>,
        secure: bool,
    },
    File {
        content: String,
        address: SocketAddr,
    },
    Nothing {
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireCaa {
    critical: bool,
    tag: String,
    value: String,
}

impl WireQuestion {
    pub(super) fn from_question(question: &Question) -> Self {
        match question {
            Question::About => Self::About,
            Question::Caa { domain } => Self::Caa {
                domain: domain.to_string(),
            },
            Question::Control { domain, place } => match place {
                Place::Text(label) => Self::Text {
                    domain: domain.to_string(),
                    label: label.as_ref().to_owned(),
                },
                Place::File(path) => Self::File {
                    domain: domain.to_string(),
                    path: path.as_ref().to_owned(),
                },
            },
        }
    }

    /// `Err` with the reason when it is about something that perspectives do not look at.
    pub(super) fn into_question(self) -> Result<Question, String> {
        let parse = |text: &str| Domain::parse(text).map_err(|error| format!("the domain is not usable: {error}"));
        Ok(match self {
            Self::About => Question::About,
            Self::Caa { domain } => Question::Caa {
                domain: parse(&domain)?,
            },
            Self::Text { domain, label } => Question::Control {
                domain: parse(&domain)?,
                place: Place::Text(Label::parse(&label).ok_or("no proofs are kept at that label")?),
            },
            Self::File { domain, path } => Question::Control {
                domain: parse(&domain)?,
                place: Place::File(FilePath::parse(&path).ok_or("no proofs are kept at that path")?),
            },
        })
    }
}

impl WireObservation {
    pub(super) fn from_observation(observation: Observation) -> Self {
        match observation {
            Observation::About => Self::About,
            Observation::Caa(found) => {
                let reason = match &found.proof {
                    Proof::Secure | Proof::Insecure => None,
                    Proof::AcceptedFailure(reason) | Proof::NoAnswer(reason) | Proof::Bogus(reason) => {
                        Some(reason.clone())
                    }
                };
                Self::Caa {
                    found_at: found.found_at.map(|name| name.to_string()),
                    records: found
                        .records
                        .into_iter()
                        .map(|record| WireCaa {
                            critical: record.critical,
                            tag: record.tag,
                            value: BASE64.encode(&record.value),
                        })
                        .collect(),
                    proof: found.proof.word().to_owned(),
                    reason,
                }
            }
            Observation::Control(Seen::Texts { records, security, .. }) => Self::Text {
                records: records.iter().map(|record| BASE64.encode(record)).collect(),
                secure: security == Security::Secure,
            },
            Observation::Control(Seen::File { body, address, .. }) => Self::File {
                content: BASE64.encode(&body),
                address,
            },
            Observation::Nothing { reason } => Self::Nothing { reason },
        }
    }

    /// What it says about a question; `Err` when it is an answer to another one.
    pub(super) fn into_observation(self, question: &Question) -> Result<Observation, String> {
        let base64 = |text: &str| {
            BASE64
                .decode(text.as_bytes())
                .map_err(|error| format!("base64: {error}"))
        };
        Ok(match (self, question) {
            (Self::Nothing { reason }, _) => Observation::Nothing {
                reason: reason.chars().filter(|character| !character.is_control()).collect(),
            },
            (Self::About, Question::About) => Observation::About,
            (
                Self::Caa {
                    found_at,
                    records,
                    proof,
                    reason,
                },
                Question::Caa { .. },
            ) => {
                let records = records
                    .into_iter()
                    .map(|record| {
                        Ok(CaaRecord {
                            critical: record.critical,
                            tag: record.tag,
                            value: base64(&record.value)?,
                        })
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                let found_at = found_at
                    .map(|name| Name::parse(&name).map_err(|error| error.to_string()))
                    .transpose()?;
                if found_at.is_some() == records.is_empty() {
                    return Err("records without a name, or a name without records".to_owned());
                }
                let reason = reason.unwrap_or_default();
                let proof = Proof::from_word(&proof, reason).ok_or("no such proof")?;
                Observation::Caa(Found {
                    found_at,
                    records,
                    proof,
                })
            }
            (
                Self::Text { records, secure },
                Question::Control {
                    domain,
                    place: Place::Text(label),
                },
            ) => Observation::Control(Seen::Texts {
                place: label.of(domain),
                records: records.iter().map(|record| base64(record)).collect::<Result<_, _>>()?,
                security: match secure {
                    true => Security::Secure,
                    false => Security::Insecure,
                },
            }),
            (
                Self::File { content, address },
                Question::Control {
                    domain,
                    place: Place::File(path),
                },
            ) => Observation::Control(Seen::File {
                url: path.of(domain),
                body: base64(&content)?,
                address,
            }),
            _ => return Err("it is the answer to another question".to_owned()),
        })
    }
}

/// What an authority and one perspective share.
pub(super) struct SharedToken(Zeroizing<String>);

impl SharedToken {
    /// Takes the text of a token file: one line of 32 to 200 graphic ASCII characters.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !(32..=200).contains(&text.len()) || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("it has to be one line of 32 to 200 ASCII characters without white space".to_owned());
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn bearer(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", &*self.0))
    }

    /// Whether this is the value of the `Authorization` field that only the authority can send.
    pub(super) fn is_bearer(&self, field: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.bearer().as_bytes().ct_eq(field).into()
    }

    /// The proof of an answer, in hexadecimal.
    pub(super) fn prove(&self, number: &str, body: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(&self.mac(number, body).finalize().into_bytes())
    }

    pub(super) fn verify(&self, number: &str, body: &[u8], proof: &[u8]) -> bool {
        let Ok(proof) = data_encoding::HEXLOWER.decode(proof) else {
            return false;
        };
        self.mac(number, body).verify_slice(&proof).is_ok()
    }

    fn mac(&self, number: &str, body: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104 section 2).
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(b"sealwright perspective answer 1\0");
        mac.update(number.as_bytes());
        mac.update(b"\0");
        mac.update(body);
        mac
    }
}

impl std::fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedToken(…)")
    }
}
