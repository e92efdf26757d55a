//! There is an HTTP address of the revocation list, and no other kind of address.

use super::view::Kind;
use super::{FIRST, Lint, Problems, View};
use crate::url::HttpUrl;
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

pub(super) const LINT: Lint = Lint {
    id: "revocation_list_location",
    citation: "BR 7.1.2.2 b, 7.1.2.3 b",
    effective: FIRST,
    applies: |view| matches!(view.kind, Kind::IssuingAuthority | Kind::Subscriber),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Some(points) = view.decode::<CrlDistributionPoints>().map(|points| points.0) else {
        problems.error("the cRLDistributionPoints are missing");
        return;
    };
    let mut has_location = false;
    for point in &points {
        if point.reasons.is_some() || point.crl_issuer.is_some() {
            problems.error("a distribution point is only for some reasons, or of another issuer");
        }
        let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
            problems.error("a distribution point has no fullName");
            continue;
        };
        for name in names {
            match name {
                GeneralName::UniformResourceIdentifier(url) if HttpUrl::parse(url.as_str()).is_ok() => {
                    has_location = true;
                }
                _ => problems.error("a distribution point has something else than an HTTP address"),
            }
        }
    }
    if !has_location {
        problems.error("no distribution point has an HTTP address");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::template::extension;
    use const_oid::AssociatedOid;
    use der::asn1::Ia5String;
    use x509_cert::ext::pkix::crl::dp::DistributionPoint;

    fn with(points: Vec<DistributionPoint>) -> Fixture {
        v1().with_extension(extension(false, &CrlDistributionPoints(points)).unwrap())
    }

    fn point(urls: &[&str]) -> DistributionPoint {
        let names = urls
            .iter()
            .map(|url| GeneralName::UniformResourceIdentifier(Ia5String::new(url).unwrap()))
            .collect();
        DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(names)),
            reasons: None,
            crl_issuer: None,
        }
    }

    #[test]
    fn http_passes() {
        v1().passes(&LINT);
        issuing_authority().passes(&LINT);
        root().passes(&LINT);
        with(vec![
            point(&["http://a.example/1.crl"]),
            point(&["http://b.example/1.crl"]),
        ])
        .passes(&LINT);
    }

    #[test]
    fn other_addresses_fail() {
        for url in [
            "https://a.example/1.crl",
            "ldap://a.example/cn=crl",
            "ftp://a.example/1.crl",
            "",
            "http://",
        ] {
            with(vec![point(&[url])]).fails(&LINT);
            with(vec![point(&["http://a.example/1.crl", url])]).fails(&LINT);
        }
    }

    #[test]
    fn missing_and_partial_lists_fail() {
        v1().without_extension(CrlDistributionPoints::OID).fails(&LINT);
        issuing_authority()
            .without_extension(CrlDistributionPoints::OID)
            .fails(&LINT);
        with(vec![point(&[])]).fails(&LINT);
        with(vec![DistributionPoint {
            distribution_point: None,
            reasons: None,
            crl_issuer: None,
        }])
        .fails(&LINT);
        let other = Some(vec![GeneralName::DirectoryName(crate::testing::root().name)]);
        with(vec![DistributionPoint {
            crl_issuer: other,
            ..point(&["http://a.example/1.crl"])
        }])
        .fails(&LINT);
    }
}
