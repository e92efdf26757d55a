//! Cases on both databases: who may decide what, and what is refused.

use zeroize::Zeroizing;

use super::*;
use crate::testing::{Database, World};

/// One authority for each database there is.
async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        worlds.extend(World::new(database).await);
    }
    worlds
}

async fn world() -> World {
    World::new(Database::Sqlite).await.unwrap()
}

fn organization() -> Subject {
    Subject::OrganizationIdentity(ca_api::cases::OrganizationIdentity {
        legal_name: "Beispiel AG".to_owned(),
        country: "DE".to_owned(),
        state_or_province: None,
        locality: Some("Berlin".to_owned()),
        organization_identifier: "NTRDE-DEK1101R.HRB12345".to_owned(),
    })
}

fn individual() -> Subject {
    Subject::IndividualIdentity(ca_api::cases::IndividualIdentity {
        given_name: Some("Ada".to_owned()),
        surname: Some("Lovelace".to_owned()),
        mailbox: "ada@example.com".parse().unwrap(),
    })
}

fn finding(method: Method, documents: &[[u8; 32]]) -> NewEvidence {
    NewEvidence {
        method: method.to_string(),
        collected_at: None,
        documents: documents.iter().copied().map(ca_api::cases::Sha256).collect(),
        note: "Compared with the register.".to_owned(),
    }
}

fn decision(decision: Decision) -> NewDecision {
    NewDecision {
        decision,
        reason: "The extract is genuine.".to_owned(),
    }
}

async fn open_by(world: &World, caller: &Caller, subject: &Subject) -> Case {
    open(&world.app, caller.as_member("test").unwrap(), subject)
        .await
        .unwrap()
}

async fn record(world: &World, officer: &Caller, case: &Case, method: Method) -> Result<Case, Error> {
    record_evidence(
        &world.app,
        officer.as_officer("test").unwrap(),
        &case.id,
        &finding(method, &[]),
    )
    .await
}

async fn decide_by(world: &World, officer: &Caller, case: &Case, wanted: Decision) -> Result<Case, Error> {
    decide(
        &world.app,
        officer.as_officer("test").unwrap(),
        &case.id,
        &decision(wanted),
    )
    .await
}

async fn evidence(world: &World, caller: &Caller) -> Vec<Evidence> {
    let account = caller.account.clone().unwrap();
    world
        .app
        .db
        .read(move |conn| store::evidence::of_account(conn, &account))
        .await
        .unwrap()
}

#[tokio::test]
async fn invariant_06_an_organization_takes_two_officers() {
    for world in worlds().await {
        let applicant = world.subscriber("Beispiel").await;
        let (olga, otto) = (
            world.principal("Olga", Role::Officer).await,
            world.principal("Otto", Role::Officer).await,
        );
        let case = open_by(&world, &applicant, &organization()).await;
        record(&world, &olga, &case, Method::RegisterExtract).await.unwrap();

        let after_one = decide_by(&world, &olga, &case, Decision::Approve).await.unwrap();
        assert_eq!(after_one.state, CaseState::Open);
        assert!(evidence(&world, &applicant).await.is_empty());

        let again = decide_by(&world, &olga, &case, Decision::Approve).await.unwrap_err();
        assert!(matches!(again, Error::DecidedAlready { .. }), "{again}");
        assert!(evidence(&world, &applicant).await.is_empty());

        let after_two = decide_by(&world, &otto, &case, Decision::Approve).await.unwrap();
        assert_eq!(after_two.state, CaseState::Approved);
        let evidence = evidence(&world, &applicant).await;
        let [evidence] = evidence.as_slice() else {
            panic!("{evidence:?}")
        };
        assert_eq!(evidence.fact(), &case.fact);
        assert_eq!(
            evidence.approved_by(),
            [olga.principal_id.to_string(), otto.principal_id.to_string()]
        );
        assert_eq!(evidence.approvals_beside(applicant.principal_id.as_ref()), 2);
    }
}

#[tokio::test]
async fn invariant_06_an_individual_takes_one_officer() {
    for world in worlds().await {
        let applicant = world.subscriber("Ada").await;
        let olga = world.principal("Olga", Role::Officer).await;
        let case = open_by(&world, &applicant, &individual()).await;
        record(&world, &olga, &case, Method::IdentityDocument).await.unwrap();
        let case = decide_by(&world, &olga, &case, Decision::Approve).await.unwrap();
        assert_eq!(case.state, CaseState::Approved);
        assert_eq!(evidence(&world, &applicant).await.len(), 1);
    }
}

#[tokio::test]
async fn invariant_06_whoever_opened_a_case_does_not_decide_it() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let olga = world.principal("Olga", Role::Officer).await;
    let case = open_by(&world, &applicant, &individual()).await;
    record(&world, &olga, &case, Method::IdentityDocument).await.unwrap();
    // An officer who was a subscriber when the case was opened, which no API allows.
    world
        .tamper(&format!("UPDATE cases SET opened_by = '{}'", olga.principal_id))
        .await;
    for wanted in [Decision::Approve, Decision::Reject] {
        let error = decide_by(&world, &olga, &case, wanted).await.unwrap_err();
        assert!(matches!(error, Error::OwnCase { .. }), "{error}");
    }
    assert!(evidence(&world, &applicant).await.is_empty());
    for role in [Role::Operator, Role::Subscriber, Role::Gateway] {
        assert!(world.principal("P", role).await.as_officer("decide cases").is_err());
    }
}

#[tokio::test]
async fn invariant_06_two_decisions_of_one_officer_cannot_even_be_stored() {
    for world in worlds().await {
        let applicant = world.subscriber("Beispiel").await;
        let olga = world.principal("Olga", Role::Officer).await;
        let case = open_by(&world, &applicant, &organization()).await;
        record(&world, &olga, &case, Method::RegisterExtract).await.unwrap();
        decide_by(&world, &olga, &case, Decision::Approve).await.unwrap();
        let row = DecisionRow {
            id: "second".to_owned(),
            case_id: case.id.clone(),
            principal_id: olga.principal_id.to_string(),
            decision: AsText(Decision::Approve),
            reason: "again".to_owned(),
            decided_at: 0,
        };
        let stored = world
            .app
            .db
            .write(move |conn| Ok::<_, Error>(store::cases::insert_decision(conn, &row)?))
            .await;
        assert!(matches!(stored, Err(Error::Database(_))), "{stored:?}");
    }
}

#[tokio::test]
async fn invariant_06_of_simultaneous_approvals_by_one_officer_one_counts() {
    for world in worlds().await {
        let applicant = world.subscriber("Beispiel").await;
        let olga = world.principal("Olga", Role::Officer).await;
        let case = open_by(&world, &applicant, &organization()).await;
        record(&world, &olga, &case, Method::RegisterExtract).await.unwrap();
        let attempts: Vec<_> = (0..6)
            .map(|_| {
                let (app, olga, id) = (Arc::clone(&world.app), olga.clone(), case.id.clone());
                tokio::spawn(async move {
                    decide(
                        &app,
                        olga.as_officer("test").unwrap(),
                        &id,
                        &decision(Decision::Approve),
                    )
                    .await
                })
            })
            .collect();
        let mut successes = 0;
        for attempt in attempts {
            successes += usize::from(attempt.await.unwrap().is_ok());
        }
        assert_eq!(successes, 1);
        assert!(evidence(&world, &applicant).await.is_empty());
    }
}

#[tokio::test]
async fn invariant_06_nothing_is_added_after_the_first_approval() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let olga = world.principal("Olga", Role::Officer).await;
    let case = open_by(&world, &applicant, &organization()).await;
    record(&world, &olga, &case, Method::RegisterExtract).await.unwrap();
    decide_by(&world, &olga, &case, Decision::Approve).await.unwrap();
    let error = record(&world, &olga, &case, Method::RegisterExtract).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::StateChanged {
                expected: "undecided",
                ..
            }
        ),
        "{error}"
    );
    let content = Zeroizing::new(b"late".to_vec());
    let error = add_document(&world.app, &applicant, &case.id, "late.txt", "text/plain", content)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::StateChanged { .. }), "{error}");
}

#[tokio::test]
async fn one_rejection_ends_a_case() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let (olga, otto) = (
        world.principal("Olga", Role::Officer).await,
        world.principal("Otto", Role::Officer).await,
    );
    let case = open_by(&world, &applicant, &organization()).await;
    record(&world, &olga, &case, Method::RegisterExtract).await.unwrap();
    decide_by(&world, &olga, &case, Decision::Approve).await.unwrap();
    assert_eq!(
        decide_by(&world, &otto, &case, Decision::Reject).await.unwrap().state,
        CaseState::Rejected
    );
    let third = world.principal("Oda", Role::Officer).await;
    let error = decide_by(&world, &third, &case, Decision::Approve).await.unwrap_err();
    assert!(matches!(error, Error::StateChanged { expected: "open", .. }), "{error}");
    assert!(evidence(&world, &applicant).await.is_empty());
}

#[tokio::test]
async fn an_approval_needs_evidence_and_a_reason() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let olga = world.principal("Olga", Role::Officer).await;
    let case = open_by(&world, &applicant, &individual()).await;
    let error = decide_by(&world, &olga, &case, Decision::Approve).await.unwrap_err();
    assert!(matches!(error, Error::NothingToApprove { .. }), "{error}");
    for reason in ["", "  ", "\u{202E}", &"x".repeat(TEXT_LIMIT + 1)] {
        let new = NewDecision {
            decision: Decision::Reject,
            reason: reason.to_owned(),
        };
        let error = decide(&world.app, olga.as_officer("test").unwrap(), &case.id, &new)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "reason", .. }), "{error}");
    }
}

#[tokio::test]
async fn evidence_that_proves_nothing_here_is_refused() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let olga = world.principal("Olga", Role::Officer).await;
    let officer = olga.as_officer("test").unwrap();
    let case = open_by(&world, &applicant, &organization()).await;
    for method in [
        Method::MailboxByEmail,
        Method::IdentityDocument,
        Method::EmployerAttestation,
    ] {
        let error = record(&world, &olga, &case, method).await.unwrap_err();
        assert!(matches!(error, Error::Evidence(_)), "{error}");
    }
    let good = finding(Method::RegisterExtract, &[]);
    for (bad, field) in [
        (
            NewEvidence {
                method: "hearsay".to_owned(),
                ..good.clone()
            },
            "method",
        ),
        (
            NewEvidence {
                collected_at: Some(world.app.now().plus(policies::time::Span::seconds(1))),
                ..good.clone()
            },
            "collected_at",
        ),
        (
            NewEvidence {
                note: String::new(),
                ..good.clone()
            },
            "note",
        ),
        (
            NewEvidence {
                note: "x".repeat(TEXT_LIMIT + 1),
                ..good.clone()
            },
            "note",
        ),
        (finding(Method::RegisterExtract, &[[1; 32]]), "documents"),
        (
            finding(Method::RegisterExtract, &[[1; 32]; MOST_DOCUMENTS + 1]),
            "documents",
        ),
    ] {
        let error = record_evidence(&world.app, officer, &case.id, &bad).await.unwrap_err();
        assert!(
            matches!(&error, Error::InvalidInput { field: found, .. } if *found == field),
            "{field}: {error}"
        );
    }
}

#[tokio::test]
async fn documents_are_sealed_and_open_only_in_their_place() {
    for world in worlds().await {
        let applicant = world.subscriber("Beispiel").await;
        let olga = world.principal("Olga", Role::Officer).await;
        let case = open_by(&world, &applicant, &organization()).await;
        let content = b"Amtsgericht Charlottenburg, HRB 12345".to_vec();
        let document = add_document(
            &world.app,
            &applicant,
            &case.id,
            "extract.txt",
            "text/plain",
            Zeroizing::new(content.clone()),
        )
        .await
        .unwrap();
        assert_eq!(document.sha256, <[u8; 32]>::from(Sha256::digest(&content)));
        let officer = olga.as_officer("test").unwrap();
        let (_, read) = read_document(&world.app, officer, &case.id, &document.id)
            .await
            .unwrap();
        assert_eq!(read.as_slice(), content);

        let (case_id, id) = (case.id.clone(), document.id.clone());
        let (_, sealed) = world
            .app
            .db
            .read(move |conn| Ok::<_, Error>(store::cases::sealed_document(conn, &case_id, &id)?))
            .await
            .unwrap()
            .unwrap();
        assert!(
            !sealed
                .windows(10)
                .any(|window| content.windows(10).any(|plain| plain == window))
        );

        // The same bytes under another case do not open.
        let other = open_by(&world, &applicant, &individual()).await;
        world
            .tamper(&format!("UPDATE case_documents SET case_id = '{}'", other.id))
            .await;
        let error = read_document(&world.app, officer, &other.id, &document.id)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Sealing(_)), "{error}");
        let error = read_document(&world.app, officer, &case.id, &document.id)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn documents_outside_the_limits_are_refused() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let case = open_by(&world, &applicant, &organization()).await;
    for (name, media_type, length, field) in [
        ("", "text/plain", 1, "name"),
        ("../../etc/passwd", "text/plain", 1, "name"),
        ("a\\b", "text/plain", 1, "name"),
        ("\u{202E}fdp.exe", "text/plain", 1, "name"),
        ("page.html", "text/html", 1, "Content-Type"),
        ("image.svg", "image/svg+xml", 1, "Content-Type"),
        ("x.pdf", "", 1, "Content-Type"),
        ("empty.pdf", "application/pdf", 0, "document"),
        ("huge.pdf", "application/pdf", LARGEST_DOCUMENT + 1, "document"),
    ] {
        let content = Zeroizing::new(vec![0; length]);
        let error = add_document(&world.app, &applicant, &case.id, name, media_type, content)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::InvalidInput { field: found, .. } if *found == field),
            "{name}: {error}"
        );
    }
    for number in 0..MOST_DOCUMENTS {
        let content = Zeroizing::new(vec![1]);
        add_document(
            &world.app,
            &applicant,
            &case.id,
            &format!("{number}.txt"),
            "text/plain",
            content,
        )
        .await
        .unwrap();
    }
    let content = Zeroizing::new(vec![1]);
    let error = add_document(&world.app, &applicant, &case.id, "more.txt", "text/plain", content)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
}

#[tokio::test]
async fn cases_of_others_do_not_exist() {
    let world = world().await;
    let (alice, mallory) = (world.subscriber("Alice").await, world.subscriber("Mallory").await);
    let case = open_by(&world, &alice, &individual()).await;
    let error = find(&world.app, &mallory, &case.id).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let content = Zeroizing::new(vec![1]);
    let error = add_document(&world.app, &mallory, &case.id, "a.txt", "text/plain", content)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(list(&world.app, &mallory, None).await.unwrap().is_empty());
    assert_eq!(list(&world.app, &alice, None).await.unwrap().len(), 1);
    assert_eq!(
        list(&world.app, &world.principal("Olga", Role::Officer).await, None)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn subjects_that_no_certificate_could_carry_are_refused() {
    let world = world().await;
    let applicant = world.subscriber("Beispiel").await;
    let member = applicant.as_member("test").unwrap();
    let with = |change: fn(&mut ca_api::cases::OrganizationIdentity)| {
        let Subject::OrganizationIdentity(mut organization) = organization() else {
            unreachable!("made above")
        };
        change(&mut organization);
        Subject::OrganizationIdentity(organization)
    };
    for subject in [
        with(|organization| organization.legal_name = String::new()),
        with(|organization| organization.legal_name = "\u{202E}GA leipsieB".to_owned()),
        with(|organization| organization.country = "ZZ".to_owned()),
        with(|organization| organization.country = "FR".to_owned()),
        with(|organization| organization.organization_identifier = "HRB 12345".to_owned()),
        Subject::IndividualIdentity(ca_api::cases::IndividualIdentity {
            given_name: None,
            surname: None,
            mailbox: "ada@example.com".parse().unwrap(),
        }),
    ] {
        let error = open(&world.app, member, &subject).await.unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput { field: "subject", .. }),
            "{subject:?}: {error}"
        );
    }
}

#[tokio::test]
async fn when_the_audit_log_cannot_append_nothing_is_approved() {
    let world = world().await;
    let applicant = world.subscriber("Ada").await;
    let olga = world.principal("Olga", Role::Officer).await;
    let case = open_by(&world, &applicant, &individual()).await;
    record(&world, &olga, &case, Method::IdentityDocument).await.unwrap();
    world
        .tamper(
            "CREATE TRIGGER full BEFORE INSERT ON audit_log WHEN NEW.action = 'case-decided' \
             BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .await;
    let error = decide_by(&world, &olga, &case, Decision::Approve).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert!(evidence(&world, &applicant).await.is_empty());
    assert_eq!(find(&world.app, &olga, &case.id).await.unwrap().state, CaseState::Open);
}
