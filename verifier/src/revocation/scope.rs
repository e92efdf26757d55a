//! Which certificates and reasons a CRL is about (RFC 5280 sections 4.2.1.13, 5.2.5 and 6.3.3).

use super::Unusable;
use crate::asn1::{self, Malformed, context, context_constructed};
use crate::certificate::Certificate;
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{DistributionPoint, DistributionPointName, GeneralName, distribution_point_name};

/// A set of reasons: bit 1 keyCompromise to bit 8 aACompromise, as ReasonFlags counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reasons(u16);

impl Reasons {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self(0x1fe);

    fn listed(bits: Option<u16>) -> Self {
        bits.map_or(Self::ALL, |bits| Self(bits & Self::ALL.0))
    }

    fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn adds_to(self, known: Self) -> bool {
        self.0 & !known.0 != 0
    }
}

/// IssuingDistributionPoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IssuingDistributionPoint<'a> {
    name: Option<DistributionPointName<'a>>,
    only_users: bool,
    only_authorities: bool,
    only_attributes: bool,
    some_reasons: Option<u16>,
    pub(super) indirect: bool,
}

impl<'a> IssuingDistributionPoint<'a> {
    pub(super) fn read(value: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = asn1::whole_sequence(value)?;
        let name = reader
            .optional(context_constructed(0))?
            .map(distribution_point_name)
            .transpose()?;
        let flag = |element: Option<asn1::Element<'_>>| -> Result<bool, Malformed> {
            element.map_or(Ok(false), |element| asn1::boolean(element.content))
        };
        let only_users = flag(reader.optional(context(1))?)?;
        let only_authorities = flag(reader.optional(context(2))?)?;
        let some_reasons = reader
            .optional(context(3))?
            .map(|element| asn1::named_bits(element.content))
            .transpose()?;
        let indirect = flag(reader.optional(context(4))?)?;
        let only_attributes = flag(reader.optional(context(5))?)?;
        reader.finish()?;
        Ok(Self {
            name,
            only_users,
            only_authorities,
            only_attributes,
            some_reasons,
            indirect,
        })
    }
}

/// For which reasons the list speaks of this certificate under this distribution point; `None` if it does not.
///
/// Section 6.3.3 (b) and (d). A certificate without distribution points has one implied: its issuer.
pub(super) fn reasons(
    list_issuer: &DistinguishedName,
    scope: Option<&IssuingDistributionPoint<'_>>,
    certificate: &Certificate<'_>,
    point: Option<&DistributionPoint<'_>>,
) -> Result<Option<Reasons>, Unusable> {
    // (b)(1): whose list it is.
    let own_issuers = point.and_then(|point| point.issuer.as_deref());
    let indirect = scope.is_some_and(|scope| scope.indirect);
    let is_issuer = match own_issuers {
        Some(names) => indirect && names.iter().any(|name| is_directory_name(name, list_issuer)),
        None => certificate.issuer == *list_issuer,
    };
    if !is_issuer {
        return Ok(None);
    }
    let Some(scope) = scope else {
        return Ok(Some(Reasons::listed(point.and_then(|point| point.reasons))));
    };
    // (b)(2)(ii) to (iv): which kinds of certificates.
    let is_authority = certificate
        .extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.is_authority);
    if scope.only_attributes || (scope.only_users && is_authority) || (scope.only_authorities && !is_authority) {
        return Ok(None);
    }
    // (b)(2)(i): one name in common.
    if let Some(name) = &scope.name {
        let listed = full_names(name, list_issuer)?;
        let asked = match point {
            None => vec![GeneralName::DirectoryName(certificate.issuer.clone())],
            Some(point) => match (&point.name, own_issuers) {
                (Some(name), Some([GeneralName::DirectoryName(issuer)])) => full_names(name, issuer)?,
                (Some(name), _) => full_names(name, &certificate.issuer)?,
                (None, Some(issuers)) => issuers.to_vec(),
                (None, None) => return Ok(None),
            },
        };
        if !asked.iter().any(|name| listed.contains(name)) {
            return Ok(None);
        }
    }
    let of_point = Reasons::listed(point.and_then(|point| point.reasons));
    Ok(Some(Reasons::listed(scope.some_reasons).both(of_point)))
}

fn is_directory_name(name: &GeneralName<'_>, expected: &DistinguishedName) -> bool {
    matches!(name, GeneralName::DirectoryName(name) if name == expected)
}

/// A name relative to the issuer continues the issuer's (section 4.2.1.13).
fn full_names<'n>(
    name: &DistributionPointName<'n>,
    issuer: &DistinguishedName,
) -> Result<Vec<GeneralName<'n>>, Unusable> {
    match name {
        DistributionPointName::Full(names) => Ok(names.clone()),
        DistributionPointName::RelativeToIssuer(set) => Ok(vec![GeneralName::DirectoryName(issuer.continued_by(set)?)]),
    }
}
