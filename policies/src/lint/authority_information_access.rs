//! The issuer's certificate can be fetched over HTTP, and nothing else stands there but an OCSP responder.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::template::{ID_AD_CA_ISSUERS, ID_AD_OCSP};
use crate::url::HttpUrl;
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;
use x509_cert::ext::pkix::name::GeneralName;

pub(super) const LINT: Lint = Lint {
    id: "authority_information_access",
    citation: "BR 7.1.2.2 c, 7.1.2.3 c",
    effective: FIRST,
    applies: |view| matches!(view.kind, Kind::IssuingAuthority | Kind::Subscriber),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let descriptions = view
        .decode::<AuthorityInfoAccessSyntax>()
        .map(|access| access.0)
        .unwrap_or_default();
    for description in &descriptions {
        let is_http = matches!(
            &description.access_location,
            GeneralName::UniformResourceIdentifier(url) if HttpUrl::parse(url.as_str()).is_ok()
        );
        if !is_http {
            problems.error("the authorityInfoAccess has something else than an HTTP address");
        }
        if ![ID_AD_CA_ISSUERS, ID_AD_OCSP].contains(&description.access_method) {
            problems.error(format!(
                "the access method {} is not permitted",
                description.access_method
            ));
        }
    }
    if !descriptions
        .iter()
        .any(|description| description.access_method == ID_AD_CA_ISSUERS)
    {
        problems.warning("the address of the issuer's certificate is missing");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use const_oid::{AssociatedOid, ObjectIdentifier};
    use der::asn1::Ia5String;
    use x509_cert::ext::pkix::AccessDescription;

    fn with(descriptions: &[(ObjectIdentifier, &str)]) -> Fixture {
        let descriptions = descriptions
            .iter()
            .map(|(access_method, url)| AccessDescription {
                access_method: *access_method,
                access_location: GeneralName::UniformResourceIdentifier(Ia5String::new(url).unwrap()),
            })
            .collect();
        v1().with_extension(extension(false, &AuthorityInfoAccessSyntax(descriptions)).unwrap())
    }

    #[test]
    fn http_passes() {
        v1().passes(&LINT);
        issuing_authority().passes(&LINT);
        with(&[
            (ID_AD_OCSP, "http://ocsp.example/"),
            (ID_AD_CA_ISSUERS, "http://ca.example/1.cer"),
        ])
        .passes(&LINT);
    }

    #[test]
    fn other_addresses_and_methods_fail() {
        with(&[(ID_AD_CA_ISSUERS, "https://ca.example/1.cer")]).fails(&LINT);
        with(&[(ID_AD_CA_ISSUERS, "ldap://ca.example/")]).fails(&LINT);
        with(&[
            (ID_AD_CA_ISSUERS, "http://ca.example/1.cer"),
            (ID_AD_OCSP, "https://ocsp.example/"),
        ])
        .fails(&LINT);
        let repository = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.5");
        with(&[
            (ID_AD_CA_ISSUERS, "http://ca.example/1.cer"),
            (repository, "http://ca.example/"),
        ])
        .fails(&LINT);
    }

    #[test]
    fn a_missing_certificate_is_warned_of() {
        v1().without_extension(AuthorityInfoAccessSyntax::OID).warns(&LINT);
        with(&[(ID_AD_OCSP, "http://ocsp.example/")]).warns(&LINT);
    }
}
