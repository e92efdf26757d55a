//! The algorithm outside the signed part is the one inside.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "signature_algorithm_match",
    citation: "RFC 5280 section 4.1.1.2",
    effective: FIRST,
    applies: |view| view.outer_signature_algorithm.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view
        .outer_signature_algorithm
        .is_some_and(|outer| *outer != view.tbs.signature)
    {
        problems.error("the signature algorithm outside the signed part is not the one inside");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn the_same_algorithm_passes_and_another_fails() {
        let der = v1().der();
        let same = crate::testing::ecdsa_with_sha384();
        let mut other = same.clone();
        other.oid = const_oid::db::rfc5912::ECDSA_WITH_SHA_256;
        for (outer, problem_count) in [(&same, 0), (&other, 1)] {
            let view = View::after_signing(&der, outer).unwrap();
            let mut problems = Problems::default();
            check(&view, &mut problems);
            assert_eq!(problems.0.len(), problem_count);
        }
    }
}
