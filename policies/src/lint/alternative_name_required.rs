//! There is a subjectAltName with a mailbox, critical exactly if the subject is empty.

use super::{FIRST, Lint, Problems, View};
use crate::mailbox::MailboxName;
use const_oid::AssociatedOid;
use x509_cert::ext::pkix::SubjectAltName;

pub(super) const LINT: Lint = Lint {
    id: "alternative_name_required",
    citation: "BR 7.1.2.3 h",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(extension) = view.extension(SubjectAltName::OID) else {
        problems.error("the subjectAltName is missing");
        return;
    };
    let has_mailbox = view
        .alternative_names()
        .iter()
        .any(|name| matches!(MailboxName::from_general_name(name), Ok(Some(_))));
    if !has_mailbox {
        problems.error("the subjectAltName has neither an rfc822Name nor an SmtpUTF8Mailbox");
    }
    match (view.tbs.subject.is_empty(), extension.critical) {
        (true, false) => problems.error("the subjectAltName is not critical although the subject is empty"),
        (false, true) => problems.warning("the subjectAltName is critical although there is a subject"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use x509_cert::name::Name;

    #[test]
    fn a_mailbox_passes() {
        v1().passes(&LINT);
        v1().with(|tbs| tbs.subject = Name::default())
            .with_critical(SubjectAltName::OID, true)
            .passes(&LINT);
    }

    #[test]
    fn missing_mailboxes_fail() {
        v1().without_extension(SubjectAltName::OID).fails(&LINT);
        // A dNSName instead.
        v1().with_raw_extension("2.5.29.17", false, b"\x30\x05\x82\x03a.b")
            .fails(&LINT);
    }

    #[test]
    fn the_wrong_criticality_is_reported() {
        v1().with(|tbs| tbs.subject = Name::default()).fails(&LINT);
        v1().with_critical(SubjectAltName::OID, true).warns(&LINT);
    }
}
