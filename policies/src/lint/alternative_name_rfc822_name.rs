//! From February 2027 on, Apple trusts only certificates with an rfc822Name.

use super::{FIRST, Lint, Problems, View};
use crate::time::Timestamp;
use x509_cert::ext::pkix::name::GeneralName;

pub(super) const LINT: Lint = Lint {
    id: "alternative_name_rfc822_name",
    citation: "Apple Root Program Policy 2.0 section 2.3",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view
        .alternative_names()
        .iter()
        .any(|name| matches!(name, GeneralName::Rfc822Name(_)))
    {
        return;
    }
    if view.issued_at >= RFC822_NAME_REQUIRED {
        problems.error("the subjectAltName has no rfc822Name");
    } else {
        problems.warning("the subjectAltName has no rfc822Name, which is needed from 2027-02-01 on");
    }
}

/// 1 February 2027.
const RFC822_NAME_REQUIRED: Timestamp = Timestamp::from_unix(1_801_440_000);

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::mailbox::Mailbox;
    use crate::profile::profile;
    use crate::template::extension;
    use crate::tier::{Generation, Tier};
    use crate::time::Span;
    use x509_cert::ext::pkix::SubjectAltName;

    fn without_rfc822_name() -> Fixture {
        let mailbox = Mailbox::parse("jürgen@example.com").unwrap();
        let name = mailbox.subject_alternative_name().to_general_name().unwrap();
        v1().with_extension(extension(false, &SubjectAltName(vec![name])).unwrap())
    }

    #[test]
    fn an_rfc822_name_passes() {
        v1().passes(&LINT);
        v1().at(RFC822_NAME_REQUIRED).passes(&LINT);
    }

    #[test]
    fn none_is_warned_of_and_then_fails() {
        without_rfc822_name().warns(&LINT);
        without_rfc822_name()
            .at(RFC822_NAME_REQUIRED.minus(Span::seconds(1)))
            .warns(&LINT);
        without_rfc822_name().at(RFC822_NAME_REQUIRED).fails(&LINT);
    }

    #[test]
    fn dating_back_does_not_help() {
        let mut fixture = without_rfc822_name();
        fixture.now = RFC822_NAME_REQUIRED;
        fixture.fails(&LINT);
    }

    #[test]
    fn profiles_have_the_same_date() {
        for tier in Tier::ALL {
            for generation in Generation::ALL {
                assert_eq!(
                    profile(tier, generation).rfc822_name_required_from(),
                    RFC822_NAME_REQUIRED
                );
            }
        }
    }
}
