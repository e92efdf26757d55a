//! Policy qualifiers are addresses of a practice statement, or notices in plain text.

use super::view::text;
use super::{FIRST, Lint, Problems, View};
use crate::template::ID_QT_CPS;
use crate::url::PracticeStatementUrl;
use const_oid::ObjectIdentifier;
use x509_cert::ext::pkix::CertificatePolicies;
use x509_cert::ext::pkix::certpolicy::UserNotice;

pub(super) const LINT: Lint = Lint {
    id: "policy_qualifier",
    citation: "BR 7.1.2.2 a, 7.1.2.3 a",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let policies = view
        .decode::<CertificatePolicies>()
        .map(|policies| policies.0)
        .unwrap_or_default();
    for qualifier in policies
        .iter()
        .flat_map(|policy| policy.policy_qualifiers.iter().flatten())
    {
        match qualifier.policy_qualifier_id {
            ID_QT_CPS => {
                let url = qualifier.qualifier.as_ref().and_then(text);
                if url.is_none_or(|url| PracticeStatementUrl::parse(&url).is_err()) {
                    problems.error("the address of the practice statement is not an HTTP or HTTPS address");
                }
            }
            ID_QT_USER_NOTICE => {
                let notice = qualifier
                    .qualifier
                    .as_ref()
                    .and_then(|value| value.decode_as::<UserNotice>().ok());
                if !notice.is_some_and(|notice| notice.explicit_text.is_some() && notice.notice_ref.is_none()) {
                    problems.error("the user notice has no explicitText, or a noticeRef");
                }
            }
            other => problems.error(format!("the policy qualifier {other} is not permitted")),
        }
    }
}

const ID_QT_USER_NOTICE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.2.2");

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use der::asn1::Any;
    use der::{Decode, Tag};
    use x509_cert::ext::pkix::certpolicy::{PolicyInformation, PolicyQualifierInfo};

    fn with_qualifier(oid: ObjectIdentifier, qualifier: Option<Any>) -> Fixture {
        let policy = PolicyInformation {
            policy_identifier: ObjectIdentifier::new_unwrap("2.23.140.1.5.1.3"),
            policy_qualifiers: Some(vec![PolicyQualifierInfo {
                policy_qualifier_id: oid,
                qualifier,
            }]),
        };
        v1().with_extension(extension(false, &CertificatePolicies(vec![policy])).unwrap())
    }

    fn practice_statement(url: &str) -> Fixture {
        with_qualifier(ID_QT_CPS, Some(Any::new(Tag::Ia5String, url.as_bytes()).unwrap()))
    }

    #[test]
    fn practice_statements_pass() {
        v1().passes(&LINT);
        practice_statement("https://ca.example.com/cps").passes(&LINT);
        practice_statement("http://ca.example.com/cps").passes(&LINT);
    }

    #[test]
    fn a_notice_in_plain_text_passes() {
        let notice = b"\x30\x04\x0c\x02Hi";
        with_qualifier(ID_QT_USER_NOTICE, Some(Any::from_der(notice).unwrap())).passes(&LINT);
    }

    #[test]
    fn other_qualifiers_fail() {
        practice_statement("ftp://ca.example.com/cps").fails(&LINT);
        practice_statement("").fails(&LINT);
        with_qualifier(ID_QT_CPS, None).fails(&LINT);
        with_qualifier(ID_QT_USER_NOTICE, None).fails(&LINT);
        with_qualifier(ID_QT_USER_NOTICE, Some(Any::from_der(b"\x30\x00").unwrap())).fails(&LINT);
        with_qualifier(ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1"), None).fails(&LINT);
    }
}
