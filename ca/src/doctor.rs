//! `sealwright ca doctor`: what an operator should know before a subscriber notices.
//!
//! Everything is looked at and nothing is changed. A check that cannot be made is a failure of that check.

use std::fmt;
use std::time::Duration;

use policies::time::{Span, Timestamp};

use crate::app::App;
use crate::config::{Caa, Trusted};
use crate::crl::{self, Scope};
use crate::error::{self, Error};
use crate::issuers::Issuer;
use crate::perspectives::Remote;
use crate::problem_reports;
use crate::store;
use crate::store::certificates::{CertificateState, Filter};

/// Makes every check, in the order in which one would look.
pub async fn examine(app: &App) -> Vec<Check> {
    let now = app.now();
    let mut checks = vec![database(app, now).await];
    for issuer in app.issuers.all() {
        checks.push(certificate(issuer, now));
        match crl::scopes(app, issuer).await {
            Ok(scopes) => checks.extend(revocation_lists(app, issuer, &scopes, now).await),
            Err(error) => checks.push(Check::failed(&format!("{}-crl", issuer.id), &error)),
        }
    }
    checks.push(issuing_key(&app.issuers.issuing));
    checks.push(audit_log(app, now).await);
    checks.push(expiring(app, now).await);
    checks.push(deadlines(app).await);
    checks.push(mail(app).await);
    checks.push(dns(app).await);
    checks.push(caa(app));
    checks.extend(perspectives(app, now).await);
    checks
}

/// Whether requests can be served: the database answers, the issuing key opens, its CRL counts.
pub(crate) async fn is_ready(app: &App) -> bool {
    let now = app.now();
    let issuing = &app.issuers.issuing;
    let checks = [
        database(app, now).await,
        issuing_key(issuing),
        revocation_list(app, issuing, Scope::Complete, now).await,
    ];
    checks.iter().all(|check| check.health != Health::Broken)
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable, for programs.
    pub name: String,
    pub health: Health,
    /// What was found, and what to do about it.
    pub finding: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Good,
    /// It works, and somebody has to do something soon.
    Attention,
    Broken,
}

impl AsRef<str> for Health {
    fn as_ref(&self) -> &str {
        match self {
            Self::Good => "good",
            Self::Attention => "attention",
            Self::Broken => "broken",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl Check {
    fn new(name: &str, health: Health, finding: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            health,
            finding: finding.into(),
        }
    }

    fn failed(name: &str, error: &Error) -> Self {
        Self::new(name, Health::Broken, error::chain(error))
    }
}

/// That the database answers, and that the clock is not behind what it says has happened.
async fn database(app: &App, now: Timestamp) -> Check {
    let newest = app.db.read(|conn| Ok::<_, Error>(store::audit::head(conn)?)).await;
    match newest.map(|row| row.map(|row| Timestamp::from_unix(row.at))) {
        Err(error) => Check::failed("database-and-clock", &error),
        Ok(Some(newest)) if newest > now.plus(CLOCK_TOLERANCE) => Check::new(
            "database-and-clock",
            Health::Broken,
            format!("the clock says {now}, but something was recorded at {newest}: set the clock"),
        ),
        Ok(_) => Check::new(
            "database-and-clock",
            Health::Good,
            format!("the database answers; it is {now}"),
        ),
    }
}

fn certificate(issuer: &Issuer, now: Timestamp) -> Check {
    let name = format!("{}-certificate", issuer.id);
    let left = issuer.not_after().since(now);
    let health = match left {
        _ if issuer.not_after() < now => Health::Broken,
        left if left < ISSUER_ATTENTION => Health::Attention,
        _ => Health::Good,
    };
    let advice = match health {
        Health::Good => "",
        _ => ": a new one is needed before certificates of full length can be issued",
    };
    Check::new(&name, health, format!("valid until {}{advice}", issuer.not_after()))
}

/// The complete list, and the worst of the shards.
async fn revocation_lists(app: &App, issuer: &Issuer, scopes: &[Scope], now: Timestamp) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for scope in scopes {
        let check = revocation_list(app, issuer, *scope, now).await;
        match (scope, checks.get_mut(1)) {
            (Scope::Shard(_), Some(worst)) if worst.health >= check.health => {}
            (Scope::Shard(_), Some(worst)) => *worst = check,
            _ => checks.push(check),
        }
    }
    if let Some(worst) = checks.get_mut(1) {
        worst.finding = format!("of {} shards the worst: {}", scopes.len() - 1, worst.finding);
    }
    checks
}

async fn revocation_list(app: &App, issuer: &Issuer, scope: Scope, now: Timestamp) -> Check {
    let name = match scope {
        Scope::Complete => format!("{}-crl", issuer.id),
        Scope::Shard(_) => format!("{}-crl-shards", issuer.id),
    };
    let issuer_id = issuer.id.clone();
    let newest = app
        .db
        .read(move |conn| Ok::<_, Error>(store::crls::newest_dates(conn, &issuer_id, scope)?))
        .await;
    let advice = "start `sealwright ca serve`, or run `sealwright ca crl`";
    match newest {
        Err(error) => Check::failed(&name, &error),
        Ok(None) => Check::new(&name, Health::Broken, format!("there is none: {advice}")),
        Ok(Some(newest)) => {
            let next_update = Timestamp::from_unix(newest.next_update);
            let number = newest.number;
            if next_update <= now {
                Check::new(
                    &name,
                    Health::Broken,
                    format!("number {number} ended at {next_update}: {advice}"),
                )
            } else if next_update.since(now) < CRL_ATTENTION {
                Check::new(
                    &name,
                    Health::Attention,
                    format!("number {number} ends at {next_update}: {advice}"),
                )
            } else {
                Check::new(
                    &name,
                    Health::Good,
                    format!("number {number} counts until {next_update}"),
                )
            }
        }
    }
}

fn issuing_key(issuer: &Issuer) -> Check {
    match issuer.key.algorithm() {
        Ok(algorithm) => Check::new(
            "issuing-key",
            Health::Good,
            format!("opens, and signs with {algorithm:?}"),
        ),
        Err(error) => Check::failed("issuing-key", &error),
    }
}

/// Whether the log is signed up to a recent row. `sealwright ca audit verify` reads all of it.
async fn audit_log(app: &App, now: Timestamp) -> Check {
    let found = app
        .db
        .read(|conn| Ok::<_, Error>((store::audit::head(conn)?, store::audit::newest_checkpoint(conn)?)))
        .await;
    match found {
        Err(error) => Check::failed("audit-log", &error),
        Ok((Some(head), Some(checkpoint))) if checkpoint.sequence <= head.sequence => {
            let unsigned = head.sequence - checkpoint.sequence;
            let at = Timestamp::from_unix(checkpoint.at);
            let late = unsigned > 0 && now.since(at) > CHECKPOINT_ATTENTION;
            let health = if late { Health::Attention } else { Health::Good };
            let advice = if late {
                ": is `sealwright ca serve` running?"
            } else {
                ""
            };
            let finding = format!(
                "{} rows, of which {unsigned} came after the checkpoint of {at}{advice}",
                head.sequence
            );
            Check::new("audit-log", health, finding)
        }
        Ok(_) => Check::new(
            "audit-log",
            Health::Broken,
            "rows or checkpoints are missing: run `sealwright ca audit verify`",
        ),
    }
}

/// How many certificates end soon.
async fn expiring(app: &App, now: Timestamp) -> Check {
    let soon = now.plus(EXPIRY_NOTICE).unix();
    let filter = Filter {
        state: Some(CertificateState::Signed),
        not_expired_at: Some(now.unix()),
        ..Filter::default()
    };
    let (mut valid, mut ending) = (0_u64, 0_u64);
    let mut after: Option<String> = None;
    loop {
        let (page_filter, page_after) = (filter.clone(), after.clone());
        let rows = app
            .db
            .read(move |conn| {
                let after = page_after.as_deref();
                Ok::<_, Error>(store::certificates::page(conn, &page_filter, after, PAGE)?)
            })
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return Check::failed("certificates", &error),
        };
        let Some(last) = rows.last() else { break };
        after = Some(last.id.clone());
        for row in rows.iter().filter(|row| row.revoked_at.is_none()) {
            valid += 1;
            ending += u64::from(row.not_after <= soon);
        }
    }
    let health = if ending > 0 { Health::Attention } else { Health::Good };
    Check::new(
        "certificates",
        health,
        format!("valid: {valid}, of which {ending} end within 30 days"),
    )
}

/// Problem reports (BR 4.9.1.1, 4.9.5).
async fn deadlines(app: &App) -> Check {
    let clocks = match problem_reports::clocks(app).await {
        Ok(clocks) => clocks,
        Err(error) => return Check::failed("problem-reports", &error),
    };
    let health = match (clocks.overdue, clocks.soon) {
        (0, 0) => Health::Good,
        (0, _) => Health::Attention,
        _ => Health::Broken,
    };
    let advice = match health {
        Health::Good => "",
        _ => ": see `sealwright ca report list`",
    };
    Check::new(
        "problem-reports",
        health,
        format!(
            "open: {}, of which {} are due soon and {} overdue{advice}",
            clocks.running, clocks.soon, clocks.overdue
        ),
    )
}

/// Whether the mail server accepts a connection.
async fn mail(app: &App) -> Check {
    let Some(server) = &app.config.mail.smtp else {
        let finding = "no server is configured, so no challenge can be sent: write [mail] smtp in ca.toml";
        return Check::new("mail", Health::Attention, finding);
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(server)).await;
    match connected {
        Ok(Ok(_)) => Check::new("mail", Health::Good, format!("{server} accepts connections")),
        Ok(Err(error)) => Check::new("mail", Health::Broken, format!("{server} cannot be reached: {error}")),
        Err(_) => Check::new("mail", Health::Broken, format!("{server} does not answer")),
    }
}

/// Whether the DNS servers answer, and pass on what DNSSEC needs.
async fn dns(app: &App) -> Check {
    let servers: Vec<String> = app.dns.servers().iter().map(ToString::to_string).collect();
    let servers = servers.join(", ");
    let name = match dns::Name::parse(SIGNED_NAME) {
        Ok(name) => name,
        Err(error) => return Check::new("dns", Health::Broken, error.to_string()),
    };
    let answer = app.dns.caa(&name).await;
    let security = match (answer.found(), answer.absent()) {
        (Some((_, security)), _) => Some(security),
        (None, absent) => absent.map(|absent| absent.security),
    };
    let (health, finding) = match (&answer, security) {
        (_, Some(dns::Security::Secure)) => (Health::Good, format!("{servers}: answers are proved with DNSSEC")),
        (_, Some(dns::Security::Insecure)) => (
            Health::Attention,
            format!("{servers}: {SIGNED_NAME} is not signed under the configured trust anchor"),
        ),
        (dns::Answer::Bogus(bogus), _) => (
            Health::Broken,
            format!(
                "{servers}: {bogus}; name a resolver under [dns] servers that passes on DNSSEC records, and check \
                 trust_anchor and the clock"
            ),
        ),
        (answer, _) => {
            let reason = match answer {
                dns::Answer::Failed(failure) => failure.to_string(),
                other => other.state().to_owned(),
            };
            (
                Health::Broken,
                format!(
                    "{servers}: {reason}; nothing can be issued until [dns] servers in ca.toml names one that answers"
                ),
            )
        }
    };
    Check::new("dns", health, finding)
}

fn caa(app: &App) -> Check {
    match &app.config.caa {
        Caa::Check { issuers } if issuers.is_empty() => Check::new(
            "caa",
            Health::Attention,
            "no name is configured by which a domain could permit this authority: write [caa] issuers in ca.toml",
        ),
        Caa::Check { issuers } => {
            let names: Vec<&str> = issuers.iter().map(AsRef::as_ref).collect();
            Check::new("caa", Health::Good, format!("domains may name {}", names.join(", ")))
        }
        Caa::Off { because } => Check::new(
            "caa",
            Health::Attention,
            format!("domains are not asked ({because}): no publicly trusted authority may do this (BR 4.2.2.1)"),
        ),
    }
}

/// Whether enough networks look at domains, and each of them answers as it should.
async fn perspectives(app: &App, now: Timestamp) -> Vec<Check> {
    let remotes = app.perspectives.remotes();
    let needed = app.perspectives.requirement(now).perspectives;
    let advice = "set up others with `sealwright ca perspective init` and name them under [[perspective]] in ca.toml";
    let public = app.config.perspectives.trusted == Trusted::Publicly;
    let next = policies::perspective::Requirement::next(now)
        .filter(|(from, next)| public && next.perspectives > remotes.len() && from.since(now) < PERSPECTIVES_NOTICE);
    let overall = match (public, remotes.len()) {
        (true, found) if found < needed => (
            Health::Broken,
            format!(
                "remote perspectives: {found}, and {needed} are needed now (TLS BR 3.2.2.9): no domain can be validated, \
                 and nothing issued that rests on one; {advice}"
            ),
        ),
        (false, 0) => (
            Health::Attention,
            format!(
                "domains are looked at from this network alone, so whoever diverts its traffic can have certificates: only \
                 a private authority may do this (BR 4.2.2.2); {advice}"
            ),
        ),
        (_, found) => match next {
            Some((from, next)) => (
                Health::Attention,
                format!(
                    "remote perspectives: {found}; from {from} on {} are needed (TLS BR 3.2.2.9): {advice}",
                    next.perspectives
                ),
            ),
            None => (Health::Good, format!("remote perspectives: {found}")),
        },
    };
    let mut checks = vec![Check::new("perspectives", overall.0, overall.1)];
    let numbers = remotes.iter().map(|_| app.new_id("doctor")).collect::<Vec<_>>();
    let mut asking = tokio::task::JoinSet::new();
    for (position, (remote, number)) in remotes.iter().cloned().zip(numbers).enumerate() {
        asking.spawn(async move { (position, perspective(&remote, &number, now).await) });
    }
    let mut found = asking.join_all().await;
    found.sort_by_key(|(position, _)| *position);
    checks.extend(found.into_iter().map(|(_, check)| check));
    checks
}

async fn perspective(remote: &Remote, number: &str, now: Timestamp) -> Check {
    let name = format!("perspective-{}", remote.name);
    let (url, registry) = (remote.url(), remote.registry);
    let about = match remote.about(number).await {
        Ok(about) => about,
        Err(unanswered) => {
            let finding = format!("{url}: {unanswered}; it has no vote until this is repaired");
            return Check::new(&name, Health::Broken, finding);
        }
    };
    let ours = env!("CARGO_PKG_VERSION");
    let seconds = about.at.since(now).as_seconds().abs();
    let (health, note) = if seconds > CLOCK_TOLERANCE.as_seconds() {
        let note = format!("; its clock says {}, so its answers do not count: set it", about.at);
        (Health::Broken, note)
    } else if seconds > PERSPECTIVE_CLOCK_ATTENTION.as_seconds() {
        (Health::Attention, format!("; its clock is {seconds} seconds from ours"))
    } else if about.version != ours {
        (
            Health::Attention,
            format!("; it is of version {}, this is {ours}", about.version),
        )
    } else {
        (Health::Good, String::new())
    };
    let network = match about.network.as_str() {
        "" => String::new(),
        network => format!(", {network}"),
    };
    Check::new(&name, health, format!("{url} answers ({registry}{network}){note}"))
}

/// A top-level domain that is signed and has been for long.
const SIGNED_NAME: &str = "com";
/// To set up a perspective takes somebody who has machines in another part of the world.
const PERSPECTIVES_NOTICE: Span = Span::days(90);
const PERSPECTIVE_CLOCK_ATTENTION: Span = Span::minutes(1);
/// Nodes of one database may differ by so much. So may perspectives.
const CLOCK_TOLERANCE: Span = Span::minutes(5);
/// Longer than any certificate of a subscriber lasts (BR 6.3.2: 825 days).
const ISSUER_ATTENTION: Span = Span::days(825);
/// BR 4.9.7: a list lives seven days here and is made daily, so something has failed for days.
const CRL_ATTENTION: Span = Span::days(3);
/// Checkpoints are made hourly.
const CHECKPOINT_ATTENTION: Span = Span::hours(3);
const EXPIRY_NOTICE: Span = Span::days(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE: i64 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Database, World};

    async fn health(world: &World, name: &str) -> (Health, String) {
        let checks = examine(&world.app).await;
        let check = checks.into_iter().find(|check| check.name == name).unwrap();
        (check.health, check.finding)
    }

    #[tokio::test]
    async fn a_new_authority_needs_nothing_but_mail() {
        let world = World::new(Database::Sqlite).await.unwrap();
        for check in examine(&world.app).await {
            // It is private, so that nobody else has to look at domains; but somebody should.
            let expected = match check.name.as_str() {
                "mail" | "perspectives" => Health::Attention,
                _ => Health::Good,
            };
            assert_eq!(check.health, expected, "{check:?}");
        }
        assert!(is_ready(&world.app).await);
    }

    #[tokio::test]
    async fn time_that_passes_and_clocks_that_jump_are_noticed() {
        let world = World::new(Database::Sqlite).await.unwrap();
        world.clock.advance(Span::days(5));
        let (found, finding) = health(&world, "issuing-crl").await;
        assert_eq!(found, Health::Attention, "{finding}");
        world.clock.advance(Span::days(3));
        let (found, finding) = health(&world, "issuing-crl").await;
        assert!(
            found == Health::Broken && finding.contains("sealwright ca crl"),
            "{finding}"
        );
        assert!(!is_ready(&world.app).await);
        world.clock.advance(Span::days(6 * 365));
        assert_eq!(health(&world, "issuing-certificate").await.0, Health::Attention);
        world.clock.advance(Span::days(2 * 365));
        assert_eq!(health(&world, "issuing-certificate").await.0, Health::Broken);
        assert_eq!(health(&world, "root-certificate").await.0, Health::Good);
        world.clock.set(crate::testing::START.minus(Span::hours(1)));
        let (found, finding) = health(&world, "database-and-clock").await;
        assert!(
            found == Health::Broken && finding.contains("set the clock"),
            "{finding}"
        );
    }

    #[tokio::test]
    async fn servers_that_are_gone_or_lie_are_noticed() {
        let (local, other) = (
            dns::LocalAnswerer::start().unwrap(),
            dns::LocalAnswerer::start().unwrap(),
        );
        let world = World::with_dns(Database::Sqlite, local.resolver_config())
            .await
            .unwrap();
        assert_eq!(health(&world, "dns").await.0, Health::Good);
        drop(local);
        let (found, finding) = health(&world, "dns").await;
        assert!(
            found == Health::Broken && finding.contains("[dns] servers"),
            "{finding}"
        );
        let mut config = other.resolver_config();
        config.trust_anchor = dns::TrustAnchor::Iana;
        let world = World::with_dns(Database::Sqlite, config).await.unwrap();
        let (found, finding) = health(&world, "dns").await;
        assert!(found == Health::Broken && finding.contains("trust_anchor"), "{finding}");
    }

    #[tokio::test]
    async fn a_log_without_its_rows_and_a_database_without_its_tables_are_broken() {
        let world = World::new(Database::Sqlite).await.unwrap();
        world.tamper("DELETE FROM audit_checkpoints").await;
        assert_eq!(health(&world, "audit-log").await.0, Health::Broken);
        world
            .tamper("DROP TABLE audit_checkpoints; DROP TABLE audit_log; DROP TABLE crls")
            .await;
        for name in ["database-and-clock", "audit-log", "root-crl", "issuing-crl"] {
            assert_eq!(health(&world, name).await.0, Health::Broken, "{name}");
        }
        assert!(!is_ready(&world.app).await);
    }
}
