//! Challenges on both databases: what completes them, and all that does not.

use super::*;
use crate::accounts::{Caller, Role};
use crate::testing::{Database, World};

/// One authority for each database there is.
async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        worlds.extend(World::new(database).await);
    }
    worlds
}

/// What the reader of the newest mail to an address knows.
struct Mail {
    link: String,
    code: String,
}

fn newest_mail(world: &World, address: &str) -> Mail {
    let mail = world.outbox.newest_to(address).unwrap();
    let link = mail
        .text
        .lines()
        .find_map(|line| line.trim().split_once("/confirm/"))
        .unwrap()
        .1
        .to_owned();
    let is_code = |line: &&str| line.len() == 9 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
    let code = mail.text.lines().map(str::trim).find(is_code).unwrap().to_owned();
    Mail { link, code }
}

/// A number that is not the one in the mail.
fn wrong(code: &str) -> String {
    code.chars()
        .map(|c| {
            if c == '9' {
                '0'
            } else if c == '-' {
                c
            } else {
                char::from(c as u8 + 1)
            }
        })
        .collect()
}

async fn challenge(world: &World, caller: &Caller, address: &str) -> Challenge {
    let mailbox = Mailbox::parse(address).unwrap();
    create(
        &world.app,
        caller.as_member("test").unwrap(),
        NewChallenge::Mailbox(mailbox),
    )
    .await
    .unwrap()
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

async fn audited(world: &World) -> Vec<String> {
    audit::events(&world.app, 0, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.action)
        .collect()
}

#[tokio::test]
async fn a_typed_number_becomes_evidence_of_mailbox_control() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        let sent = challenge(&world, &alice, "alice@example.com").await;
        assert_eq!(
            (sent.state, sent.sent_to.as_str()),
            (ChallengeState::Sent, "alice@example.com")
        );
        let mail = newest_mail(&world, "alice@example.com");
        let outcome = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
        assert_eq!(
            outcome,
            Confirmation::Confirmed {
                subject: "alice@example.com".to_owned()
            }
        );

        let evidence = evidence(&world, &alice).await;
        let [evidence] = evidence.as_slice() else {
            panic!("{evidence:?}")
        };
        assert_eq!(
            evidence.fact(),
            &Fact::MailboxControl(Mailbox::parse("alice@example.com").unwrap())
        );
        assert_eq!(evidence.method(), Method::MailboxByEmail);
        assert_eq!(evidence.collected_at(), world.app.now());
        let now = find(&world.app, alice.account.as_ref().unwrap(), &sent.id)
            .await
            .unwrap();
        assert_eq!(
            (now.state, now.answered_at),
            (ChallengeState::Answered, Some(world.app.now()))
        );
    }
}

#[tokio::test]
async fn a_domain_is_proved_through_a_constructed_address_only() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    let new = NewChallenge::Domain {
        domain: Domain::parse("Bücher.example").unwrap(),
        via: ConstructedAddress::Postmaster,
    };
    let sent = create(&world.app, alice.as_member("test").unwrap(), new).await.unwrap();
    assert_eq!(sent.sent_to, "postmaster@xn--bcher-kva.example");
    let mail = newest_mail(&world, "postmaster@xn--bcher-kva.example");
    confirm(&world.app, &mail.link, &mail.code).await.unwrap();
    let evidence = evidence(&world, &alice).await;
    assert_eq!(
        evidence[0].fact(),
        &Fact::DomainControl(Domain::parse("xn--bcher-kva.example").unwrap())
    );
    assert_eq!(evidence[0].method(), Method::DomainConstructedEmail);
}

#[tokio::test]
async fn invariant_05_looking_at_the_link_changes_nothing() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        let before = audited(&world).await;
        for _ in 0..20 {
            let seen = look_at(&world.app, &mail.link).await.unwrap().unwrap();
            assert_eq!(seen.state, ChallengeState::Sent);
        }
        assert_eq!(audited(&world).await, before);
        assert!(evidence(&world, &alice).await.is_empty());
    }
}

#[tokio::test]
async fn invariant_05_a_challenge_is_answered_once() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        confirm(&world.app, &mail.link, &mail.code).await.unwrap();
        let again = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
        assert_eq!(again, Confirmation::Over(ChallengeState::Answered));
        assert_eq!(evidence(&world, &alice).await.len(), 1);
    }
}

#[tokio::test]
async fn invariant_05_of_many_simultaneous_answers_one_counts() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        let answers: Vec<_> = (0..8)
            .map(|_| {
                let (app, link, code) = (Arc::clone(&world.app), mail.link.clone(), mail.code.clone());
                tokio::spawn(async move { confirm(&app, &link, &code).await.unwrap() })
            })
            .collect();
        let mut confirmed = 0;
        for answer in answers {
            confirmed += usize::from(matches!(answer.await.unwrap(), Confirmation::Confirmed { .. }));
        }
        assert_eq!(confirmed, 1);
        assert_eq!(evidence(&world, &alice).await.len(), 1);
    }
}

#[tokio::test]
async fn invariant_05_after_24_hours_the_right_number_is_too_late() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        let sent = challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        world.clock.advance(Span::hours(24));
        assert_eq!(
            look_at(&world.app, &mail.link).await.unwrap().unwrap().state,
            ChallengeState::Expired
        );
        let late = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
        assert_eq!(late, Confirmation::Over(ChallengeState::Expired));
        assert!(evidence(&world, &alice).await.is_empty());
        let now = find(&world.app, alice.account.as_ref().unwrap(), &sent.id)
            .await
            .unwrap();
        assert_eq!(now.state, ChallengeState::Expired);
    }
}

#[tokio::test]
async fn invariant_05_the_last_second_still_counts() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "alice@example.com").await;
    let mail = newest_mail(&world, "alice@example.com");
    world.clock.advance(Span::seconds(24 * 3600 - 1));
    let outcome = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
    assert!(matches!(outcome, Confirmation::Confirmed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn invariant_05_five_wrong_numbers_end_a_challenge() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        for left in [4, 3, 2, 1] {
            let outcome = confirm(&world.app, &mail.link, &wrong(&mail.code)).await.unwrap();
            assert_eq!(outcome, Confirmation::WrongNumber { attempts_left: left });
        }
        let fifth = confirm(&world.app, &mail.link, &wrong(&mail.code)).await.unwrap();
        assert_eq!(fifth, Confirmation::Over(ChallengeState::Failed));
        let right = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
        assert_eq!(right, Confirmation::Over(ChallengeState::Failed));
        assert!(evidence(&world, &alice).await.is_empty());
        let refusals = audited(&world)
            .await
            .into_iter()
            .filter(|action| action == "challenge-refused")
            .count();
        assert_eq!(refusals, 5);
    }
}

#[tokio::test]
async fn invariant_05_what_is_no_number_neither_confirms_nor_counts() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    let digits = |code: &str| code.replace('-', "");
    for make in [
        (|_: &str| String::new()) as fn(&str) -> String,
        |code| code[..8].to_owned(),
        |code| format!("{code}0"),
        |code| format!("{code}{}", "0".repeat(1_000_000)),
        |code| code.replace('-', ".") + "' OR 1=1",
        |code| code.chars().rev().collect::<String>() + "x",
    ] {
        world.clock.advance(Span::days(1));
        challenge(&world, &alice, "alice@example.com").await;
        let mail = newest_mail(&world, "alice@example.com");
        for _ in 0..10 {
            let outcome = confirm(&world.app, &mail.link, &make(&mail.code)).await.unwrap();
            assert_eq!(outcome, Confirmation::NotANumber);
        }
        // Written in another way the right number is still right.
        let spaced = digits(&mail.code).chars().map(|c| format!(" {c}")).collect::<String>();
        let outcome = confirm(&world.app, &mail.link, &spaced).await.unwrap();
        assert!(matches!(outcome, Confirmation::Confirmed { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn invariant_05_unknown_links_confirm_nothing() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "alice@example.com").await;
    let mail = newest_mail(&world, "alice@example.com");
    let mut other: String = mail.link.chars().rev().collect();
    if other == mail.link {
        other = "A".repeat(LINK_LENGTH);
    }
    for link in [
        "",
        &mail.link[1..],
        &format!("{}A", mail.link),
        &other,
        &"x".repeat(100_000),
    ] {
        assert_eq!(
            confirm(&world.app, link, &mail.code).await.unwrap(),
            Confirmation::UnknownLink
        );
        assert!(look_at(&world.app, link).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn invariant_05_a_link_does_not_take_the_number_of_another_mail() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "alice@example.com").await;
    challenge(&world, &alice, "bob@example.com").await;
    let (to_alice, to_bob) = (
        newest_mail(&world, "alice@example.com"),
        newest_mail(&world, "bob@example.com"),
    );
    let outcome = confirm(&world.app, &to_alice.link, &to_bob.code).await.unwrap();
    assert_eq!(outcome, Confirmation::WrongNumber { attempts_left: 4 });
}

#[tokio::test]
async fn invariant_05_every_mail_has_new_values_and_ends_the_one_before() {
    for world in worlds().await {
        let alice = world.subscriber("Alice").await;
        let first = challenge(&world, &alice, "alice@example.com").await;
        let before = newest_mail(&world, "alice@example.com");
        challenge(&world, &alice, "alice@example.com").await;
        let after = newest_mail(&world, "alice@example.com");
        assert_ne!(before.link, after.link);
        let outcome = confirm(&world.app, &before.link, &before.code).await.unwrap();
        assert_eq!(outcome, Confirmation::Over(ChallengeState::Replaced));
        let replaced = find(&world.app, alice.account.as_ref().unwrap(), &first.id)
            .await
            .unwrap();
        assert_eq!(replaced.state, ChallengeState::Replaced);
        let outcome = confirm(&world.app, &after.link, &after.code).await.unwrap();
        assert!(matches!(outcome, Confirmation::Confirmed { .. }));
    }
}

#[tokio::test]
async fn invariant_05_the_database_holds_hashes_only() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "alice@example.com").await;
    let mail = newest_mail(&world, "alice@example.com");
    let link_hash: [u8; 32] = Sha256::digest(mail.link.as_bytes()).into();
    let row = world
        .app
        .db
        .read(move |conn| Ok::<_, Error>(store::challenges::find_by_link_hash(conn, &link_hash)?))
        .await
        .unwrap()
        .unwrap();
    assert!(!format!("{row:?}").contains(&mail.link));
    // Without the link, all hundred million numbers give other hashes than the one that is kept.
    let digits = mail.code.replace('-', "");
    assert_ne!(row.code_hash, <[u8; 32]>::from(Sha256::digest(digits.as_bytes())));
    assert_ne!(row.code_hash, hash_of_code("", &digits));
    assert_eq!(row.code_hash, hash_of_code(&mail.link, &digits));
    assert_eq!(
        data_encoding::BASE64URL_NOPAD
            .decode(mail.link.as_bytes())
            .unwrap()
            .len()
            * 8,
        256
    );
}

#[tokio::test]
async fn invariant_05_when_the_audit_log_cannot_append_nothing_is_confirmed() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "alice@example.com").await;
    let mail = newest_mail(&world, "alice@example.com");
    world
        .tamper(
            "CREATE TRIGGER full BEFORE INSERT ON audit_log WHEN NEW.action = 'challenge-answered' \
             BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .await;
    let error = confirm(&world.app, &mail.link, &mail.code).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert!(evidence(&world, &alice).await.is_empty());
    world.tamper("DROP TRIGGER full").await;
    let outcome = confirm(&world.app, &mail.link, &mail.code).await.unwrap();
    assert!(matches!(outcome, Confirmation::Confirmed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn challenges_of_others_do_not_exist() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let (alice, mallory) = (world.subscriber("Alice").await, world.subscriber("Mallory").await);
    let sent = challenge(&world, &alice, "alice@example.com").await;
    let error = find(&world.app, mallory.account.as_ref().unwrap(), &sent.id)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    // A challenge of another account for the same mailbox does not end hers.
    challenge(&world, &mallory, "alice@example.com").await;
    assert_eq!(
        find(&world.app, alice.account.as_ref().unwrap(), &sent.id)
            .await
            .unwrap()
            .state,
        ChallengeState::Sent
    );
}

#[tokio::test]
async fn the_mail_that_mallory_caused_proves_nothing_to_alices_account() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let (alice, mallory) = (world.subscriber("Alice").await, world.subscriber("Mallory").await);
    challenge(&world, &mallory, "alice@example.com").await;
    let mail = newest_mail(&world, "alice@example.com");
    confirm(&world.app, &mail.link, &mail.code).await.unwrap();
    assert!(evidence(&world, &alice).await.is_empty());
    assert_eq!(evidence(&world, &mallory).await.len(), 1);
}

#[tokio::test]
async fn an_address_is_not_flooded() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    for _ in 0..MOST_MAILS_PER_ADDRESS {
        challenge(&world, &alice, "victim@example.com").await;
    }
    let new = || NewChallenge::Mailbox(Mailbox::parse("victim@example.com").unwrap());
    let error = create(&world.app, alice.as_member("test").unwrap(), new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
    assert_eq!(world.outbox.mails().len(), MOST_MAILS_PER_ADDRESS);
    challenge(&world, &alice, "other@example.com").await;
    world.clock.advance(Span::hours(24));
    create(&world.app, alice.as_member("test").unwrap(), new())
        .await
        .unwrap();
}

#[tokio::test]
async fn officers_and_operators_have_no_account_to_challenge_for() {
    let world = World::new(Database::Sqlite).await.unwrap();
    for role in [Role::Operator, Role::Officer] {
        assert!(
            world
                .principal("P", role)
                .await
                .as_member("ask for challenges")
                .is_err()
        );
    }
}

#[tokio::test]
async fn the_mail_says_what_it_is_for_and_escapes_what_came_from_outside() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let alice = world.subscriber("Alice").await;
    challenge(&world, &alice, "a&b@example.com").await;
    let mail = world.outbox.newest_to("a&b@example.com").unwrap();
    assert_eq!(mail.subject, "Please confirm your e-mail certificate");
    assert!(mail.text.contains("a&b@example.com"), "{}", mail.text);
    assert!(mail.html.contains("a&amp;b@example.com"), "{}", mail.html);
    assert!(!mail.html.contains("a&b"), "{}", mail.html);
    assert!(mail.text.contains("https://"), "{}", mail.text);
}
