//! The certificate is DER to the last octet: writing it again gives the same bytes.

use super::{FIRST, Lint, Problems, View};
use der::Encode;

pub(super) const LINT: Lint = Lint {
    id: "der_encoding",
    citation: "RFC 5280 section 4.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    if view.tbs.to_der().is_ok_and(|again| again == view.der) {
        return;
    }
    problems.error("the TBSCertificate is not DER: it could be written in another way");
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::lint::{LintContext, check as check_all};
    use der::asn1::Any;
    use der::{Decode, Tag, TagNumber};

    #[test]
    fn what_we_write_is_der() {
        v4().passes(&LINT);
    }

    #[test]
    fn a_default_that_is_written_out_is_not_der() {
        let element = |tag: Tag, content: &[u8]| Any::new(tag, content).unwrap().to_der().unwrap();
        let mut fixture = v1();
        let extensions = fixture.tbs.extensions.take().unwrap();
        let mut fields = Any::from_der(&fixture.der()).unwrap().value().to_vec();

        // `critical BOOLEAN DEFAULT FALSE` is written although it is false.
        let mut written = Vec::new();
        for extension in &extensions {
            let critical = [0x01, 0x01, if extension.critical { 0xff } else { 0x00 }];
            let parts = [
                extension.extn_id.to_der().unwrap(),
                critical.to_vec(),
                extension.extn_value.to_der().unwrap(),
            ];
            written.extend(element(Tag::Sequence, &parts.concat()));
        }
        let tag = Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(3),
        };
        fields.extend(element(tag, &element(Tag::Sequence, &written)));
        let spoiled = element(Tag::Sequence, &fields);

        let context = LintContext {
            expected: fixture.expected,
            issuer: &fixture.issuer,
            now: fixture.now,
        };
        let findings = check_all(spoiled, &context).unwrap_err();
        let names: Vec<_> = findings.iter().map(|finding| finding.lint).collect();
        assert_eq!(names, [LINT.id]);
    }
}
