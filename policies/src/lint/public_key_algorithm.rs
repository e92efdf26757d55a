//! The algorithm of the key is byte for byte one of those permitted.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "public_key_algorithm",
    citation: "BR 7.1.3.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if let Err(problem) = &view.public_key {
        problems.error(problem.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::tier::{Generation, Tier};

    #[test]
    fn permitted_keys_pass() {
        v1().passes(&LINT);
        subscriber_with_key(Tier::V1, Generation::Strict, crate::testing::rsa2048()).passes(&LINT);
    }

    #[test]
    fn other_bytes_fail() {
        v1().with(|tbs| tbs.subject_public_key_info.algorithm.parameters = None)
            .fails(&LINT);
        subscriber_with_key(Tier::V1, Generation::Strict, crate::testing::rsa2048())
            .with(|tbs| tbs.subject_public_key_info.algorithm.parameters = None)
            .fails(&LINT);
        // X25519, which the requirements do not permit.
        v1().with(|tbs| {
            tbs.subject_public_key_info.algorithm.oid = const_oid::ObjectIdentifier::new_unwrap("1.3.101.110");
            tbs.subject_public_key_info.algorithm.parameters = None;
        })
        .fails(&LINT);
    }
}
