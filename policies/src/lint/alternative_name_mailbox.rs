//! Mailboxes in the subjectAltName are written as RFC 9598 asks.

use super::{FIRST, Lint, Problems, View};
use crate::mailbox::{Mailbox, MailboxName};

pub(super) const LINT: Lint = Lint {
    id: "alternative_name_mailbox",
    citation: "BR 7.1.4.2.1, RFC 9598 section 3",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for name in view.alternative_names() {
        let read = MailboxName::from_general_name(&name)
            .and_then(|name| name.as_ref().map(Mailbox::from_subject_alternative_name).transpose());
        if let Err(problem) = read {
            problems.error(format!("a mailbox of the subjectAltName is not acceptable: {problem}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::mailbox::SMTP_UTF8_MAILBOX;
    use crate::template::extension;
    use der::Tag;
    use der::asn1::{Any, Ia5String};
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::{GeneralName, OtherName};

    fn with_names(names: Vec<GeneralName>) -> Fixture {
        v1().with_extension(extension(false, &SubjectAltName(names)).unwrap())
    }

    fn rfc822_name(value: &str) -> GeneralName {
        GeneralName::Rfc822Name(Ia5String::new(value).unwrap())
    }

    fn smtp_utf8_mailbox(tag: Tag, value: &[u8]) -> GeneralName {
        let value = Any::new(tag, value).unwrap();
        GeneralName::OtherName(OtherName {
            type_id: SMTP_UTF8_MAILBOX,
            value,
        })
    }

    #[test]
    fn proper_mailboxes_pass() {
        v1().passes(&LINT);
        with_names(vec![smtp_utf8_mailbox(
            Tag::Utf8String,
            "jürgen@xn--bcher-kva.example".as_bytes(),
        )])
        .passes(&LINT);
    }

    #[test]
    fn improper_rfc822_names_fail() {
        for value in [
            "alice",
            "alice@",
            "Alice <alice@example.com>",
            "\"a b\"@example.com",
            "alice@localhost",
            "",
        ] {
            with_names(vec![rfc822_name(value)]).fails(&LINT);
        }
    }

    #[test]
    fn improper_smtp_utf8_mailboxes_fail() {
        for value in [
            "alice@example.com",
            "jürgen@bücher.example",
            "\u{feff}jürgen@example.com",
            "jürgen@EXAMPLE.com",
        ] {
            with_names(vec![smtp_utf8_mailbox(Tag::Utf8String, value.as_bytes())]).fails(&LINT);
        }
        with_names(vec![smtp_utf8_mailbox(Tag::Ia5String, b"alice@example.com")]).fails(&LINT);
        with_names(vec![smtp_utf8_mailbox(Tag::Utf8String, b"\xff@example.com")]).fails(&LINT);
    }
}
