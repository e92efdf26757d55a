//! The subjectKeyIdentifier is there, of reasonable length.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use x509_cert::ext::pkix::SubjectKeyIdentifier;

pub(super) const LINT: Lint = Lint {
    id: "subject_key_identifier",
    citation: "BR 7.1.2.1 e, 7.1.2.2 i, 7.1.2.3 n",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    match (view.decode::<SubjectKeyIdentifier>(), view.kind) {
        (Some(identifier), _) if identifier.0.as_bytes().is_empty() => {
            problems.error("the subjectKeyIdentifier is empty");
        }
        (Some(_), _) => {}
        (None, Kind::Subscriber | Kind::OcspResponder) => problems.warning("the subjectKeyIdentifier is missing"),
        (None, Kind::Root | Kind::IssuingAuthority) => problems.error("the subjectKeyIdentifier is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use const_oid::AssociatedOid;

    #[test]
    fn identifiers_pass() {
        v1().passes(&LINT);
        root().passes(&LINT);
    }

    #[test]
    fn missing_identifiers_are_reported() {
        v1().without_extension(SubjectKeyIdentifier::OID).warns(&LINT);
        root().without_extension(SubjectKeyIdentifier::OID).fails(&LINT);
        issuing_authority()
            .without_extension(SubjectKeyIdentifier::OID)
            .fails(&LINT);
        v1().with_raw_extension("2.5.29.14", false, b"\x04\x00").fails(&LINT);
    }
}
