//! A delegated OCSP responder answers, is not looked up itself, and can do nothing else.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::authority::{OCSP_NO_CHECK, OCSP_SIGNING};
use der::flagset::FlagSet;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

pub(super) const LINT: Lint = Lint {
    id: "responder_extensions",
    citation: "BR 4.9.9, RFC 6960 section 4.2.2.2",
    effective: FIRST,
    applies: |view| view.kind == Kind::OcspResponder,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.decode::<ExtendedKeyUsage>().map(|usage| usage.0) != Some(vec![OCSP_SIGNING]) {
        problems.error("the extKeyUsage is not OCSPSigning alone");
    }
    if view.decode::<KeyUsage>().map(|usage| usage.0) != Some(FlagSet::from(KeyUsages::DigitalSignature)) {
        problems.error("the keyUsage is not digitalSignature alone");
    }
    match view.extension(OCSP_NO_CHECK) {
        None => problems.error("id-pkix-ocsp-nocheck is missing, which BR 4.9.9 demands"),
        // DER of NULL.
        Some(extension) if extension.extn_value.as_bytes() != b"\x05\x00" => {
            problems.error("the value of id-pkix-ocsp-nocheck is not NULL");
        }
        Some(extension) if extension.critical => problems.error("id-pkix-ocsp-nocheck is critical"),
        Some(_) => {}
    }
    if view.decode::<SubjectAltName>().is_some() {
        problems.error("a responder has no subjectAltName");
    }
    // Nobody can revoke what nobody looks up, so it must end by itself.
    if view.not_after().since(view.not_before()) >= LONGEST {
        problems.error("a certificate that nobody can revoke lasts for more than 90 days");
    }
}

/// RFC 6960 section 4.2.2.2.1: nocheck "should be issued with a very short lifetime"; three months are ours.
const LONGEST: crate::time::Span = crate::time::Span::days(90);

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::profile::EMAIL_PROTECTION;
    use crate::template::extension;
    use crate::time::Span;
    use const_oid::AssociatedOid;

    #[test]
    fn our_responder_passes() {
        ocsp_responder().passes(&LINT);
        ocsp_responder().lasting(Span::days(89)).passes(&LINT);
    }

    #[test]
    fn responders_that_could_do_more_or_be_looked_up_fail() {
        let purposes = |purposes| extension(false, &ExtendedKeyUsage(purposes)).unwrap();
        ocsp_responder()
            .with_extension(purposes(vec![OCSP_SIGNING, EMAIL_PROTECTION]))
            .fails(&LINT);
        ocsp_responder().without_extension(ExtendedKeyUsage::OID).fails(&LINT);
        ocsp_responder().without_extension(OCSP_NO_CHECK).fails(&LINT);
        ocsp_responder().with_critical(OCSP_NO_CHECK, true).fails(&LINT);
        ocsp_responder()
            .with_raw_extension("1.3.6.1.5.5.7.48.1.5", false, b"\x01\x01\xff")
            .fails(&LINT);
        ocsp_responder()
            .with_extension(extension(true, &KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyCertSign)).unwrap())
            .fails(&LINT);
        ocsp_responder()
            .with_extension(extension(false, &SubjectAltName(Vec::new())).unwrap())
            .fails(&LINT);
        ocsp_responder().lasting(Span::days(90)).fails(&LINT);
        let mut subscriber = v1();
        subscriber.expected = super::super::Expected::OcspResponder;
        subscriber.fails(&LINT);
    }
}
