//! The subject attributes of the BR: their identifiers, bounds, and which tier may carry them.

use const_oid::ObjectIdentifier;

use crate::tier::{Generation, Tier};

/// A subject attribute that the BR know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// Section 7.1.4.2.2 a.
    CommonName,
    /// Section 7.1.4.2.2 b.
    OrganizationName,
    /// Section 7.1.4.2.2 c.
    OrganizationalUnitName,
    /// Section 7.1.4.2.2 d.
    OrganizationIdentifier,
    /// Section 7.1.4.2.2 e.
    GivenName,
    /// Section 7.1.4.2.2 e.
    Surname,
    /// Section 7.1.4.2.2 f.
    Pseudonym,
    /// Section 7.1.4.2.2 g.
    SerialNumber,
    /// Section 7.1.4.2.2 h.
    EmailAddress,
    /// Section 7.1.4.2.2 i.
    Title,
    /// Section 7.1.4.2.2 j.
    StreetAddress,
    /// Section 7.1.4.2.2 k.
    LocalityName,
    /// Section 7.1.4.2.2 l.
    StateOrProvinceName,
    /// Section 7.1.4.2.2 m.
    PostalCode,
    /// Section 7.1.4.2.2 n.
    CountryName,
}

impl Attribute {
    /// All attributes, in the order of section 7.1.4.2.2.
    pub const ALL: [Self; 15] = [
        Self::CommonName,
        Self::OrganizationName,
        Self::OrganizationalUnitName,
        Self::OrganizationIdentifier,
        Self::GivenName,
        Self::Surname,
        Self::Pseudonym,
        Self::SerialNumber,
        Self::EmailAddress,
        Self::Title,
        Self::StreetAddress,
        Self::LocalityName,
        Self::StateOrProvinceName,
        Self::PostalCode,
        Self::CountryName,
    ];

    /// The attribute type.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::CommonName => "2.5.4.3",
            Self::OrganizationName => "2.5.4.10",
            Self::OrganizationalUnitName => "2.5.4.11",
            Self::OrganizationIdentifier => "2.5.4.97",
            Self::GivenName => "2.5.4.42",
            Self::Surname => "2.5.4.4",
            Self::Pseudonym => "2.5.4.65",
            Self::SerialNumber => "2.5.4.5",
            Self::EmailAddress => "1.2.840.113549.1.9.1",
            Self::Title => "2.5.4.12",
            Self::StreetAddress => "2.5.4.9",
            Self::LocalityName => "2.5.4.7",
            Self::StateOrProvinceName => "2.5.4.8",
            Self::PostalCode => "2.5.4.17",
            Self::CountryName => "2.5.4.6",
        })
    }

    /// The attribute with this type.
    #[must_use]
    pub fn from_oid(oid: &ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.oid() == *oid)
    }

    /// The attribute with this name in the BR.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.as_ref() == name)
    }

    /// The most characters it may have: RFC 5280 appendix A.1, and X.520 where that has no bound that would bind.
    #[must_use]
    pub const fn upper_bound(self) -> usize {
        match self {
            Self::CommonName
            | Self::OrganizationName
            | Self::OrganizationalUnitName
            | Self::SerialNumber
            | Self::Title => 64,
            Self::GivenName | Self::Surname => 32_768,
            Self::Pseudonym | Self::LocalityName | Self::StateOrProvinceName | Self::StreetAddress => 128,
            Self::OrganizationIdentifier => 256,
            Self::EmailAddress => 255,
            Self::PostalCode => 40,
            Self::CountryName => 2,
        }
    }

    /// What the tables of sections 7.1.4.2.3 to 7.1.4.2.6 say of it.
    #[must_use]
    pub const fn presence(self, tier: Tier, generation: Generation) -> Presence {
        match self {
            Self::CommonName | Self::SerialNumber | Self::EmailAddress => Presence::Allowed,
            Self::OrganizationName | Self::OrganizationIdentifier => match tier {
                Tier::V3 | Tier::V4 => Presence::Required,
                Tier::V1 | Tier::V2 => Presence::Prohibited,
            },
            Self::OrganizationalUnitName => match tier {
                Tier::V3 | Tier::V4 => Presence::Allowed,
                Tier::V1 | Tier::V2 => Presence::Prohibited,
            },
            Self::GivenName | Self::Surname | Self::Pseudonym | Self::Title => match tier {
                Tier::V2 | Tier::V4 => Presence::Allowed,
                Tier::V1 | Tier::V3 => Presence::Prohibited,
            },
            Self::StreetAddress | Self::PostalCode => match (tier, generation) {
                (Tier::V1, _) | (_, Generation::Strict) => Presence::Prohibited,
                (_, Generation::Multipurpose) => Presence::Allowed,
            },
            Self::LocalityName | Self::StateOrProvinceName | Self::CountryName => match tier {
                Tier::V1 => Presence::Prohibited,
                Tier::V2 | Tier::V3 | Tier::V4 => Presence::Allowed,
            },
        }
    }
}

impl AsRef<str> for Attribute {
    /// The name in the BR, such as `organizationIdentifier`.
    fn as_ref(&self) -> &str {
        match self {
            Self::CommonName => "commonName",
            Self::OrganizationName => "organizationName",
            Self::OrganizationalUnitName => "organizationalUnitName",
            Self::OrganizationIdentifier => "organizationIdentifier",
            Self::GivenName => "givenName",
            Self::Surname => "surname",
            Self::Pseudonym => "pseudonym",
            Self::SerialNumber => "serialNumber",
            Self::EmailAddress => "emailAddress",
            Self::Title => "title",
            Self::StreetAddress => "streetAddress",
            Self::LocalityName => "localityName",
            Self::StateOrProvinceName => "stateOrProvinceName",
            Self::PostalCode => "postalCode",
            Self::CountryName => "countryName",
        }
    }
}

/// Whether a certificate of some tier carries an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// SHALL
    Required,
    /// MAY
    Allowed,
    /// SHALL NOT
    Prohibited,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_again() {
        for attribute in Attribute::ALL {
            assert_eq!(Attribute::from_oid(&attribute.oid()), Some(attribute));
            assert_eq!(Attribute::from_name(attribute.as_ref()), Some(attribute));
        }
        assert_eq!(
            Attribute::from_oid(&ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25")),
            None
        );
        assert_eq!(Attribute::from_name("CN"), None);
    }

    #[test]
    fn tables_agree_with_the_tiers() {
        for generation in Generation::ALL {
            for tier in Tier::ALL {
                let required = Attribute::OrganizationIdentifier.presence(tier, generation) == Presence::Required;
                assert_eq!(required, tier.names_organization());
                let allowed = Attribute::Title.presence(tier, generation) == Presence::Allowed;
                assert_eq!(allowed, tier.names_person());
            }
        }
        assert_eq!(
            Attribute::PostalCode.presence(Tier::V4, Generation::Strict),
            Presence::Prohibited
        );
        assert_eq!(
            Attribute::PostalCode.presence(Tier::V4, Generation::Multipurpose),
            Presence::Allowed
        );
        assert_eq!(
            Attribute::CountryName.presence(Tier::V1, Generation::Multipurpose),
            Presence::Prohibited
        );
    }
}
