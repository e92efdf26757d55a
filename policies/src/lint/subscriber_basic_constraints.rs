//! A subscriber is no authority.

use super::{FIRST, Lint, Problems, View};
use x509_cert::ext::pkix::BasicConstraints;

pub(super) const LINT: Lint = Lint {
    id: "subscriber_basic_constraints",
    citation: "BR 7.1.2.3 d",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(constraints) = view.decode::<BasicConstraints>() else {
        return;
    };
    if constraints.ca {
        problems.error("basicConstraints make a subscriber an authority");
    }
    if constraints.path_len_constraint.is_some() {
        problems.error("basicConstraints of a subscriber have a pathLenConstraint");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;

    fn with(ca: bool, path_len_constraint: Option<u8>) -> Fixture {
        v1().with_extension(
            extension(
                true,
                &BasicConstraints {
                    ca,
                    path_len_constraint,
                },
            )
            .unwrap(),
        )
    }

    #[test]
    fn none_and_false_pass() {
        v1().passes(&LINT);
        with(false, None).passes(&LINT);
    }

    #[test]
    fn authorities_fail() {
        with(true, None).fails(&LINT);
        with(false, Some(0)).fails(&LINT);
    }
}
