//! What a permission is good for. What domains say is in the stories.

use super::*;
use crate::testing::START;

fn permission(at: Timestamp) -> Permission {
    Permission {
        domain: Domain::parse("example.com").unwrap(),
        basis: Basis::Check { id: "caa-1".to_owned() },
        at,
    }
}

#[test]
fn a_permission_is_for_one_domain_and_eight_hours() {
    let mailbox = |address| Mailbox::parse(address).unwrap();
    let covers = |address, age| permission(START.minus(Span::seconds(age))).covers(&mailbox(address), START);
    assert!(covers("ada@example.com", 0));
    assert!(covers("ada@EXAMPLE.com", 8 * 3600));
    assert!(!covers("ada@example.com", 8 * 3600 + 1));
    assert!(!covers("ada@example.com", -1));
    for other in ["ada@sub.example.com", "ada@example.org", "ada@xexample.com"] {
        assert!(!covers(other, 0), "{other}");
    }
}
