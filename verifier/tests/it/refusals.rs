//! One case for every way in which a message must not get a tier. The numbers are the rows of docs/verification.md.

mod message;
mod path;
mod revocation;
mod sender;
mod signature;
mod signer;
mod tier;

use keys::testing;
use policies::time::Timestamp;
use verifier::{Policy, Status, UnsettledRevocation, Vouches};

use crate::support::*;

/// The verdict has this status and no tier, and names this reason first among what costs the tier.
fn check(row: u8, what: &str, edit: impl Fn(&mut Scenario), status: Status, code: &str) {
    let mut scenario = Scenario::new();
    edit(&mut scenario);
    let verdict = scenario.verdict();
    let findings = verdict.findings();
    assert_eq!(verdict.status(), status, "row {row}, {what}: {findings:#?}");
    assert_eq!(verdict.tier(), None, "row {row}, {what}");
    assert_eq!(
        findings.first().map(|finding| finding.code),
        Some(code),
        "row {row}, {what}: {findings:#?}"
    );
    assert!(!verdict.label().starts_with('V'), "row {row}, {what}");
}

fn message(edit: impl Fn(&mut String) + 'static) -> impl Fn(&mut Scenario) {
    let edit = std::rc::Rc::new(edit);
    move |scenario| {
        let edit = edit.clone();
        scenario.edit_message = Some(Box::new(move |message| edit(message)));
    }
}

fn attributes(edit: impl Fn(&mut Vec<Vec<u8>>) + 'static) -> impl Fn(&mut Scenario) {
    let edit = std::rc::Rc::new(edit);
    move |scenario| {
        let edit = edit.clone();
        scenario.cms.edit_attributes = Some(Box::new(move |attributes| edit(attributes)));
    }
}

fn replace(from: &'static str, to: &'static str) -> impl Fn(&mut Scenario) {
    message(move |message| {
        assert!(message.contains(from), "the message has {from:?}");
        *message = message.replacen(from, to, 1);
    })
}

fn from(field: &'static str) -> impl Fn(&mut Scenario) {
    move |scenario| scenario.from = format!("{field}\r\n")
}
