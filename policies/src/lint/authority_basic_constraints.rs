//! Authorities say so, critically; roots without a limit to the path.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use const_oid::AssociatedOid;
use x509_cert::ext::pkix::BasicConstraints;

pub(super) const LINT: Lint = Lint {
    id: "authority_basic_constraints",
    citation: "BR 7.1.2.1 a, 7.1.2.2 d",
    effective: FIRST,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(constraints) = view.decode::<BasicConstraints>() else {
        problems.error("the basicConstraints are missing");
        return;
    };
    if !constraints.ca {
        problems.error("the basicConstraints do not make it an authority");
    }
    if view
        .extension(BasicConstraints::OID)
        .is_some_and(|extension| !extension.critical)
    {
        problems.error("the basicConstraints are not critical");
    }
    match (view.kind, constraints.path_len_constraint) {
        (Kind::Root, Some(_)) => problems.warning("the root has a pathLenConstraint"),
        // Large mail services refuse intermediates without one.
        (Kind::IssuingAuthority, None) => problems.warning("the issuing authority has no pathLenConstraint"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;

    fn constraints(ca: bool, path_len_constraint: Option<u8>) -> x509_cert::ext::Extension {
        extension(
            true,
            &BasicConstraints {
                ca,
                path_len_constraint,
            },
        )
        .unwrap()
    }

    #[test]
    fn our_authorities_pass() {
        root().passes(&LINT);
        issuing_authority().passes(&LINT);
    }

    #[test]
    fn others_are_reported() {
        for fixture in [root(), issuing_authority()] {
            fixture.clone().without_extension(BasicConstraints::OID).fails(&LINT);
            fixture.clone().with_critical(BasicConstraints::OID, false).fails(&LINT);
            fixture.with_extension(constraints(false, None)).fails(&LINT);
        }
        root().with_extension(constraints(true, Some(1))).warns(&LINT);
        issuing_authority().with_extension(constraints(true, None)).warns(&LINT);
    }
}
