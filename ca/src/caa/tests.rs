//! What a permission is good for. What domains say is in the stories.

use super::*;
use crate::testing::START;

fn permission(at: Timestamp) -> Permission {
    Permission {
        domain: Domain::parse("example.com").unwrap(),
        basis: Basis::Check { id: "caa-1".to_owned() },
        elsewhere: Elsewhere::NotAsked,
        at,
    }
}

#[test]
fn a_permission_is_for_one_domain_and_eight_hours() {
    let mailbox = |address| Mailbox::parse(address).unwrap();
    let covers =
        |address, age| permission(START.minus(Span::seconds(age))).covers(&mailbox(address), Reliance::Mailbox, START);
    assert!(covers("ada@example.com", 0));
    assert!(covers("ada@EXAMPLE.com", 8 * 3600));
    assert!(!covers("ada@example.com", 8 * 3600 + 1));
    assert!(!covers("ada@example.com", -1));
    for other in ["ada@sub.example.com", "ada@example.org", "ada@xexample.com"] {
        assert!(!covers(other, 0), "{other}");
    }
}

#[test]
fn a_permission_seen_from_here_alone_is_no_base_for_control_of_a_domain() {
    let mailbox = Mailbox::parse("ada@example.com").unwrap();
    for (elsewhere, reliance, counts) in [
        (Elsewhere::NotAsked, Reliance::Mailbox, true),
        (Elsewhere::NotAsked, Reliance::Domain, false),
        (Elsewhere::NobodyToAsk, Reliance::Domain, true),
        (Elsewhere::Corroborated, Reliance::Domain, true),
        (Elsewhere::Corroborated, Reliance::Mailbox, true),
    ] {
        let mut permission = permission(START);
        permission.elsewhere = elsewhere;
        assert_eq!(
            permission.covers(&mailbox, reliance, START),
            counts,
            "{elsewhere:?} {reliance:?}"
        );
    }
}
