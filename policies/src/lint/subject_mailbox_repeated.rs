//! Every mailbox in a subject stands in the subjectAltName too.

use super::view::text;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::mailbox::Mailbox;

pub(super) const LINT: Lint = Lint {
    id: "subject_mailbox_repeated",
    citation: "BR 7.1.4.2.1",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let mailboxes = view.mailboxes();
    for attribute in view.subject_attributes() {
        let Some(value) = text(&attribute.value) else { continue };
        let is_email_address = attribute.oid == Attribute::EmailAddress.oid();
        if !is_email_address && !value.contains('@') {
            continue;
        }
        match Mailbox::parse(&value) {
            Ok(mailbox) if mailboxes.contains(&mailbox) => {}
            Ok(_) => problems.error("a mailbox of the subject is missing in the subjectAltName"),
            Err(_) if is_email_address => problems.error("the emailAddress of the subject is not a mailbox"),
            // An organization may have an "@" in its name.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn repeated_mailboxes_pass() {
        v1().passes(&LINT);
        v4().with_attribute(Attribute::EmailAddress, "alice@example.com")
            .passes(&LINT);
        v3().with_value(Attribute::OrganizationName, "Caf@ Ltd").passes(&LINT);
    }

    #[test]
    fn other_mailboxes_fail() {
        v4().with_attribute(Attribute::EmailAddress, "bob@example.com")
            .fails(&LINT);
        v4().with_attribute(Attribute::EmailAddress, "alice").fails(&LINT);
        v1().with_value(Attribute::CommonName, "bob@example.com").fails(&LINT);
        v4().with_value(Attribute::Title, "bob@example.com").fails(&LINT);
    }
}
