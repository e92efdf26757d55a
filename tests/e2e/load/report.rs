//! What was measured, as tables and as files that `scripts/plot-benchmarks` reads.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Scale;
use super::programs::Cpu;

/// Everything.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) scale: Scale,
    pub(crate) routes: Vec<Route>,
    pub(crate) building: Vec<Building>,
    pub(crate) latency: Vec<Latency>,
    pub(crate) enrolment: Quantiles,
    pub(crate) memory: Vec<Memory>,
    /// Load average of the machine before and after.
    pub(crate) load: (f64, f64),
}

/// A way for messages to go, with what was measured in each round.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Round>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) messages: usize,
    /// Until the sender had its last answer.
    pub(crate) accepted: Duration,
    /// Until `smtp-sink` had the last message.
    pub(crate) delivered: Duration,
    pub(crate) source: Cpu,
    pub(crate) sink: Cpu,
    /// Of what stands between them.
    pub(crate) service: Option<Cpu>,
}

/// Per second and core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Building {
    pub(crate) key: &'static str,
    pub(crate) raw: f64,
    pub(crate) built: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) key: &'static str,
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) direct: Quantiles,
    pub(crate) through: Quantiles,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantiles {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) count: usize,
}

/// Of a gateway, in octets.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) what: String,
    /// Of one message.
    pub(crate) octets: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) peak: usize,
}

impl Quantiles {
    pub(crate) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |percent: usize| {
            let index = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            took.get(index).copied().unwrap_or_default()
        };
        Self {
            median: at(50),
            p99: at(99),
            count: took.len(),
        }
    }
}

impl Route {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// Delivered, the median of the rounds.
    pub(crate) fn per_second(&self) -> f64 {
        quartiles(self.each(|round| count(round.messages) / round.delivered.as_secs_f64()))[1]
    }

    fn each(&self, value: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(value).collect()
    }

    /// Microseconds of processor time per message.
    fn cpu(&self, of: impl Fn(&Round) -> Option<Cpu>) -> Option<f64> {
        let micros = |round: &Round| of(round).map(|cpu| cpu.seconds() * 1e6 / count(round.messages));
        let all: Option<Vec<f64>> = self.rounds.iter().map(micros).collect();
        all.map(|all| quartiles(all)[1])
    }

    /// What both cores could do if they did nothing else and waited for nothing.
    fn cpu_bound(&self) -> f64 {
        let all = [
            self.cpu(|round| Some(round.source)),
            self.cpu(|round| Some(round.sink)),
            self.cpu(|round| round.service),
        ];
        2e6 / all.into_iter().flatten().sum::<f64>().max(1.0)
    }
}

impl Report {
    /// In the form of criterion, so that one script plots all benchmarks.
    pub(crate) fn write_estimates(&self, target: &Path) -> std::io::Result<()> {
        for (number, route) in self.routes.iter().enumerate() {
            let folder = target
                .join("criterion/load")
                .join(format!("{number}"))
                .join("10 kB/new");
            fs::create_dir_all(&folder)?;
            let nanoseconds =
                quartiles(route.each(|round| 1e9 * round.delivered.as_secs_f64() / count(round.messages)));
            let [low, median, high] = nanoseconds;
            let estimates = serde_json::json!({ "median": {
                "point_estimate": median,
                "confidence_interval": { "lower_bound": low, "upper_bound": high },
            } });
            fs::write(folder.join("estimates.json"), estimates.to_string())?;
            let about = serde_json::json!({ "value_str": "10 kB", "function_id": route.name });
            fs::write(folder.join("benchmark.json"), about.to_string())?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Load average {:.1} before, {:.1} after; {} rounds of {} messages of 10 kB over {} connections.\n",
            self.load.0, self.load.1, self.scale.rounds, self.scale.messages, self.scale.connections
        )?;
        writeln!(
            f,
            "| one core, per second | raw signatures | signed messages of 10 kB | built : raw |\n| --- | ---: | ---: | ---: |"
        )?;
        for one in &self.building {
            let (raw, built) = (thousands(one.raw), thousands(one.built));
            writeln!(
                f,
                "| {} | {raw} | {built} | **{:.0} %** |",
                one.key,
                100.0 * one.built / one.raw
            )?;
        }
        let postfix = self.routes.get(1).map_or(1.0, Route::per_second);
        writeln!(
            f,
            "\n| messages of 10 kB | times plain Postfix | delivered per second (quartiles) | answered per second | processor µs a message: source, sink, between | two cores alone would do |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        )?;
        for route in &self.routes {
            let delivered = route.each(|round| count(round.messages) / round.delivered.as_secs_f64());
            let [slow, usual, fast] = quartiles(delivered).map(thousands);
            let answered = quartiles(route.each(|round| count(round.messages) / round.accepted.as_secs_f64()))[1];
            let mut cpu = String::new();
            for part in [
                route.cpu(|round| Some(round.source)),
                route.cpu(|round| Some(round.sink)),
                route.cpu(|round| round.service),
            ] {
                match part {
                    Some(micros) => write!(cpu, "{micros:.0} ")?,
                    None => write!(cpu, "– ")?,
                }
            }
            writeln!(
                f,
                "| {} | **{:.2}** | {usual} ({slow} to {fast}) | {} | {} | {} |",
                route.name,
                route.per_second() / postfix,
                thousands(answered),
                cpu.trim().replace(' ', ", "),
                thousands(route.cpu_bound())
            )?;
        }
        writeln!(
            f,
            "\n| latency of pass-through | at messages a second | median: direct, through | p99: direct, through | p99 added |\n| --- | ---: | ---: | ---: | ---: |"
        )?;
        for one in &self.latency {
            writeln!(
                f,
                "| {} | {} | {}, {} | {}, {} | **{}** |",
                one.key,
                thousands(one.rate),
                milliseconds(one.direct.median),
                milliseconds(one.through.median),
                milliseconds(one.direct.p99),
                milliseconds(one.through.p99),
                milliseconds(one.through.p99.saturating_sub(one.direct.p99))
            )?;
        }
        writeln!(
            f,
            "\nFirst message of {} mailboxes, enrolment included: median {}, p99 {}.",
            self.enrolment.count,
            milliseconds(self.enrolment.median),
            milliseconds(self.enrolment.p99)
        )?;
        writeln!(
            f,
            "\n| memory of the gateway | before | after | peak | peak above before, in messages |\n| --- | ---: | ---: | ---: | ---: |"
        )?;
        for one in &self.memory {
            let above = one.peak.saturating_sub(one.before);
            let messages = count(above) / count(one.octets);
            let [before, after, peak] = [one.before, one.after, one.peak].map(|octets| octets / 1_000_000);
            writeln!(
                f,
                "| {} | {before} MB | {after} MB | {peak} MB | {messages:.1} |",
                one.what
            )?;
        }
        Ok(())
    }
}

pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    [1, 2, 3].map(|quarter| values.get(last * quarter / 4).copied().unwrap_or(f64::NAN))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// With a thin gap, as the other tables have it.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
