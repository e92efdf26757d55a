//! Nobody has used the unique identifiers of version 2.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "unique_identifiers",
    citation: "RFC 5280 section 4.1.2.8",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.tbs.issuer_unique_id.is_some() || view.tbs.subject_unique_id.is_some() {
        problems.error("the certificate has an issuerUniqueID or subjectUniqueID");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use der::asn1::BitString;

    #[test]
    fn none_pass() {
        v1().passes(&LINT);
    }

    #[test]
    fn either_fails() {
        let bits = || Some(BitString::from_bytes(&[1]).unwrap());
        v1().with(|tbs| tbs.issuer_unique_id = bits()).fails(&LINT);
        v1().with(|tbs| tbs.subject_unique_id = bits()).fails(&LINT);
    }
}
