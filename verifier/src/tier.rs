//! From a policy identifier to a tier, when everything around it vouches for it (S/MIME BR sections 7.1.2.3, 7.1.4.2).

use const_oid::ObjectIdentifier;
use policies::attribute::{Attribute as KnownAttribute, Presence};
use policies::label::{LabelParts, label};
use policies::mailbox::Mailbox;
use policies::organization::OrganizationIdentifier;
use policies::tier::{Generation, ReservedGeneration, Tier};
use policies::time::{Span, Timestamp};

use crate::asn1::{IA5_STRING, PRINTABLE_STRING, UTF8_STRING};
use crate::certificate::{COMMON_NAME, Certificate, ORGANIZATION_NAME};
use crate::distinguished_name::Attribute;
use crate::extensions::{CLIENT_AUTHENTICATION, EMAIL_PROTECTION, GeneralName};
use crate::finding::{Code, Problem};
use crate::header::is_deceptive;
use crate::name::{EMAIL_ADDRESS, MatchedAddress, mailboxes};
use crate::path::VerifiedPath;
use crate::signed_data::IntactSignature;
use crate::trust::Vouches;

/// A tier with what it vouches for. Only [`grant`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) tier: Tier,
    /// Of the person, in V2 and V4.
    pub(crate) name: Option<String>,
    /// In V3 and V4.
    pub(crate) organization: Option<String>,
    /// In V4, if the certificate has one.
    pub(crate) title: Option<String>,
    /// The line a reader sees.
    pub(crate) label: String,
}

/// The tier of a signature whose path and address have been verified. The arguments are the proofs.
pub(crate) fn grant(
    signature: &IntactSignature<'_>,
    path: &VerifiedPath<'_>,
    _address: &MatchedAddress,
) -> Result<Granted, Problem> {
    // 1. The embedder lets the anchor speak about identities.
    if path.vouches() != Vouches::Tiers {
        return Err(
            Code::AnchorDoesNotVouch.because("the root of the signer's certificate is not trusted to check identities")
        );
    }
    // 2. Exactly one reserved policy, and it holds for the whole path in the anchor's own words.
    let certificate = signature.certificate();
    let policies = certificate.extensions.policies.as_deref().unwrap_or_default();
    let reserved: Vec<_> = policies
        .iter()
        .filter_map(|policy| Tier::from_policy_oid(policy).map(|meaning| (policy, meaning)))
        .collect();
    let (policy, (tier, generation)) = match reserved.as_slice() {
        [] => return Err(Code::NoTierPolicy.because("the certificate asserts no policy that stands for a tier")),
        [(policy, meaning)] => (**policy, *meaning),
        _ => {
            return Err(Code::SeveralTierPolicies
                .because("the certificate asserts several policies that stand for tiers; only one may"));
        }
    };
    if !path.policies().contains(&policy) {
        return Err(Code::TierPolicyNotInPath.because(format!(
            "the authorities above the signer do not carry the policy {policy}"
        )));
    }
    // 3. Legacy could be issued until 2025-07-15 (section 7.1.6.1).
    if generation == ReservedGeneration::Legacy && certificate.not_before >= LEGACY_ENDS {
        return Err(Code::LegacyGeneration
            .because("the certificate follows the legacy generation, which may not be issued since 2025-07-15"));
    }
    // 4. The rest of the certificate is what that tier has.
    check_profile(certificate, generation)?;
    let subject = Subject::read(certificate, tier, generation)?;
    subject.granted(tier)
}

/// Sections 6.3.2 and 7.1.2.3, as far as a reader depends on them.
fn check_profile(certificate: &Certificate<'_>, generation: ReservedGeneration) -> Result<(), Problem> {
    let unfit = |what: &str| Err(Code::ProfileDoesNotFit.because(format!("the signer's certificate {what}")));
    let purposes = certificate.extensions.extended_key_usage.as_deref().unwrap_or_default();
    if !purposes.contains(&EMAIL_PROTECTION) {
        return unfit("does not say that it is for e-mail");
    }
    let allowed = |purpose: &ObjectIdentifier| match generation {
        ReservedGeneration::Strict => *purpose == EMAIL_PROTECTION,
        // Legacy and Multipurpose may have others, never these (7.1.2.3 f).
        ReservedGeneration::Multipurpose | ReservedGeneration::Legacy => {
            *purpose == EMAIL_PROTECTION || *purpose == CLIENT_AUTHENTICATION || !FORBIDDEN_PURPOSES.contains(purpose)
        }
    };
    if !purposes.iter().all(allowed) {
        return unfit("is for purposes that may not be combined with e-mail");
    }
    if certificate.extensions.key_usage.is_none() {
        return unfit("does not say what its key is for");
    }
    let days = match generation {
        ReservedGeneration::Legacy => MAXIMUM_LEGACY_DAYS,
        ReservedGeneration::Multipurpose | ReservedGeneration::Strict => MAXIMUM_DAYS,
    };
    // Both ends belong to the period, so 825 days are 825 days minus one second apart.
    if certificate.not_after.since(certificate.not_before) >= Span::days(days) {
        return unfit("is valid for longer than the S/MIME BR allow");
    }
    let names = certificate
        .extensions
        .subject_alternative_names
        .as_deref()
        .unwrap_or_default();
    let is_address =
        |name: &GeneralName<'_>| matches!(name, GeneralName::Rfc822Name(_) | GeneralName::SmtpUtf8Mailbox(_));
    if !names.iter().any(is_address) {
        return unfit("has no address in its subjectAltName");
    }
    let fits = |name: &GeneralName<'_>| match name {
        GeneralName::Rfc822Name(_) | GeneralName::SmtpUtf8Mailbox(_) | GeneralName::DirectoryName(_) => true,
        // otherName, such as a user principal name.
        GeneralName::Other { tag: 0xa0, .. } => generation != ReservedGeneration::Strict,
        GeneralName::Other { .. }
        | GeneralName::DnsName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::IpAddress(_) => false,
    };
    if !names.iter().all(fits) {
        return unfit("has names in its subjectAltName that its type may not have");
    }
    Ok(())
}

/// The subject attributes of one certificate, each at most once.
struct Subject<'c> {
    attributes: Vec<&'c Attribute>,
    mailboxes: Vec<Mailbox>,
}

impl<'c> Subject<'c> {
    /// Section 7.1.4.2.3 to 7.1.4.2.6: which attributes a type may and must have.
    fn read(certificate: &'c Certificate<'_>, tier: Tier, generation: ReservedGeneration) -> Result<Self, Problem> {
        let attributes: Vec<&Attribute> = certificate.subject.attributes().collect();
        let unfit = |what: String| Err(Code::SubjectDoesNotFit.because(what));
        for (index, attribute) in attributes.iter().enumerate() {
            let kind = attribute.kind;
            let allowed = match tier {
                Tier::V1 => [COMMON_NAME, SERIAL_NUMBER, EMAIL_ADDRESS].contains(&kind),
                Tier::V2 => PERSONAL.contains(&kind) || COMMON.contains(&kind),
                Tier::V3 => ORGANIZATIONAL.contains(&kind) || COMMON.contains(&kind),
                Tier::V4 => PERSONAL.contains(&kind) || ORGANIZATIONAL.contains(&kind) || COMMON.contains(&kind),
            };
            let known = KnownAttribute::from_oid(&kind);
            // The strict generation names no street and no postal code.
            let prohibited = generation == ReservedGeneration::Strict
                && known.is_some_and(|known| known.presence(tier, Generation::Strict) == Presence::Prohibited);
            if !allowed || prohibited {
                return unfit(format!("a {} certificate may not name {kind}", tier.validation_type()));
            }
            if kind != ORGANIZATIONAL_UNIT && attributes.iter().skip(index + 1).any(|other| other.kind == kind) {
                return unfit(format!("the subject has {kind} twice"));
            }
            let string_fits = match attribute.tag {
                UTF8_STRING | PRINTABLE_STRING => kind != EMAIL_ADDRESS,
                IA5_STRING => kind == EMAIL_ADDRESS,
                _ => false,
            };
            let Some(text) = attribute.text.as_deref().filter(|_| string_fits) else {
                return unfit(format!("{kind} is not of the string type it must have"));
            };
            let says_something = text.chars().any(char::is_alphanumeric);
            // RFC 5280 appendix A.1, which the S/MIME BR section 7.1.4.2.2 a make binding.
            let bound = known.map_or(0, KnownAttribute::upper_bound).min(MAXIMUM_ATTRIBUTE);
            let is_too_long = text.chars().count() > bound;
            if !says_something || is_too_long || text.chars().any(is_deceptive) {
                return unfit(format!("{kind} is empty, too long, or has characters that deceive"));
            }
        }
        let subject = Self {
            attributes,
            mailboxes: mailboxes(certificate),
        };
        subject.check_addresses(tier)?;
        Ok(subject)
    }

    fn text(&self, kind: ObjectIdentifier) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind)?
            .text
            .as_deref()
    }

    /// Section 7.1.4.2.2: addresses in the subject are addresses of the certificate, and a mailbox-validated common
    /// name is nothing else.
    fn check_addresses(&self, tier: Tier) -> Result<(), Problem> {
        let is_own = |text: &str| Mailbox::parse(text).is_ok_and(|mailbox| self.mailboxes.contains(&mailbox));
        if let Some(address) = self.text(EMAIL_ADDRESS)
            && !is_own(address)
        {
            return Err(Code::SubjectDoesNotFit.because("emailAddress is not an address of the certificate"));
        }
        if let Some(common_name) = self.text(COMMON_NAME)
            && (tier == Tier::V1 || common_name.contains('@'))
            && !is_own(common_name)
        {
            return Err(Code::SubjectDoesNotFit.because("commonName is not an address of the certificate"));
        }
        if tier == Tier::V3
            && let (Some(common_name), Some(organization)) = (self.text(COMMON_NAME), self.text(ORGANIZATION_NAME))
            && common_name != organization
            && !is_own(common_name)
        {
            return Err(Code::SubjectDoesNotFit.because("commonName is neither the organization nor an address"));
        }
        Ok(())
    }

    fn granted(&self, tier: Tier) -> Result<Granted, Problem> {
        let missing = |what: &str| {
            Code::SubjectDoesNotFit.because(format!("a {} certificate must name {what}", tier.validation_type()))
        };
        let mut organization = None;
        if tier.names_organization() {
            organization = Some(self.text(ORGANIZATION_NAME).ok_or_else(|| missing("an organization"))?);
            let identifier = self
                .text(ORGANIZATION_IDENTIFIER)
                .ok_or_else(|| missing("an organizationIdentifier"))?;
            OrganizationIdentifier::parse(identifier)
                .map_err(|problem| Code::SubjectDoesNotFit.because(format!("organizationIdentifier: {problem}")))?;
        }
        let mut name = None;
        if tier.names_person() {
            // A pseudonym is allowed by the BR, but it does not say who somebody is, and that is what a tier shows.
            let names = [self.text(GIVEN_NAME), self.text(SURNAME)];
            name = Some(names.into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        let title = self.text(TITLE).filter(|_| tier == Tier::V4);
        let parts = LabelParts {
            name: name.as_deref(),
            organization,
            title,
        };
        let label =
            label(tier, &parts).ok_or_else(|| missing("whom it was issued to, in characters that can be shown"))?;
        let own = |text: &str| text.to_owned();
        Ok(Granted {
            tier,
            organization: organization.map(own),
            title: title.map(own),
            label,
            name,
        })
    }
}

const SURNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.4");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const STATE_OR_PROVINCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.8");
const STREET_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const TITLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.12");
const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
const GIVEN_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.42");
const ORGANIZATION_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.97");
/// Allowed in all types but mailbox-validated.
const COMMON: [ObjectIdentifier; 8] = [
    COMMON_NAME,
    SERIAL_NUMBER,
    EMAIL_ADDRESS,
    COUNTRY,
    LOCALITY,
    STATE_OR_PROVINCE,
    STREET_ADDRESS,
    POSTAL_CODE,
];
const PERSONAL: [ObjectIdentifier; 3] = [GIVEN_NAME, SURNAME, TITLE];
const ORGANIZATIONAL: [ObjectIdentifier; 3] = [ORGANIZATION_NAME, ORGANIZATIONAL_UNIT, ORGANIZATION_IDENTIFIER];
/// serverAuth, codeSigning, timeStamping, anyExtendedKeyUsage.
const FORBIDDEN_PURPOSES: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"),
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
];
/// Characters of an attribute of the subject, unless RFC 5280 appendix A.1 allows fewer. Source: own choice; given names
/// and surnames may have 32,768 there, and nobody's has.
const MAXIMUM_ATTRIBUTE: usize = 255;
/// Days that a certificate of the legacy generation may be valid. Source: S/MIME BR section 6.3.2.
const MAXIMUM_LEGACY_DAYS: i64 = 1185;
/// Days that one of the other generations may be valid. Source: S/MIME BR section 6.3.2.
const MAXIMUM_DAYS: i64 = 825;
/// From when on no certificate of the legacy generation may be issued. Source: S/MIME BR section 7.1.6.1.
const LEGACY_ENDS: Timestamp = Timestamp::from_unix(1_752_537_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_ended_on_the_day_the_requirements_say() {
        assert_eq!(LEGACY_ENDS.to_string(), "2025-07-15T00:00:00Z");
    }
}
