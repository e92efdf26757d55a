//! A root is its own issuer.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use der::Encode;

pub(super) const LINT: Lint = Lint {
    id: "root_self_issued",
    citation: "RFC 5280 section 3.2",
    effective: FIRST,
    applies: |view| view.kind == Kind::Root,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.tbs.issuer.to_der().ok() != view.tbs.subject.to_der().ok() {
        problems.error("issuer and subject of the root differ");
    }
    if view
        .issuer
        .is_some_and(|issuer| issuer.public_key != view.tbs.subject_public_key_info)
    {
        problems.error("the root is not signed with its own key");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn our_root_passes() {
        root().passes(&LINT);
    }

    #[test]
    fn other_roots_fail() {
        root()
            .with(|tbs| tbs.subject = crate::testing::issuer().name)
            .fails(&LINT);
        root()
            .with(|tbs| tbs.subject_public_key_info = crate::testing::p256())
            .fails(&LINT);
    }
}
