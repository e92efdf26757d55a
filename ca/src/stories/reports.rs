//! Certificate problem reports, and the deadlines of BR 4.9.1.1 and 4.9.5.

use std::sync::Arc;

use policies::time::Span;

use super::world;
use crate::accounts::{self, Role};
use crate::doctor::{self, Health};
use crate::error::Error;
use crate::orders::{OrderState, TierChoice, place};
use crate::problem_reports::{self, BY_COMMAND, Cause, Clocks, NewReport, Outcome, Report, State};
use crate::revocation::Reason;
use crate::testing::{Proof, World, order};

const ADA: &str = "ada@example.com";

async fn certificate(world: &World) -> String {
    let ada = world.subscriber("Ada").await;
    world.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    let placed = place(&world.app, &ada, order(ADA, TierChoice::Best)).await.unwrap();
    match placed.state {
        OrderState::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

fn about(serial: &str, cause: Cause) -> NewReport {
    NewReport {
        serial: serial.to_owned(),
        cause,
        text: "The key is on a paste site.\r\nSee https://paste.example/1".to_owned(),
        contact: Some("eve@example.net".to_owned()),
    }
}

async fn submit(world: &World, serial: &str, cause: Cause) -> Report {
    problem_reports::submit(&world.app, about(serial, cause), "api").await.unwrap()
}

async fn clocks(world: &World) -> Clocks {
    problem_reports::clocks(&world.app).await.unwrap()
}

async fn health(world: &World) -> Health {
    let checks = doctor::examine(&world.app).await;
    checks.into_iter().find(|check| check.name == "problem-reports").unwrap().health
}

#[tokio::test]
async fn a_compromise_is_answered_within_a_day_and_revoked_within_a_day_of_the_report() {
    let world = world!();
    let serial = certificate(&world).await;
    let received = world.app.now();
    let colons: Vec<String> = serial.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    let report = submit(&world, &colons.join(":"), Cause::KeyCompromise).await;
    assert_eq!(report.serial, serial);
    assert_eq!(report.next(), Some(("preliminary report", received.plus(Span::hours(24)))));
    assert_eq!(clocks(&world).await, Clocks { running: 1, soon: 0, overdue: 0 });

    let officer = world.principal("Grace", Role::Officer).await;
    world.clock.advance(Span::hours(3));
    let answered = problem_reports::answer(&world.app, &officer, &report.id, Cause::KeyCompromise, "We found it, too.")
        .await
        .unwrap();
    // Counted from the receipt, not from the answer.
    assert_eq!(answered.next(), Some(("revocation or decision", received.plus(Span::hours(24)))));
    let mails = world.outbox.mails();
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, [ADA, "eve@example.net"]);
    assert!(mails.iter().all(|mail| mail.text.contains("We found it, too.") && mail.subject.contains(&serial)));

    let closed = problem_reports::close(&world.app, &officer, &report.id, Outcome::Revoke).await.unwrap();
    assert_eq!((closed.state, closed.next()), (State::Closed, None));
    let row = world.row(&serial).await;
    assert_eq!(row.revoked_at, Some(world.app.now().unix()));
    assert_eq!(row.revocation_reason.as_deref(), Some(Reason::KeyCompromise.as_ref()));
    assert_eq!(clocks(&world).await, Clocks::default());
    crate::audit::verify(&world.app).await.unwrap();
}

#[tokio::test]
async fn deadlines_that_are_near_or_missed_are_told_by_the_doctor() {
    let world = world!();
    let serial = certificate(&world).await;
    let officer = world.principal("Grace", Role::Officer).await;
    let report = submit(&world, &serial, Cause::Misuse).await;
    assert_eq!(health(&world).await, Health::Good);
    // A quarter of 24 hours is left.
    world.clock.advance(Span::hours(18));
    assert_eq!(clocks(&world).await, Clocks { running: 1, soon: 1, overdue: 0 });
    assert_eq!(health(&world).await, Health::Attention);
    world.clock.advance(Span::hours(6));
    assert_eq!(clocks(&world).await, Clocks { running: 1, soon: 0, overdue: 1 });
    assert_eq!(health(&world).await, Health::Broken);
    // Late is better than never; then the five days count, from the receipt.
    problem_reports::answer(&world.app, &officer, &report.id, Cause::Misuse, "Spam was signed.").await.unwrap();
    assert_eq!(health(&world).await, Health::Good);
    world.clock.advance(Span::hours(95));
    assert_eq!(health(&world).await, Health::Attention);
    world.clock.advance(Span::hours(1));
    assert_eq!(health(&world).await, Health::Broken);
    problem_reports::close(&world.app, &officer, &report.id, Outcome::Keep).await.unwrap();
    assert_eq!(health(&world).await, Health::Good);
    assert_eq!(world.row(&serial).await.revoked_at, None);
}

#[tokio::test]
async fn what_is_due_first_comes_first() {
    let world = world!();
    let serial = certificate(&world).await;
    let officer = world.principal("Grace", Role::Officer).await;
    let misuse = submit(&world, &serial, Cause::Misuse).await;
    problem_reports::answer(&world.app, &officer, &misuse.id, Cause::Misuse, "Perhaps.").await.unwrap();
    world.clock.advance(Span::hours(1));
    let second = submit(&world, &serial, Cause::KeyCompromise).await;
    let listed = problem_reports::list(&world.app, &officer, false).await.unwrap();
    let order: Vec<&str> = listed.iter().map(|report| report.id.as_str()).collect();
    assert_eq!(order, [second.id.as_str(), misuse.id.as_str()]);
    problem_reports::close(&world.app, &officer, &misuse.id, Outcome::Keep).await.unwrap();
    assert_eq!(problem_reports::list(&world.app, &officer, false).await.unwrap().len(), 1);
    assert_eq!(problem_reports::list(&world.app, &officer, true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn reports_that_say_nothing_or_come_too_many_are_refused() {
    let world = world!();
    let serial = certificate(&world).await;
    let changes: [fn(&mut NewReport); 6] = [
        |report| report.serial = "40".to_owned(),
        |report| report.serial = "'; DROP TABLE problem_reports; --".to_owned(),
        |report| report.text = "  \r\n ".to_owned(),
        |report| report.text = "x".repeat(8001),
        |report| report.text = "\u{202e}".to_owned(),
        |report| report.contact = Some("nobody".to_owned()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut report = about(&serial, Cause::Misuse);
        change(&mut report);
        let error = problem_reports::submit(&world.app, report, "form").await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{number}: {error}");
    }
    assert_eq!(clocks(&world).await, Clocks::default());
    for _ in 0..10 {
        submit(&world, &serial, Cause::Misuse).await;
    }
    let error = problem_reports::submit(&world.app, about(&serial, Cause::Misuse), "form").await.unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
    // An officer is not kept from entering what came by telephone.
    problem_reports::submit(&world.app, about(&serial, Cause::Misuse), BY_COMMAND).await.unwrap();
}

#[tokio::test]
async fn only_officers_and_operators_work_on_reports_and_each_step_once() {
    let world = world!();
    let serial = certificate(&world).await;
    let report = submit(&world, &serial, Cause::Misuse).await;
    let app: &Arc<_> = &world.app;
    let operator = accounts::local_operator();
    for role in [Role::Subscriber, Role::Gateway] {
        let eve = world.principal("Eve", role).await;
        let errors = [
            problem_reports::list(app, &eve, true).await.map(drop).unwrap_err(),
            problem_reports::find(app, &eve, &report.id).await.map(drop).unwrap_err(),
            problem_reports::answer(app, &eve, &report.id, Cause::Misuse, "x").await.map(drop).unwrap_err(),
            problem_reports::close(app, &eve, &report.id, Outcome::Revoke).await.map(drop).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| matches!(error, Error::NotAllowed { .. })), "{errors:?}");
    }
    // Nothing is closed that nobody has answered.
    let error = problem_reports::close(app, &operator, &report.id, Outcome::Revoke).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
    assert_eq!(world.row(&serial).await.revoked_at, None);
    let error = problem_reports::answer(app, &operator, &report.id, Cause::Misuse, " ").await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    problem_reports::answer(app, &operator, &report.id, Cause::Misuse, "Yes.").await.unwrap();
    let error = problem_reports::answer(app, &operator, &report.id, Cause::Misuse, "No.").await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
    problem_reports::close(app, &operator, &report.id, Outcome::Keep).await.unwrap();
    let error = problem_reports::close(app, &operator, &report.id, Outcome::Revoke).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
    assert_eq!(world.row(&serial).await.revoked_at, None);
    let error = problem_reports::find(app, &operator, "rep-x").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
