//! How fast this authority is on this machine: everything through the code that production uses, in one run, so that the
//! figures can be divided by each other.
//!
//! A new authority is made in a folder of its own; nothing of an existing one is touched.

mod load;
mod machine;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keys::{ExportableKey, KeyAlgorithm};
use migrations::AsText;
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::mailbox::Mailbox;
use policies::organization::Country;
use policies::tier::{Generation, Tier};
use policies::time::Clock;
use serde::Serialize;

use crate::accounts::{self, AccountKind, Caller, NewPrincipal, Role};
use crate::app::{App, AppParts, on_blocking_thread};
use crate::crl::{self, Scope};
use crate::error::Error;
use crate::init::{Options, init};
use crate::issuance::{IssuanceObserver, Step};
use crate::orders::{self, NewOrder, OrderState, TierChoice};
use crate::server::Server;
use crate::store::certificates::{CertificateRow, CertificateState};
use crate::{ocsp, store};

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the authority is made; must not exist, or be empty. Its disk is what is measured.
    pub folder: PathBuf,
    /// An empty database; SQLite in the folder without one.
    pub database: Option<String>,
    pub issuances: u64,
    /// How many orders are placed at the same time.
    pub concurrency: usize,
    /// How long OCSP is asked, each way.
    pub ocsp: Duration,
    /// How many revoked certificates stand on the list.
    pub revoked: u64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub database: &'static str,
    pub processors: usize,
    /// Of the machine, over the last minute, when it began and when it ended.
    pub load_before: f64,
    pub load_after: f64,
    pub signing: Signing,
    pub issuance: Issuance,
    pub ocsp: Option<Ocsp>,
    pub crl: Option<RevocationList>,
}

/// P-256 signatures of the backend and nothing else.
#[derive(Clone, Debug, Serialize)]
pub struct Signing {
    pub one_thread_per_second: f64,
    pub all_processors_per_second: f64,
}

/// From the order to the stored certificate, each step committed durably with its audit entry.
#[derive(Clone, Debug, Serialize)]
pub struct Issuance {
    pub certificates: u64,
    pub concurrency: usize,
    pub per_second: f64,
    /// Of all threads, in user and kernel mode.
    pub processor_microseconds_each: f64,
    pub median_milliseconds: f64,
    pub slowest_percent_milliseconds: f64,
    /// From one step to the next, waiting included, on average.
    pub steps_microseconds: BTreeMap<&'static str, f64>,
    /// Resident, after each tenth.
    pub memory_megabytes: Vec<f64>,
}

/// Answers over HTTP on loopback; the client runs on the same processors.
#[derive(Clone, Debug, Serialize)]
pub struct Ocsp {
    pub connections: usize,
    /// Signed before they were asked for.
    pub ready_per_second: f64,
    /// With a nonce: the database is asked, and every answer is signed and checked.
    pub on_demand_per_second: f64,
}

/// One complete list.
#[derive(Clone, Debug, Serialize)]
pub struct RevocationList {
    pub entries: u64,
    pub octets: usize,
    pub seconds: f64,
    /// Resident before, and at most while it was made.
    pub memory_before_megabytes: f64,
    pub memory_peak_megabytes: f64,
}

/// Measures everything. `told` hears what is being done.
pub async fn run(plan: &Plan, clock: Arc<dyn Clock>, mut told: impl FnMut(String)) -> Result<Report, Error> {
    let load_before = machine::load();
    told("signing".to_owned());
    let signing = on_blocking_thread(signing).await?;
    told("making an authority".to_owned());
    let bench = Bench::new(plan, clock).await?;
    let issuance = bench.issue(plan, &mut told).await?;
    let ocsp = match plan.ocsp.is_zero() {
        true => None,
        false => Some(bench.ask(plan, &mut told).await?),
    };
    let crl = match plan.revoked {
        0 => None,
        revoked => Some(bench.list(revoked, &mut told).await?),
    };
    Ok(Report {
        database: match plan.database {
            Some(_) => "PostgreSQL",
            None => "SQLite",
        },
        processors: processors(),
        load_before,
        load_after: machine::load(),
        signing,
        issuance,
        ocsp,
        crl,
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn signing() -> Result<Signing, Error> {
    let rate = |threads: usize| -> Result<f64, Error> {
        let key = new_key()?.signing_key();
        let until = Instant::now() + SIGNING_TIME;
        let counts = std::thread::scope(|scope| {
            let work: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let mut count = 0_u32;
                        while Instant::now() < until {
                            let signed = key.sign(&[0x5a; 200]).map_err(|source| Error::Key {
                                key: "of the benchmark".to_owned(),
                                source,
                            })?;
                            std::hint::black_box(signed);
                            count += 1;
                        }
                        Ok::<_, Error>(f64::from(count))
                    })
                })
                .collect();
            work.into_iter()
                // A panic in a benchmark may end it.
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<f64>, Error>>()
        })?;
        Ok(counts.iter().sum::<f64>() / SIGNING_TIME.as_secs_f64())
    };
    Ok(Signing {
        one_thread_per_second: rate(1)?,
        all_processors_per_second: rate(processors())?,
    })
}

fn new_key() -> Result<ExportableKey, Error> {
    ExportableKey::generate(KeyAlgorithm::P256).map_err(|source| Error::Key {
        key: "of the benchmark".to_owned(),
        source,
    })
}

/// An authority with accounts whose domains are validated.
struct Bench {
    app: Arc<App>,
    steps: Arc<StepTimes>,
    callers: Vec<Caller>,
    /// Answers that no domain has CAA records, with proof; lives as long as the authority.
    _dns: dns::LocalAnswerer,
}

impl Bench {
    async fn new(plan: &Plan, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let failed = |reason: String| Error::InvalidInput { field: "bench", reason };
        let country = Country::parse("DE").map_err(|error| failed(error.to_string()))?;
        let mut options = Options::new(&plan.folder, "Benchmark", country);
        options.listen = "127.0.0.1:0".to_owned();
        options.public_listen = "127.0.0.1:0".to_owned();
        if let Some(database) = &plan.database {
            options.database = database.clone();
        }
        init(&options, AppParts::production(Arc::clone(&clock))).await?;
        let dns = dns::LocalAnswerer::start().map_err(|error| failed(format!("no local DNS: {error}")))?;
        let steps = Arc::new(StepTimes::default());
        let mut parts = AppParts::production(clock);
        parts.dns = Some(dns.resolver_config());
        parts.observer = Arc::clone(&steps) as _;
        let app = App::open(&plan.folder, parts).await?;

        let local = accounts::local_operator();
        let operator = local.as_operator("prepare a benchmark")?;
        let mut callers = Vec::new();
        for number in 0..ACCOUNTS {
            let name = format!("Account {number}");
            let account = accounts::create_account(&app, operator, &name, AccountKind::Organization).await?;
            let new = NewPrincipal {
                name,
                role: Role::Gateway,
                account: Some(account.id.to_string()),
                expires_at: None,
            };
            let (_, token) = accounts::create_principal(&app, operator, new).await?;
            callers.push(accounts::authenticate(&app, token.reveal()).await?);
            let fields = BTreeMap::from([("domain".to_owned(), domain(number))]);
            let now = app.now();
            let evidence = Evidence::new(EvidenceParts {
                id: EvidenceId::new(app.new_id("evd")),
                fact: Fact::from_fields(FactKind::DomainControl, &fields).map_err(|error| failed(error.to_string()))?,
                method: Method::DomainConstructedEmail,
                br_version: "1.0.16".to_owned(),
                collected_at: now,
                recorded_by: "benchmark".to_owned(),
                approved_by: Vec::new(),
                documents: Vec::new(),
            })
            .map_err(|error| failed(error.to_string()))?;
            app.db
                .write(move |conn| store::evidence::insert(conn, &account.id, &evidence, None, now))
                .await?;
        }
        Ok(Self {
            app,
            steps,
            callers,
            _dns: dns,
        })
    }

    async fn issue(&self, plan: &Plan, told: &mut impl FnMut(String)) -> Result<Issuance, Error> {
        // The first ones ask the DNS, open connections and fill caches.
        self.batch(0, WARM_UP.min(plan.issuances), plan.concurrency).await?;
        self.steps.reset();
        let (mut elapsed, mut processor) = (Duration::ZERO, Duration::ZERO);
        let mut latencies = Vec::new();
        let mut memory = Vec::new();
        let mut issued = 0;
        let tenth = plan.issuances.div_ceil(10).max(1);
        while issued < plan.issuances {
            let batch = BATCH.min(plan.issuances - issued).min(tenth);
            let measured = self.batch(WARM_UP + issued, batch, plan.concurrency).await?;
            elapsed += measured.elapsed;
            processor += measured.processor;
            // A thousand of each batch are enough to tell.
            latencies.extend(measured.latencies.into_iter().take(1000));
            issued += batch;
            if issued % tenth < batch {
                memory.push(machine::resident());
                told(format!(
                    "issued {issued} of {}: {:.0} a second, {:.0} MB",
                    plan.issuances,
                    per_second(issued, elapsed),
                    machine::resident(),
                ));
            }
        }
        latencies.sort();
        let at = |share: usize| {
            let index = (latencies.len() * share / 100).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        Ok(Issuance {
            certificates: issued,
            concurrency: plan.concurrency,
            per_second: per_second(issued, elapsed),
            processor_microseconds_each: processor.as_secs_f64() * 1e6 / number(issued),
            median_milliseconds: at(50),
            slowest_percent_milliseconds: at(99),
            steps_microseconds: self.steps.averages(),
            memory_megabytes: memory,
        })
    }

    /// Requests are made beforehand: that is the work of subscribers.
    async fn batch(&self, first: u64, count: u64, concurrency: usize) -> Result<Measured, Error> {
        let orders = on_blocking_thread(move || requests(first, count)).await?;
        let queue = Arc::new(std::sync::Mutex::new(orders.into_iter()));
        let (begun, used) = (Instant::now(), machine::processor_time());
        let mut working = tokio::task::JoinSet::new();
        for _ in 0..concurrency.max(1) {
            let (app, callers, queue) = (Arc::clone(&self.app), self.callers.clone(), Arc::clone(&queue));
            working.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                    let Some((account, order)) = next else {
                        return Ok::<_, Error>(latencies);
                    };
                    // The number of an account is the index of its caller.
                    let Some(caller) = callers.get(account) else { continue };
                    let begun = Instant::now();
                    let placed = orders::place(&app, caller, order).await?;
                    latencies.push(begun.elapsed());
                    match placed.state {
                        OrderState::Valid { .. } => {}
                        other => {
                            return Err(Error::InvalidInput {
                                field: "bench",
                                reason: format!("an order was not fulfilled: {other:?}"),
                            });
                        }
                    }
                }
            });
        }
        let mut latencies = Vec::new();
        while let Some(ended) = working.join_next().await {
            match ended {
                Ok(outcome) => latencies.extend(outcome?),
                Err(_) => return Err(migrations::Error::Stopping.into()),
            }
        }
        Ok(Measured {
            elapsed: begun.elapsed(),
            processor: machine::processor_time().saturating_sub(used),
            latencies,
        })
    }

    async fn ask(&self, plan: &Plan, told: &mut impl FnMut(String)) -> Result<Ocsp, Error> {
        told("asking OCSP".to_owned());
        let issuer = self.app.issuers.issuing.id.clone();
        let now = self.app.now().unix();
        let known = self
            .app
            .db
            .read(move |conn| Ok::<_, Error>(store::certificates::valid_serials(conn, &issuer, now, None, ASKED)?))
            .await?;
        let requests = known
            .iter()
            .map(|(_, serial)| ocsp::request_about(&self.app, serial, None))
            .collect::<Result<Vec<_>, Error>>()?;
        let running = Server::start(Arc::clone(&self.app)).await?;
        let address = running.public_address();
        // Until the server watches for revocations, answers are not ready.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let ready: Arc<[Vec<u8>]> = requests.iter().map(|request| load::get(request)).collect();
        load::run(address, Arc::clone(&ready), OCSP_CONNECTIONS, Duration::from_secs(1)).await?;
        let ready_rate = load::run(address, ready, OCSP_CONNECTIONS, plan.ocsp).await?;
        // More nonces than are used up, so that none comes twice while its answer could have been kept; it never is.
        let mut with_nonce = Vec::new();
        for (number, (_, serial)) in known.iter().cycle().take(NONCES).enumerate() {
            let mut nonce = [0; 32];
            nonce[..8].copy_from_slice(&u64::try_from(number).unwrap_or(0).to_be_bytes());
            with_nonce.push(load::post(&ocsp::request_about(&self.app, serial, Some(&nonce))?));
        }
        let on_demand_rate = load::run(address, with_nonce.into(), OCSP_CONNECTIONS, plan.ocsp).await?;
        running.shutdown().await;
        Ok(Ocsp {
            connections: OCSP_CONNECTIONS,
            ready_per_second: ready_rate,
            on_demand_per_second: on_demand_rate,
        })
    }

    async fn list(&self, revoked: u64, told: &mut impl FnMut(String)) -> Result<RevocationList, Error> {
        told(format!("writing {revoked} revoked certificates"));
        let operator = accounts::local_operator();
        let query = crate::certificates::Query {
            limit: 1,
            ..crate::certificates::Query::default()
        };
        let found = crate::certificates::list(&self.app, &operator, query).await?;
        let like = found.first().ok_or_else(|| Error::NotFound {
            kind: "certificate",
            id: "any".to_owned(),
        })?;
        let id = like.id.clone();
        let like = self
            .app
            .db
            .read(move |conn| Ok::<_, Error>(store::certificates::find(conn, &id)?))
            .await?
            .ok_or_else(|| Error::NotFound {
                kind: "certificate",
                id: "any".to_owned(),
            })?;
        let mut written = 0;
        while written < revoked {
            let (first, last) = (written, (written + BATCH).min(revoked));
            let like = like.clone();
            self.app
                .db
                .write(move |conn| {
                    for number in first..last {
                        store::certificates::insert(conn, &revoked_row(&like, number))?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
            written = last;
        }
        told(format!("making a list of {revoked} certificates"));
        let before = machine::resident();
        machine::forget_peak();
        let begun = Instant::now();
        let crl = crl::publish(&self.app, &self.app.issuers.issuing, Scope::Complete).await?;
        Ok(RevocationList {
            entries: revoked,
            octets: crl.der.len(),
            seconds: begun.elapsed().as_secs_f64(),
            memory_before_megabytes: before,
            memory_peak_megabytes: machine::peak(),
        })
    }
}

struct Measured {
    elapsed: Duration,
    processor: Duration,
    latencies: Vec<Duration>,
}

/// So many orders with a new key each, on all processors.
fn requests(first: u64, count: u64) -> Result<Vec<(usize, NewOrder)>, Error> {
    let threads = u64::try_from(processors()).unwrap_or(1);
    let made = std::thread::scope(|scope| {
        let work: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    (first..first + count)
                        .filter(|number| number % threads == thread)
                        .map(request)
                        .collect::<Result<Vec<_>, Error>>()
                })
            })
            .collect();
        work.into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, Error>>()
    })?;
    Ok(made.into_iter().flatten().collect())
}

fn request(number: u64) -> Result<(usize, NewOrder), Error> {
    let key = new_key()?;
    let certificate_request =
        keys::certificate_request(&*key.signing_key(), "benchmark").map_err(|source| Error::Key {
            key: "of the benchmark".to_owned(),
            source,
        })?;
    // Less than the number of accounts.
    let account = usize::try_from(number).unwrap_or(0) % ACCOUNTS;
    let mailbox = Mailbox::parse(&format!("u{number}@{}", domain(account))).map_err(|error| Error::InvalidInput {
        field: "bench",
        reason: error.to_string(),
    })?;
    let order = NewOrder {
        mailbox,
        tier: TierChoice::Exactly(Tier::V1),
        generation: Generation::Strict,
        key_use: policies::key_use::KeyUse::Both,
        certificate_request,
        idempotency_key: None,
    };
    Ok((account, order))
}

fn domain(number: usize) -> String {
    format!("company{number}.example")
}

/// As large in the index as a real one; the certificate itself is left out, since no list looks at it.
fn revoked_row(like: &CertificateRow, number: u64) -> CertificateRow {
    // Spread like the serials of real ones.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let serial = format!("41{spread:016x}{number:014x}");
    CertificateRow {
        id: format!("crt-bench-{number}"),
        serial,
        tbs: Vec::new(),
        certificate: Some(Vec::new()),
        state: AsText(CertificateState::Signed),
        revoked_at: Some(like.recorded_at),
        revocation_reason: number.is_multiple_of(4).then(|| "superseded".to_owned()),
        spki_sha256: None,
        ..like.clone()
    }
}

/// How long each step took, of all issuances together.
#[derive(Debug, Default)]
struct StepTimes {
    nanoseconds: [AtomicU64; Step::ALL.len()],
    issuances: AtomicU64,
}

impl StepTimes {
    fn reset(&self) {
        for nanoseconds in &self.nanoseconds {
            nanoseconds.store(0, Ordering::Relaxed);
        }
        self.issuances.store(0, Ordering::Relaxed);
    }

    fn averages(&self) -> BTreeMap<&'static str, f64> {
        let issuances = number(self.issuances.load(Ordering::Relaxed));
        let steps = [
            "1 approved",
            "2 prepared",
            "3 linted",
            "4 recorded",
            "5 signed",
            "6 verified",
            "7 stored",
            "8 published",
        ];
        // What comes before the first step is not seen from here.
        steps
            .into_iter()
            .zip(&self.nanoseconds)
            .skip(1)
            .map(|(step, nanoseconds)| (step, number(nanoseconds.load(Ordering::Relaxed)) / 1e3 / issuances))
            .collect()
    }
}

impl IssuanceObserver for StepTimes {
    fn reached(&self, step: Step, _: &str, _: Option<&str>) {
        thread_local! {
            // One thread issues one certificate from the beginning to the end.
            static LAST: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
        }
        let now = Instant::now();
        let last = LAST.replace(Some(now));
        let Some(index) = Step::ALL.iter().position(|known| *known == step) else {
            return;
        };
        if let (Some(last), Some(nanoseconds)) = (last, self.nanoseconds.get(index))
            && step != Step::Approved
        {
            let elapsed = u64::try_from(now.duration_since(last).as_nanos()).unwrap_or(u64::MAX);
            nanoseconds.fetch_add(elapsed, Ordering::Relaxed);
        }
        if step == Step::Published {
            self.issuances.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    number(count) / elapsed.as_secs_f64()
}

/// Exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "counts of a benchmark"
)]
fn number(count: u64) -> f64 {
    count as f64
}

const SIGNING_TIME: Duration = Duration::from_secs(1);
const ACCOUNTS: usize = 16;
const WARM_UP: u64 = 500;
/// Some 20 MB of requests.
const BATCH: u64 = 10_000;
/// How many certificates OCSP is asked about.
const ASKED: i64 = 1000;
const OCSP_CONNECTIONS: usize = 32;
const NONCES: usize = 20_000;
