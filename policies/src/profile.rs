//! Certificate profiles: what a certificate of one tier and generation contains.
//!
//! A profile is written as TOML with the section of the BR at every key, and is embedded in the program. What is
//! written is a [`ProfileFile`], loose; what the rest of the program sees is a [`Profile`], checked against the tables
//! of the BR, so that an edited profile can restrict what we issue but never widen it.

use std::fmt;
use std::sync::LazyLock;

use const_oid::ObjectIdentifier;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::attribute::{Attribute, Presence};
use crate::key_use::KeyUse;
use crate::public_key::{Curve, PublicKey};
use crate::tier::{Generation, Tier};
use crate::time::{InvalidTimestamp, Span, Timestamp};

/// A checked profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    source: String,
    tier: Tier,
    generation: Generation,
    validity_days: u16,
    subject_attributes: Vec<Attribute>,
    common_name: CommonName,
    rfc822_name_required_from: Timestamp,
    rsa_minimum_bits: usize,
    curves: Vec<Curve>,
    issuer_rsa_minimum_bits: usize,
    issuer_rsa_minimum_from: Timestamp,
    key_uses: Vec<KeyUse>,
    extended_key_usage: Vec<ObjectIdentifier>,
    extended_key_usage_limited_from: Timestamp,
}

/// The embedded profile of a tier and generation.
#[must_use]
pub fn profile(tier: Tier, generation: Generation) -> &'static Profile {
    static PROFILES: LazyLock<[Profile; 8]> = LazyLock::new(|| {
        // The texts are part of the program, and the test `embedded_profiles_are_what_they_are_named` reads all eight.
        EMBEDDED.map(|text| Profile::parse(text).expect("an embedded profile is valid"))
    });
    let tier_index = match tier {
        Tier::V1 => 0,
        Tier::V2 => 2,
        Tier::V3 => 4,
        Tier::V4 => 6,
    };
    let generation_index = match generation {
        Generation::Strict => 0,
        Generation::Multipurpose => 1,
    };
    &PROFILES[tier_index + generation_index]
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] if the text is not TOML of the known keys or allows what the BR prohibit.
    pub fn parse(source: &str) -> Result<Self, InvalidProfile> {
        let file: ProfileFile = toml::from_str(source).map_err(|error| InvalidProfile::Syntax(Box::new(error)))?;
        file.check(source)
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the text, to record with each certificate.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.source.as_bytes()).into()
    }

    /// The tier it is for.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The generation it is for.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The reserved policy identifier. See section 7.1.6.1.
    #[must_use]
    pub const fn policy(&self) -> ObjectIdentifier {
        self.tier.policy_oid(self.generation)
    }

    /// For how many days certificates are valid, 1 to 824.
    #[must_use]
    pub const fn validity_days(&self) -> u16 {
        self.validity_days
    }

    /// The validity period of a certificate issued at `now`: both ends count (RFC 5280 section 4.1.2.5), so the last
    /// second is one before the days are over.
    #[must_use]
    pub fn validity_from(&self, now: Timestamp) -> ValidityPeriod {
        let length = Span::seconds(Span::days(i64::from(self.validity_days)).as_seconds() - 1);
        ValidityPeriod {
            not_before: now,
            not_after: now.plus(length),
        }
    }

    /// The subject attributes that are written where there is a value, in their order.
    #[must_use]
    pub fn subject_attributes(&self) -> &[Attribute] {
        &self.subject_attributes
    }

    /// What the commonName repeats.
    #[must_use]
    pub const fn common_name(&self) -> CommonName {
        self.common_name
    }

    /// From when on certificates need an rfc822Name.
    #[must_use]
    pub const fn rfc822_name_required_from(&self) -> Timestamp {
        self.rfc822_name_required_from
    }

    /// From when on the issuer's RSA key needs how many bits.
    #[must_use]
    pub const fn issuer_rsa_minimum(&self) -> (Timestamp, usize) {
        (self.issuer_rsa_minimum_from, self.issuer_rsa_minimum_bits)
    }

    /// What a key may be certified for.
    #[must_use]
    pub fn key_uses(&self) -> &[KeyUse] {
        &self.key_uses
    }

    /// The extended key usages.
    #[must_use]
    pub fn extended_key_usage(&self) -> &[ObjectIdentifier] {
        &self.extended_key_usage
    }

    /// From when on only emailProtection and clientAuth are permitted.
    #[must_use]
    pub const fn extended_key_usage_limited_from(&self) -> Timestamp {
        self.extended_key_usage_limited_from
    }

    /// Whether certificates for such a key are issued.
    #[must_use]
    pub fn accepts_key(&self, key: &PublicKey) -> bool {
        match key {
            PublicKey::Rsa { exponent, .. } => {
                let bits = key.rsa_bits().unwrap_or(0);
                // Section 6.1.6: the exponent should lie between 2^16 + 1 and 2^256 - 1. Eight thousand bits bound
                // the work of everybody who verifies.
                bits >= self.rsa_minimum_bits
                    && bits <= 8192
                    && bits.is_multiple_of(8)
                    && exponent.last().is_some_and(|last| last % 2 == 1)
                    && (3..=32).contains(&exponent.len())
            }
            PublicKey::EllipticCurve { curve, point } => {
                self.curves.contains(curve)
                    && point.first() == Some(&0x04)
                    && point.len() == 1 + 2 * curve.coordinate_length()
            }
            PublicKey::Edwards | PublicKey::MlDsa | PublicKey::MlKem => false,
        }
    }
}

/// From and to when a certificate is valid; both instants count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl ValidityPeriod {
    /// A period of `days` days from `not_before` on, for certificates of authorities.
    #[must_use]
    pub fn of_days(not_before: Timestamp, days: u16) -> Self {
        let length = Span::seconds(Span::days(i64::from(days)).as_seconds() - 1);
        Self {
            not_before,
            not_after: not_before.plus(length),
        }
    }

    /// This period, ending no later than the issuer's.
    #[must_use]
    pub fn until_at_most(self, issuer_not_after: Timestamp) -> Self {
        Self {
            not_after: self.not_after.min(issuer_not_after),
            ..self
        }
    }

    /// How long it is, both ends included.
    #[must_use]
    pub const fn length(self) -> Span {
        Span::seconds(self.not_after.since(self.not_before).as_seconds().saturating_add(1))
    }
}

/// What the commonName repeats. See section 7.1.4.2.2 a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommonName {
    /// The mailbox.
    Mailbox,
    /// The organizationName.
    OrganizationName,
    /// Given name and surname.
    PersonalName,
}

/// A profile as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    tier: String,
    generation: String,
    policy: String,
    validity: ValiditySection,
    subject: SubjectSection,
    subject_alternative_name: SubjectAlternativeNameSection,
    public_key: PublicKeySection,
    issuer_key: IssuerKeySection,
    key_usage: KeyUsageSection,
    extended_key_usage: ExtendedKeyUsageSection,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValiditySection {
    days: u16,
    maximum_days: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectSection {
    attributes: Vec<String>,
    common_name: CommonName,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectAlternativeNameSection {
    rfc822_name_required_from: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKeySection {
    rsa_minimum_bits: usize,
    curves: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerKeySection {
    rsa_minimum_bits: usize,
    rsa_minimum_from: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyUsageSection {
    uses: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendedKeyUsageSection {
    purposes: Vec<String>,
    limited_from: String,
}

impl ProfileFile {
    fn check(self, source: &str) -> Result<Profile, InvalidProfile> {
        let prohibits = |key, section| InvalidProfile::Prohibited { key, section };
        let instant =
            |key, text: &str| Timestamp::parse_rfc3339(text).map_err(|cause| InvalidProfile::Instant { key, cause });
        let tier: Tier = self.tier.parse().map_err(|_| InvalidProfile::Unknown { key: "tier" })?;
        let generation: Generation = self
            .generation
            .parse()
            .map_err(|_| InvalidProfile::Unknown { key: "generation" })?;
        if self.policy != tier.policy_oid(generation).to_string() {
            return Err(prohibits("policy", "7.1.6.1"));
        }

        if self.validity.maximum_days != LONGEST_VALIDITY_DAYS
            || self.validity.days == 0
            || self.validity.days >= LONGEST_VALIDITY_DAYS
        {
            return Err(prohibits("validity.days", "6.3.2"));
        }

        let mut subject_attributes = Vec::new();
        for name in &self.subject.attributes {
            let attribute = Attribute::from_name(name).ok_or(InvalidProfile::Unknown {
                key: "subject.attributes",
            })?;
            let prohibited = attribute.presence(tier, generation) == Presence::Prohibited;
            if prohibited || subject_attributes.contains(&attribute) {
                return Err(prohibits("subject.attributes", "7.1.4.2"));
            }
            subject_attributes.push(attribute);
        }
        let required = |attribute: &Attribute| attribute.presence(tier, generation) == Presence::Required;
        let named = !tier.names_person() || subject_attributes.contains(&Attribute::Surname);
        let placed = subject_attributes.contains(&Attribute::CountryName)
            || !subject_attributes
                .iter()
                .any(|attribute| matches!(attribute, Attribute::LocalityName | Attribute::StateOrProvinceName));
        if !named
            || !placed
            || Attribute::ALL
                .iter()
                .any(|a| required(a) && !subject_attributes.contains(a))
        {
            return Err(prohibits("subject.attributes", "7.1.4.2"));
        }
        let common_name_fits = match self.subject.common_name {
            CommonName::Mailbox => true,
            CommonName::OrganizationName => tier == Tier::V3,
            CommonName::PersonalName => tier.names_person(),
        };
        if !common_name_fits {
            return Err(prohibits("subject.common_name", "7.1.4.2.2 a"));
        }

        if self.public_key.rsa_minimum_bits < 2048 {
            return Err(prohibits("public_key.rsa_minimum_bits", "6.1.5"));
        }
        let curves = self.public_key.curves.iter().map(|name| match name.as_str() {
            "P-256" => Ok(Curve::P256),
            "P-384" => Ok(Curve::P384),
            "P-521" => Ok(Curve::P521),
            _ => Err(InvalidProfile::Unknown {
                key: "public_key.curves",
            }),
        });
        let curves = curves.collect::<Result<Vec<_>, _>>()?;
        if self.issuer_key.rsa_minimum_bits < 3072 {
            return Err(prohibits("issuer_key.rsa_minimum_bits", "6.1.5"));
        }

        let mut key_uses = Vec::new();
        for name in &self.key_usage.uses {
            let key_use = name
                .parse()
                .map_err(|_| InvalidProfile::Unknown { key: "key_usage.uses" })?;
            if key_uses.contains(&key_use) {
                return Err(prohibits("key_usage.uses", "7.1.2.3 e"));
            }
            key_uses.push(key_use);
        }
        if key_uses.is_empty() {
            return Err(prohibits("key_usage.uses", "7.1.2.3 e"));
        }

        let purposes = self.extended_key_usage.purposes.iter().map(|name| match name.as_str() {
            "emailProtection" => Ok(EMAIL_PROTECTION),
            "clientAuth" if generation == Generation::Multipurpose => Ok(CLIENT_AUTHENTICATION),
            _ => Err(prohibits("extended_key_usage.purposes", "7.1.2.3 f")),
        });
        let extended_key_usage = purposes.collect::<Result<Vec<_>, _>>()?;
        if !extended_key_usage.contains(&EMAIL_PROTECTION) || extended_key_usage.len() > 2 {
            return Err(prohibits("extended_key_usage.purposes", "7.1.2.3 f"));
        }

        Ok(Profile {
            source: source.to_owned(),
            tier,
            generation,
            validity_days: self.validity.days,
            subject_attributes,
            common_name: self.subject.common_name,
            rfc822_name_required_from: instant(
                "subject_alternative_name.rfc822_name_required_from",
                &self.subject_alternative_name.rfc822_name_required_from,
            )?,
            rsa_minimum_bits: self.public_key.rsa_minimum_bits,
            curves,
            issuer_rsa_minimum_bits: self.issuer_key.rsa_minimum_bits,
            issuer_rsa_minimum_from: instant("issuer_key.rsa_minimum_from", &self.issuer_key.rsa_minimum_from)?,
            key_uses,
            extended_key_usage,
            extended_key_usage_limited_from: instant(
                "extended_key_usage.limited_from",
                &self.extended_key_usage.limited_from,
            )?,
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tier, self.generation)
    }
}

/// Why a text is not a profile.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidProfile {
    /// Not TOML, or a key too many or too few.
    #[error("the profile cannot be read")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A word that is not known there.
    #[error("the profile's key {key} has a value that is not known")]
    Unknown {
        /// Which key.
        key: &'static str,
    },
    /// The BR do not allow it.
    #[error("the profile's key {key} has a value that BR {section} does not allow")]
    Prohibited {
        /// Which key.
        key: &'static str,
        /// The section.
        section: &'static str,
    },
    /// An instant cannot be read.
    #[error("the profile's key {key} is not an instant")]
    Instant {
        /// Which key.
        key: &'static str,
        /// Why not.
        #[source]
        cause: InvalidTimestamp,
    },
}

/// id-kp-emailProtection, RFC 5280 section 4.2.1.12.
pub(crate) const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
/// id-kp-clientAuth, RFC 5280 section 4.2.1.12.
pub(crate) const CLIENT_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Section 6.3.2.
pub(crate) const LONGEST_VALIDITY_DAYS: u16 = 825;

const EMBEDDED: [&str; 8] = [
    include_str!("../profiles/v1-strict.toml"),
    include_str!("../profiles/v1-multipurpose.toml"),
    include_str!("../profiles/v2-strict.toml"),
    include_str!("../profiles/v2-multipurpose.toml"),
    include_str!("../profiles/v3-strict.toml"),
    include_str!("../profiles/v3-multipurpose.toml"),
    include_str!("../profiles/v4-strict.toml"),
    include_str!("../profiles/v4-multipurpose.toml"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn embedded_profiles_are_what_they_are_named() {
        for tier in Tier::ALL {
            for generation in Generation::ALL {
                let profile = profile(tier, generation);
                assert_eq!((profile.tier(), profile.generation()), (tier, generation));
                assert_eq!(profile.validity_days(), 397);
                assert_eq!(profile.policy(), tier.policy_oid(generation));
            }
        }
    }

    #[test]
    fn every_key_is_explained_with_its_section() {
        for text in EMBEDDED {
            let mut explained = false;
            for line in text.lines() {
                if line.starts_with('#') {
                    explained |= line.contains("BR ") || line.contains("Apple");
                } else if line.is_empty() || line.starts_with('[') {
                    explained = false;
                } else if line.contains(" = ") {
                    assert!(explained, "{line}");
                }
            }
        }
    }

    #[test]
    fn hashes_tell_profiles_apart() {
        let hashes: Vec<_> = Tier::ALL
            .into_iter()
            .flat_map(|tier| Generation::ALL.map(|generation| profile(tier, generation).sha256()))
            .collect();
        assert!((1..hashes.len()).all(|index| !hashes[..index].contains(&hashes[index])));
    }

    #[test]
    fn profiles_cannot_be_widened() {
        let good = EMBEDDED[6];
        assert!(Profile::parse(good).is_ok());
        for (from, to) in [
            ("days = 397", "days = 825"),
            ("days = 397", "days = 0"),
            ("maximum_days = 825", "maximum_days = 1185"),
            ("2.23.140.1.5.3.3", "2.23.140.1.5.3.1"),
            ("2.23.140.1.5.3.3", "2.23.140.1.5.3.2"),
            ("generation = \"strict\"", "generation = \"legacy\""),
            ("\"title\",", "\"streetAddress\","),
            ("\"title\",", "\"surname\","),
            ("\"title\",", "\"nickname\","),
            ("\"organizationIdentifier\",", ""),
            ("\"surname\",", ""),
            ("\"countryName\",", ""),
            ("common_name = \"personal-name\"", "common_name = \"organization-name\""),
            ("rsa_minimum_bits = 2048", "rsa_minimum_bits = 1024"),
            ("rsa_minimum_bits = 3072", "rsa_minimum_bits = 2048"),
            ("\"P-384\"", "\"brainpoolP384r1\""),
            ("[\"emailProtection\"]", "[]"),
            ("[\"emailProtection\"]", "[\"clientAuth\"]"),
            ("[\"emailProtection\"]", "[\"emailProtection\", \"clientAuth\"]"),
            ("[\"emailProtection\"]", "[\"emailProtection\", \"serverAuth\"]"),
            ("[\"both\", \"sign\", \"encrypt\"]", "[\"anything\"]"),
            ("[\"both\", \"sign\", \"encrypt\"]", "[\"both\", \"both\"]"),
            ("[\"both\", \"sign\", \"encrypt\"]", "[]"),
            ("2027-02-01T00:00:00Z", "soon"),
            ("[key_usage]", "[key_usage]\nextra = 1"),
            ("[key_usage]\n", ""),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Profile::parse(&good.replace(from, to)).is_err(), "{from} -> {to}");
        }
        let organization = EMBEDDED[4];
        assert!(Profile::parse(&organization.replace("\"commonName\"", "\"commonName\", \"title\"")).is_err());
        assert!(Profile::parse(&EMBEDDED[0].replace("\"commonName\"", "\"organizationName\"")).is_err());
    }

    #[test]
    fn profiles_may_be_narrowed() {
        let narrowed = EMBEDDED[0].replace("days = 397", "days = 90").replace("\"both\", ", "");
        let profile = Profile::parse(&narrowed).unwrap();
        assert_eq!(profile.validity_days(), 90);
        assert_eq!(profile.key_uses(), [KeyUse::Sign, KeyUse::Encrypt]);
        assert_ne!(profile.sha256(), Profile::parse(EMBEDDED[0]).unwrap().sha256());
    }

    #[test]
    fn validity_counts_both_ends() {
        let now = Timestamp::from_unix(1_800_000_000);
        let period = profile(Tier::V1, Generation::Strict).validity_from(now);
        assert_eq!(period.length(), Span::days(397));
        assert_eq!(period.not_after, now.plus(Span::seconds(397 * 86_400 - 1)));
        assert_eq!(
            period.until_at_most(now.plus(Span::days(1))).not_after,
            now.plus(Span::days(1))
        );
        assert_eq!(period.until_at_most(Timestamp::LATEST), period);
    }

    #[test]
    fn keys_of_other_kinds_are_not_accepted() {
        let profile = profile(Tier::V1, Generation::Strict);
        for info in [
            testing::p256(),
            testing::p384(),
            testing::rsa2048(),
            testing::rsa3072(),
            testing::rsa4096(),
        ] {
            assert!(profile.accepts_key(&PublicKey::read(&info).unwrap()));
        }
        let rsa = |bytes: usize, exponent: &[u8]| PublicKey::Rsa {
            modulus: [&[0x80][..], &vec![1; bytes - 1]].concat(),
            exponent: exponent.to_vec(),
        };
        assert!(profile.accepts_key(&rsa(256, &[1, 0, 1])));
        for refused in [
            rsa(128, &[1, 0, 1]),
            rsa(255, &[1, 0, 1]),
            rsa(1025, &[1, 0, 1]),
            rsa(256, &[3]),
            rsa(256, &[1, 0, 0]),
            rsa(256, &[1; 33]),
            PublicKey::EllipticCurve {
                curve: Curve::P521,
                point: [&[4][..], &[1; 132]].concat(),
            },
            PublicKey::EllipticCurve {
                curve: Curve::P256,
                point: [&[2][..], &[1; 32]].concat(),
            },
            PublicKey::EllipticCurve {
                curve: Curve::P256,
                point: [&[4][..], &[1; 63]].concat(),
            },
            PublicKey::Edwards,
            PublicKey::MlDsa,
            PublicKey::MlKem,
        ] {
            assert!(!profile.accepts_key(&refused), "{refused:?}");
        }
    }
}
