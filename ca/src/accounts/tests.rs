//! Accounts, principals and tokens: who gets in, and who does not.

use super::*;
use crate::testing::{Database, World};

async fn world() -> World {
    World::new(Database::Sqlite).await.unwrap()
}

fn refused(result: Result<impl fmt::Debug, Error>, because: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(because), "{error}");
}

#[tokio::test]
async fn a_token_is_known_by_its_hash_only() {
    let world = world().await;
    let (caller, token) = world.principal_with_token("Olga", Role::Officer).await;
    assert_eq!(caller.role, Role::Officer);
    assert_eq!(token.len(), TOKEN_PREFIX.len() + TOKEN_RANDOM_LENGTH);
    drop(world.app);
    for entry in std::fs::read_dir(&world.folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let content = std::fs::read(entry.path()).unwrap();
            let found = content.windows(token.len()).any(|window| window == token.as_bytes());
            assert!(!found, "{:?} holds the token", entry.file_name());
        }
    }
}

#[tokio::test]
async fn tokens_that_do_not_count_are_refused() {
    let world = world().await;
    let (caller, token) = world.principal_with_token("Olga", Role::Officer).await;
    let mut changed = token.clone();
    changed.pop();
    changed.push(if token.ends_with('A') { 'B' } else { 'A' });
    for (bearer, because) in [
        (changed.as_str(), "unknown"),
        ("", "not a token"),
        ("sealwright_", "not a token"),
        ("sealwright_' OR 1=1 --", "not a token"),
        (&token.to_uppercase(), "not a token"),
        (&token.replace("sealwright_", ""), "not a token"),
        (&format!("{token}A"), "not a token"),
    ] {
        refused(authenticate(&world.app, bearer).await, because);
    }

    let local = local_operator();
    let operator = local.as_operator("test").unwrap();
    assert_eq!(
        revoke_tokens(&world.app, operator, caller.principal_id.as_ref())
            .await
            .unwrap(),
        1
    );
    refused(authenticate(&world.app, &token).await, "revoked");
    assert_eq!(
        revoke_tokens(&world.app, operator, caller.principal_id.as_ref())
            .await
            .unwrap(),
        0
    );
    refused(
        revoke_tokens(&world.app, operator, "pri-nobody").await,
        "there is no principal",
    );
}

#[tokio::test]
async fn a_token_ends_at_its_second() {
    let world = world().await;
    let local = local_operator();
    let operator = local.as_operator("test").unwrap();
    let end = world.app.now().plus(policies::time::Span::hours(1));
    let new = |expires_at| NewPrincipal {
        name: "Olga".to_owned(),
        role: Role::Officer,
        account: None,
        expires_at,
    };
    let (_, token) = create_principal(&world.app, operator, new(Some(end))).await.unwrap();
    world.clock.set(end.minus(policies::time::Span::seconds(1)));
    authenticate(&world.app, token.reveal()).await.unwrap();
    world.clock.set(end);
    refused(authenticate(&world.app, token.reveal()).await, "expired");
    refused(
        create_principal(&world.app, operator, new(Some(end))).await,
        "in the past",
    );
}

#[tokio::test]
async fn principals_and_accounts_fit_together_or_are_refused() {
    let world = world().await;
    let local = local_operator();
    let operator = local.as_operator("test").unwrap();
    let account = create_account(&world.app, operator, "Example", AccountKind::Organization)
        .await
        .unwrap();
    for (role, account, because) in [
        (Role::Officer, Some(account.id.to_string()), "belongs to no account"),
        (Role::Operator, Some(account.id.to_string()), "belongs to no account"),
        (Role::Subscriber, None, "belongs to an account"),
        (Role::Gateway, None, "belongs to an account"),
        (Role::Gateway, Some("acc-nobody".to_owned()), "there is no account"),
    ] {
        let new = NewPrincipal {
            name: "P".to_owned(),
            role,
            account,
            expires_at: None,
        };
        refused(create_principal(&world.app, operator, new).await, because);
    }
    for name in ["", " ", "two\nlines", "\u{202E}evil", &"x".repeat(201)] {
        refused(
            create_account(&world.app, operator, name, AccountKind::Individual).await,
            "name is not usable",
        );
    }
}

#[tokio::test]
async fn roles_do_not_imply_each_other() {
    let world = world().await;
    for role in [Role::Operator, Role::Officer, Role::Subscriber, Role::Gateway] {
        let caller = world.principal("P", role).await;
        assert_eq!(caller.as_operator("x").is_ok(), role == Role::Operator, "{role}");
        assert_eq!(caller.as_officer("x").is_ok(), role == Role::Officer, "{role}");
        assert_eq!(
            caller.as_member("x").is_ok(),
            matches!(role, Role::Subscriber | Role::Gateway),
            "{role}"
        );
    }
    let caller = world.principal("P", Role::Officer).await;
    refused(
        caller.as_operator("create accounts"),
        "officer \"P\" may not create accounts",
    );
}

#[test]
fn debug_shows_no_token() {
    let token = PlainToken(Zeroizing::new("sealwright_secret".to_owned()));
    assert_eq!(format!("{token:?}"), "PlainToken(…)");
}
