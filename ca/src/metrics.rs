//! Figures for Prometheus: what was done since the start, and how things stand.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use policies::time::Timestamp;

use crate::app::App;
use crate::crl;
use crate::error::Error;
use crate::problem_reports;
use crate::store;

/// What this process has counted since it started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) issued: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    /// Orders that were not fulfilled, by why; the names of [`refusal`].
    refused: [AtomicU64; REFUSALS.len()],
}

/// Why orders are refused, as `/metrics` names it.
const REFUSALS: [&str; 6] = ["evidence", "plan", "caa", "lint", "key", "other"];

impl Counts {
    pub(crate) fn refuse(&self, error: &Error) {
        let why = match error {
            Error::EvidenceInsufficient(_) => "evidence",
            Error::PlanExcludes { .. } | Error::SeatsTaken { .. } => "plan",
            Error::CaaRefused { .. } => "caa",
            Error::LintRefused { .. } => "lint",
            Error::KeyCompromised { .. } | Error::KeyOfAnotherSubscriber | Error::KeyListedAsWeak => "key",
            _ => "other",
        };
        let counts = REFUSALS.iter().zip(&self.refused);
        for (_, count) in counts.filter(|(name, _)| **name == why) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The text format of Prometheus, version 0.0.4.
pub(crate) async fn render(app: &App) -> Result<String, Error> {
    let now = app.now();
    let mut page = Page::default();
    let counts = &app.counts;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();

    page.head(
        "sealwright_certificates_issued_total",
        "counter",
        "Certificates that this process has issued.",
    );
    page.line("sealwright_certificates_issued_total", &[], &count(&counts.issued));
    page.head(
        "sealwright_certificates_abandoned_total",
        "counter",
        "Certificates that were recorded and then revoked, since something failed.",
    );
    page.line(
        "sealwright_certificates_abandoned_total",
        &[],
        &count(&counts.abandoned),
    );
    page.head(
        "sealwright_orders_refused_total",
        "counter",
        "Attempts to issue that were refused, by why.",
    );
    for (why, counter) in REFUSALS.iter().zip(&counts.refused) {
        page.line("sealwright_orders_refused_total", &[("why", why)], &count(counter));
    }
    let ocsp = &app.ocsp.counts;
    page.head(
        "sealwright_ocsp_answers_total",
        "counter",
        "OCSP requests, by how they were answered.",
    );
    for (how, counter) in [
        ("ready", &ocsp.ready),
        ("decided", &ocsp.decided),
        ("refused", &ocsp.refused),
    ] {
        page.line("sealwright_ocsp_answers_total", &[("how", how)], &count(counter));
    }

    let pending = app
        .db
        .read(|conn| Ok::<_, Error>(store::orders::count_all_in_state(conn, "pending")?))
        .await?;
    page.head(
        "sealwright_orders_pending",
        "gauge",
        "Orders that wait for evidence or a seat.",
    );
    page.line("sealwright_orders_pending", &[], &pending.to_string());
    page.head(
        "sealwright_writes_waiting",
        "gauge",
        "Writes that wait to be committed together.",
    );
    page.line("sealwright_writes_waiting", &[], &app.db.waiting_together().to_string());

    page.head(
        "sealwright_crl_age_seconds",
        "gauge",
        "Since the newest list of each scope was made.",
    );
    page.head_later(
        "sealwright_crl_left_seconds",
        "gauge",
        "Until the newest list of each scope ends.",
    );
    for issuer in app.issuers.all() {
        for scope in crl::scopes(app, issuer).await? {
            let id = issuer.id.clone();
            let newest = app
                .db
                .read(move |conn| Ok::<_, Error>(store::crls::newest_dates(conn, &id, scope)?))
                .await?;
            let Some(newest) = newest else { continue };
            let shard = scope.stored().to_string();
            let labels = [("issuer", issuer.id.as_str()), ("shard", shard.as_str())];
            let age = now.since(Timestamp::from_unix(newest.this_update)).as_seconds();
            let left = Timestamp::from_unix(newest.next_update).since(now).as_seconds();
            page.line("sealwright_crl_age_seconds", &labels, &age.to_string());
            page.line_later("sealwright_crl_left_seconds", &labels, &left.to_string());
        }
    }
    page.now_later();

    let clocks = problem_reports::clocks(app).await?;
    page.head(
        "sealwright_problem_report_clocks",
        "gauge",
        "Deadlines of problem reports (BR 4.9.1.1, 4.9.5) that run, are near, or have passed.",
    );
    for (state, number) in [
        ("running", clocks.running),
        ("soon", clocks.soon),
        ("overdue", clocks.overdue),
    ] {
        page.line(
            "sealwright_problem_report_clocks",
            &[("state", state)],
            &number.to_string(),
        );
    }
    Ok(page.text)
}

/// Lines of one metric have to stand together; `later` keeps those of a second one.
#[derive(Default)]
struct Page {
    text: String,
    later: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn head_later(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.later, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Labels are our own words: nothing in them needs to be escaped.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        write_line(&mut self.text, name, labels, value);
    }

    fn line_later(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        write_line(&mut self.later, name, labels, value);
    }

    fn now_later(&mut self) {
        self.text.push_str(&std::mem::take(&mut self.later));
    }
}

fn write_line(text: &mut String, name: &str, labels: &[(&str, &str)], value: &str) {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    };
    let _ = writeln!(text, "{name}{labels} {value}");
}
