//! The four tiers, the generations of the BR, and their policy identifiers.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use thiserror::Error;

/// How much of a sender was validated. A higher tier says more about who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// A mailbox: mailbox-validated.
    V1,
    /// A person: individual-validated.
    V2,
    /// An organization: organization-validated.
    V3,
    /// An employee of an organization: sponsor-validated.
    V4,
}

impl Tier {
    /// All tiers, lowest first.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// The one reserved policy identifier that a certificate of this tier carries. See section 7.1.6.1.
    #[must_use]
    pub const fn policy_oid(self, generation: Generation) -> ObjectIdentifier {
        match (self, generation) {
            (Self::V1, Generation::Multipurpose) => ObjectIdentifier::new_unwrap("2.23.140.1.5.1.2"),
            (Self::V1, Generation::Strict) => ObjectIdentifier::new_unwrap("2.23.140.1.5.1.3"),
            (Self::V3, Generation::Multipurpose) => ObjectIdentifier::new_unwrap("2.23.140.1.5.2.2"),
            (Self::V3, Generation::Strict) => ObjectIdentifier::new_unwrap("2.23.140.1.5.2.3"),
            (Self::V4, Generation::Multipurpose) => ObjectIdentifier::new_unwrap("2.23.140.1.5.3.2"),
            (Self::V4, Generation::Strict) => ObjectIdentifier::new_unwrap("2.23.140.1.5.3.3"),
            (Self::V2, Generation::Multipurpose) => ObjectIdentifier::new_unwrap("2.23.140.1.5.4.2"),
            (Self::V2, Generation::Strict) => ObjectIdentifier::new_unwrap("2.23.140.1.5.4.3"),
        }
    }

    /// What a policy identifier says, if it is one of the twelve reserved ones of section 7.1.6.1.
    #[must_use]
    pub fn from_policy_oid(policy: &ObjectIdentifier) -> Option<(Self, ReservedGeneration)> {
        let mut arcs = policy.arcs();
        if !RESERVED_ARC.iter().all(|arc| arcs.next() == Some(*arc)) {
            return None;
        }
        let tier = match arcs.next()? {
            1 => Self::V1,
            2 => Self::V3,
            3 => Self::V4,
            4 => Self::V2,
            _ => return None,
        };
        let generation = match arcs.next()? {
            1 => ReservedGeneration::Legacy,
            2 => ReservedGeneration::Multipurpose,
            3 => ReservedGeneration::Strict,
            _ => return None,
        };
        arcs.next().is_none().then_some((tier, generation))
    }

    /// The certificate type in the words of the BR, such as `mailbox-validated`.
    #[must_use]
    pub const fn validation_type(self) -> &'static str {
        match self {
            Self::V1 => "mailbox-validated",
            Self::V2 => "individual-validated",
            Self::V3 => "organization-validated",
            Self::V4 => "sponsor-validated",
        }
    }

    /// Whether the subject names an organization.
    #[must_use]
    pub const fn names_organization(self) -> bool {
        matches!(self, Self::V3 | Self::V4)
    }

    /// Whether the subject names a person.
    #[must_use]
    pub const fn names_person(self) -> bool {
        matches!(self, Self::V2 | Self::V4)
    }
}

impl AsRef<str> for Tier {
    fn as_ref(&self) -> &str {
        match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::V3 => "V3",
            Self::V4 => "V4",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    /// Reads `V1` to `V4`, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tier| text.eq_ignore_ascii_case(tier.as_ref()))
            .ok_or(UnknownTier)
    }
}

/// Which generation of profiles a certificate follows. Legacy is not among them: it may not be issued since 2025-07-15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// Only e-mail.
    Strict,
    /// E-mail and, besides, client authentication.
    Multipurpose,
}

impl Generation {
    /// Both generations, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Multipurpose];
}

impl AsRef<str> for Generation {
    fn as_ref(&self) -> &str {
        match self {
            Self::Strict => "strict",
            Self::Multipurpose => "multipurpose",
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "strict" => Ok(Self::Strict),
            "multipurpose" => Ok(Self::Multipurpose),
            _ => Err(UnknownGeneration),
        }
    }
}

/// The generation that a policy identifier found in a certificate stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReservedGeneration {
    /// May not be issued since 2025-07-15, but older certificates still carry it.
    Legacy,
    /// See [`Generation::Multipurpose`].
    Multipurpose,
    /// See [`Generation::Strict`].
    Strict,
}

impl From<Generation> for ReservedGeneration {
    fn from(generation: Generation) -> Self {
        match generation {
            Generation::Strict => Self::Strict,
            Generation::Multipurpose => Self::Multipurpose,
        }
    }
}

/// The text is none of V1, V2, V3, V4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such tier; choose V1, V2, V3 or V4")]
pub struct UnknownTier;

/// The text is neither `strict` nor `multipurpose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such generation; choose strict or multipurpose")]
pub struct UnknownGeneration;

/// joint-iso-itu-t(2) international-organizations(23) ca-browser-forum(140) certificate-policies(1) smime-baseline(5).
const RESERVED_ARC: [u32; 5] = [2, 23, 140, 1, 5];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_identifiers_come_back() {
        for tier in Tier::ALL {
            for generation in Generation::ALL {
                let policy = tier.policy_oid(generation);
                assert_eq!(Tier::from_policy_oid(&policy), Some((tier, generation.into())));
            }
        }
    }

    #[test]
    fn the_order_of_identifiers_is_not_that_of_tiers() {
        assert_eq!(Tier::V2.policy_oid(Generation::Strict).to_string(), "2.23.140.1.5.4.3");
        assert_eq!(Tier::V3.policy_oid(Generation::Strict).to_string(), "2.23.140.1.5.2.3");
        assert_eq!(
            Tier::V4.policy_oid(Generation::Multipurpose).to_string(),
            "2.23.140.1.5.3.2"
        );
    }

    #[test]
    fn legacy_is_recognised() {
        let legacy = ObjectIdentifier::new_unwrap("2.23.140.1.5.3.1");
        assert_eq!(
            Tier::from_policy_oid(&legacy),
            Some((Tier::V4, ReservedGeneration::Legacy))
        );
    }

    #[test]
    fn other_identifiers_are_not_tiers() {
        for text in [
            "2.23.140.1.5.1",
            "2.23.140.1.5.5.3",
            "2.23.140.1.5.1.4",
            "2.23.140.1.5.1.0",
            "2.23.140.1.5.1.3.1",
            "2.23.140.1.2.1",
            "2.5.29.32.0",
            "1.3.6.1.4.1.1.3",
        ] {
            assert_eq!(
                Tier::from_policy_oid(&ObjectIdentifier::new_unwrap(text)),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        assert_eq!("v4".parse(), Ok(Tier::V4));
        for text in ["", "V0", "V5", "V", "1", "V1 "] {
            assert_eq!(text.parse::<Tier>(), Err(UnknownTier), "{text:?}");
        }
        assert_eq!("legacy".parse::<Generation>(), Err(UnknownGeneration));
        assert!(Tier::V4 > Tier::V3 && Tier::V3 > Tier::V2 && Tier::V2 > Tier::V1);
    }
}
