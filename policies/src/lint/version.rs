//! Certificates are of version 3.

use super::{FIRST, Lint, Problems, View};
use crate::tbs::Version;

pub(super) const LINT: Lint = Lint {
    id: "version",
    citation: "BR 7.1.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.tbs.version != Version::V3 {
        problems.error(format!("the version is {:?} instead of V3", view.tbs.version));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn version_3_passes() {
        v1().passes(&LINT);
    }

    #[test]
    fn older_versions_fail() {
        v1().with(|tbs| tbs.version = Version::V1).fails(&LINT);
        v1().with(|tbs| tbs.version = Version::V2).fails(&LINT);
    }
}
