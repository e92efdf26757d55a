//! The tables `[queue]`, `[[door]]` and `[metrics]` of `gateway.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::time::Span;
use serde::Deserialize;

use super::{QueueSettings, S3, Schedule, Storage};

/// What is promised to whoever hands in mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The answer of the next mail server is the answer; nothing is stored.
    #[default]
    PassThrough,
    /// The gateway takes charge of the message, and says so when it is durable.
    Queue,
}

/// A further address where mail is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    pub listen: SocketAddr,
    pub mode: Mode,
}

/// Where Prometheus finds the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsDoor {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueueFile {
    folder: PathBuf,
    s3: Option<S3File>,
    retry_seconds: Vec<u32>,
    give_up_hours: u32,
    delay_notice_hours: u32,
    deliveries: usize,
    deliveries_per_destination: usize,
    lease_seconds: u32,
    keep_sent_hours: u32,
    history_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct S3File {
    bucket: String,
    #[serde(default = "default_region")]
    region: String,
    endpoint: Option<String>,
    #[serde(default)]
    prefix: String,
}

impl Default for QueueFile {
    fn default() -> Self {
        let schedule = Schedule::default();
        let seconds = |span: &Span| u32::try_from(span.as_seconds()).unwrap_or(u32::MAX);
        Self {
            folder: PathBuf::from("mail"),
            s3: None,
            retry_seconds: schedule.waits.iter().map(seconds).collect(),
            give_up_hours: seconds(&schedule.give_up_after) / 3600,
            delay_notice_hours: schedule.notice_after.as_ref().map_or(0, seconds) / 3600,
            deliveries: 100,
            // What the pass-through door needs is left of the hundred connections that a next hop gets.
            deliveries_per_destination: 20,
            lease_seconds: 30,
            keep_sent_hours: 0,
            history_hours: 24,
        }
    }
}

impl QueueFile {
    pub(crate) fn check(self, folder: &Path) -> Result<QueueSettings, String> {
        if self.retry_seconds.is_empty() || self.retry_seconds.contains(&0) {
            return Err("queue.retry_seconds: name at least one wait, each of a second or more".to_owned());
        }
        if self.give_up_hours == 0 {
            return Err("queue.give_up_hours must be at least 1".to_owned());
        }
        for (key, value) in [
            ("deliveries", self.deliveries),
            ("deliveries_per_destination", self.deliveries_per_destination),
        ] {
            if !(1..=1000).contains(&value) {
                return Err(format!("queue.{key} must be 1 to 1000"));
            }
        }
        if !(2..=3600).contains(&self.lease_seconds) {
            return Err("queue.lease_seconds must be 2 to 3600".to_owned());
        }
        let storage = match self.s3 {
            None => Storage::Folder(folder.join(self.folder)),
            Some(s3) => {
                let plain_http = s3
                    .endpoint
                    .as_deref()
                    .is_some_and(|endpoint| endpoint.starts_with("http://"));
                let is_here = |endpoint: &str| {
                    ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"]
                        .iter()
                        .any(|here| endpoint.starts_with(here))
                };
                if plain_http && !s3.endpoint.as_deref().is_some_and(is_here) {
                    return Err(
                        "queue.s3.endpoint: mail does not cross the network in plain text; use https://".to_owned(),
                    );
                }
                if s3.bucket.is_empty() {
                    return Err("queue.s3.bucket is empty".to_owned());
                }
                Storage::S3(S3 {
                    bucket: s3.bucket,
                    region: s3.region,
                    endpoint: s3.endpoint,
                    prefix: s3.prefix.trim_matches('/').to_owned(),
                    plain_http,
                })
            }
        };
        let hours = |hours: u32| Span::hours(i64::from(hours));
        Ok(QueueSettings {
            storage,
            schedule: Schedule {
                waits: self
                    .retry_seconds
                    .into_iter()
                    .map(|seconds| Span::seconds(i64::from(seconds)))
                    .collect(),
                give_up_after: hours(self.give_up_hours),
                notice_after: (self.delay_notice_hours > 0).then(|| hours(self.delay_notice_hours)),
            },
            deliveries: self.deliveries,
            per_destination: self.deliveries_per_destination,
            lease: Duration::from_secs(u64::from(self.lease_seconds)),
            keep_sent: hours(self.keep_sent_hours),
            history: hours(self.history_hours),
        })
    }
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<QueueSettings, String> {
        let file: QueueFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check(Path::new("/data"))
    }

    #[test]
    fn the_defaults_work() {
        let settings = check("").unwrap();
        assert_eq!(settings.storage, Storage::Folder("/data/mail".into()));
        assert_eq!(settings.schedule, Schedule::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("retry_seconds = []", "at least one wait"),
            ("retry_seconds = [60, 0]", "at least one wait"),
            ("give_up_hours = 0", "give_up_hours"),
            ("deliveries = 0", "queue.deliveries must"),
            ("deliveries_per_destination = 1001", "deliveries_per_destination"),
            ("lease_seconds = 1", "lease_seconds"),
            ("colour = 1", "unknown field"),
            ("[s3]\nbucket = \"\"", "bucket"),
            (
                "[s3]\nbucket = \"b\"\nendpoint = \"http://192.0.2.1:9000\"",
                "plain text",
            ),
            (
                "[s3]\nbucket = \"b\"\nendpoint = \"http://localhost.example:9000\"",
                "plain text",
            ),
            ("[s3]\nregion = \"x\"", "bucket"),
        ] {
            let reason = check(text).unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
        assert!(check("[s3]\nbucket = \"b\"\nendpoint = \"http://127.0.0.1:9000\"").is_ok());
    }
}
