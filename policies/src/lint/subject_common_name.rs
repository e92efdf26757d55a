//! The commonName repeats what its tier allows and nothing else.

use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::mailbox::Mailbox;
use crate::tier::Tier;

pub(super) const LINT: Lint = Lint {
    id: "subject_common_name",
    citation: "BR 7.1.4.2.2 a",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(tier) = view.tier else { return };
    for common_name in view.values(Attribute::CommonName) {
        let is_mailbox = Mailbox::parse(&common_name).is_ok_and(|mailbox| view.mailboxes().contains(&mailbox));
        let is_organization = view.values(Attribute::OrganizationName).contains(&common_name);
        // A personal name may be written in the order its bearer prefers; each word of it is in the validated name.
        let names = [Attribute::GivenName, Attribute::Surname, Attribute::Pseudonym];
        let known: Vec<String> = names.into_iter().flat_map(|attribute| view.values(attribute)).collect();
        let is_person = common_name.split_whitespace().all(|word| {
            known
                .iter()
                .any(|name| name.split_whitespace().any(|part| part == word.trim_end_matches(',')))
        });
        let fits = match tier {
            Tier::V1 => is_mailbox,
            Tier::V3 => is_mailbox || is_organization,
            Tier::V2 | Tier::V4 => is_mailbox || is_person,
        };
        if fits {
            continue;
        }
        // A preferred presentation such as a nickname may be meaningful all the same, but we never write one.
        if tier.names_person() && !common_name.contains('@') {
            problems.warning("the commonName has words that are not in the validated name");
        } else {
            problems.error("the commonName is not what this tier allows there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn repetitions_pass() {
        for fixture in [v1(), v2(), v3(), v4()] {
            fixture.clone().passes(&LINT);
            fixture
                .clone()
                .with_value(Attribute::CommonName, "Alice@EXAMPLE.com")
                .passes(&LINT);
            fixture.without_attribute(Attribute::CommonName).passes(&LINT);
        }
        v2().with_value(Attribute::CommonName, "Adams, Alice").passes(&LINT);
    }

    #[test]
    fn other_values_fail() {
        v1().with_value(Attribute::CommonName, "Alice Adams").fails(&LINT);
        v1().with_value(Attribute::CommonName, "bob@example.com").fails(&LINT);
        v3().with_value(Attribute::CommonName, "Example Bank").fails(&LINT);
        v3().with_value(Attribute::CommonName, "Alice Adams").fails(&LINT);
        v4().with_value(Attribute::CommonName, "bob@example.com").fails(&LINT);
    }

    #[test]
    fn unvalidated_words_are_warned_of() {
        v2().with_value(Attribute::CommonName, "Bob Brown").warns(&LINT);
        v4().with_value(Attribute::CommonName, "Dr Alice Adams").warns(&LINT);
    }
}
