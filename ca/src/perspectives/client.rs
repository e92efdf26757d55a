//! One remote perspective, asked over HTTPS. Whatever it does, it costs a bounded time and its vote.

use std::sync::Arc;
use std::time::Duration;

use keys::tls::Trust;
use policies::perspective::Registry;
use policies::time::Timestamp;
use reqwest::StatusCode;
use zeroize::Zeroizing;

use super::protocol::{LARGEST_ANSWER, PATH, PROOF, SharedToken, WireAnswer, WireQuestion, WireRequest};
use super::{Answer, CLOCK_TOLERANCE, Question};
use crate::config::RemotePerspective;
use crate::error::Error;

/// A perspective that can be asked. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) name: String,
    pub(crate) registry: Registry,
    url: String,
    token: Arc<SharedToken>,
    client: reqwest::Client,
}

/// Why a perspective has no say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("it could not be reached: {reason}")]
    Unreachable { reason: String },
    #[error("it did not answer in time")]
    TooSlow,
    #[error("it does not know our token: token_file and the token of the perspective have to be the same")]
    TokenRefused,
    #[error("it answered {status} instead of 200")]
    Status { status: u16 },
    #[error("its answer is larger than {LARGEST_ANSWER} octets")]
    TooLarge,
    #[error("its answer is not proved with the token that we share")]
    NotProved,
    #[error("its answer cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("its answer is to another request")]
    OtherRequest,
    #[error("it calls itself {name}")]
    OtherName { name: String },
    #[error("it says that it is in the region of {registry}")]
    OtherRegistry { registry: String },
    #[error("its clock says {at}, more than five minutes from ours")]
    Clock { at: Timestamp },
}

/// What a perspective says of itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) network: String,
    pub(crate) version: String,
    pub(crate) at: Timestamp,
}

impl Remote {
    pub(super) fn open(settings: &RemotePerspective, patience: Duration) -> Result<Self, Error> {
        let read = |path: &std::path::Path| {
            std::fs::read(path).map(Zeroizing::new).map_err(|source| Error::File {
                action: "read",
                path: path.to_owned(),
                source,
            })
        };
        let unusable = |path: &std::path::Path, reason: String| Error::Configuration {
            path: path.to_owned(),
            reason,
        };
        let token = read(&settings.token_file)?;
        let token = SharedToken::parse(&String::from_utf8_lossy(&token))
            .map_err(|reason| unusable(&settings.token_file, reason))?;
        let tls = match &settings.trust_file {
            None => keys::tls::client_config(Trust::System).map_err(Error::Tls)?,
            Some(path) => keys::tls::client_config(Trust::Only(&read(path)?))
                .map_err(|error| unusable(path, crate::error::chain(&error)))?,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(patience.min(Duration::from_secs(5)))
            .timeout(patience)
            // Connections are not kept: an idle one that a firewall has forgotten costs a vote.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("sealwright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unusable(&settings.token_file, error.to_string()))?;
        Ok(Self {
            name: settings.name.clone(),
            registry: settings.registry,
            url: format!("{}{PATH}", settings.url.as_ref()),
            token: Arc::new(token),
            client,
        })
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> &str {
        self.url.strip_suffix(PATH).unwrap_or(&self.url)
    }

    /// Asks; the number must never have been used before.
    pub(super) async fn ask(&self, question: &Question, number: &str, now: Timestamp) -> Answer {
        let answered = self.exchange(question, number).await;
        let mut answer = Answer {
            perspective: self.name.clone(),
            registry: self.registry,
            network: None,
            at: None,
            observation: Err(Unanswered::TooSlow),
        };
        match answered {
            Err(unanswered) => answer.observation = Err(unanswered),
            Ok(wire) => {
                answer.at = Some(Timestamp::from_unix(wire.at));
                answer.network = Some(line(&wire.network));
                answer.observation = self.check(&wire, now).and_then(|()| {
                    wire.observation
                        .into_observation(question)
                        .map_err(|reason| Unanswered::Unreadable { reason })
                });
            }
        }
        answer
    }

    /// What it says of itself, whatever its clock says.
    pub(crate) async fn about(&self, number: &str) -> Result<About, Unanswered> {
        let wire = self.exchange(&Question::About, number).await?;
        // The clock is for the caller to judge.
        let at = Timestamp::from_unix(wire.at);
        self.check(&wire, at)?;
        Ok(About {
            network: line(&wire.network),
            version: line(&wire.version),
            at,
        })
    }

    async fn exchange(&self, question: &Question, number: &str) -> Result<WireAnswer, Unanswered> {
        let request = WireRequest {
            number: number.to_owned(),
            question: WireQuestion::from_question(question),
        };
        let unreadable = |reason: String| Unanswered::Unreadable { reason };
        let body = serde_json::to_vec(&request).map_err(|error| unreadable(error.to_string()))?;
        let mut response = self
            .client
            .post(&self.url)
            .header(reqwest::header::AUTHORIZATION, &*self.token.bearer())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(Unanswered::TokenRefused),
            other => return Err(Unanswered::Status { status: other.as_u16() }),
        }
        let proof = response.headers().get(PROOF).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Unanswered::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        // Nothing of the answer is looked at before it is known whose it is.
        if !proof.is_some_and(|proof| self.token.verify(number, &body, proof.as_bytes())) {
            return Err(Unanswered::NotProved);
        }
        let answer: WireAnswer = serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        match answer.number == number {
            true => Ok(answer),
            false => Err(Unanswered::OtherRequest),
        }
    }

    /// Whether it is the one that was configured, at this time.
    fn check(&self, answer: &WireAnswer, now: Timestamp) -> Result<(), Unanswered> {
        if answer.perspective != self.name {
            return Err(Unanswered::OtherName {
                name: line(&answer.perspective),
            });
        }
        if answer.registry != self.registry.as_ref() {
            return Err(Unanswered::OtherRegistry {
                registry: line(&answer.registry),
            });
        }
        let at = Timestamp::from_unix(answer.at);
        if at > now.plus(CLOCK_TOLERANCE) || at < now.minus(CLOCK_TOLERANCE) {
            return Err(Unanswered::Clock { at });
        }
        Ok(())
    }
}

fn failed(error: &reqwest::Error) -> Unanswered {
    if error.is_timeout() {
        return Unanswered::TooSlow;
    }
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    Unanswered::Unreachable { reason }
}

/// What somebody else says, fit for a line of a table.
fn line(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(100)
        .collect()
}
