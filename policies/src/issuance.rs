//! May this certificate be issued now? A request, evidence, a profile and an instant in; a proof or the reasons out.
//!
//! The one way to an [`Approved`] is [`approve`], and the one way from there to a certificate is
//! [`Approved::template`]; so what a certificate says of its subject was proved, freshly, by approved evidence.

use std::fmt;

use spki::SubjectPublicKeyInfoOwned;
use thiserror::Error;

use crate::evidence::{Evidence, EvidenceId, Fact, FactKind, Method};
use crate::key_use::KeyUse;
use crate::mailbox::{Mailbox, MailboxName};
use crate::organization::{Organization, OrganizationIdentifier};
use crate::person::{Person, Title};
use crate::profile::Profile;
use crate::public_key::{InvalidPublicKey, PublicKey};
use crate::tier::{Generation, Tier};
use crate::time::Timestamp;

pub use crate::template::{CertificateTemplate, Issuer, Locations, TemplateError};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tier.
    pub tier: Tier,
    /// The generation.
    pub generation: Generation,
    /// What the key is to be used for.
    pub key_use: KeyUse,
    /// The one mailbox to certify.
    pub mailbox: Mailbox,
    /// For which organization, where an account has several. `None` means the one that the evidence names.
    pub organization: Option<OrganizationIdentifier>,
    /// The key to certify.
    pub public_key: SubjectPublicKeyInfoOwned,
    /// The principal who asks; their own approvals do not count.
    pub requester: String,
}

/// Decides on a request by the evidence of the requester's account.
///
/// * V1 needs control of the mailbox, or of its domain or one above it (section 3.2.2).
/// * V2 needs, besides, the identity of the person who uses the mailbox (section 3.2.4).
/// * V3 needs, besides control, the identity of one organization (section 3.2.3) and somebody's authority to speak for
///   it (section 3.2.6).
/// * V4 needs what V3 needs, and the employment of the person who uses the mailbox (section 3.2.4): from the records
///   of an organization whose control of the domain is proved (section 1.3.2.1), or attested by it together with the
///   person's own identity.
///
/// All of it must be fresh at `now` (section 4.2.1). Identities count if an officer other than the requester approved
/// them; that of an organization needs two such officers.
///
/// # Errors
///
/// [`Refusal`] lists everything that is missing.
pub fn approve(
    request: Request,
    evidence: &[Evidence],
    profile: &'static Profile,
    now: Timestamp,
) -> Result<Approved, Refusal> {
    let Request {
        tier,
        generation,
        key_use,
        mailbox,
        organization,
        public_key,
        requester,
    } = request;
    let mut shortcomings = Vec::new();

    if (profile.tier(), profile.generation()) != (tier, generation) {
        shortcomings.push(Shortcoming::OtherProfile {
            profile: profile.to_string(),
        });
    }
    if !profile.key_uses().contains(&key_use) {
        shortcomings.push(Shortcoming::UseNotCertified { key_use });
    }
    match PublicKey::read(&public_key) {
        Ok(key) if profile.accepts_key(&key) && key_use.key_usage(&key).is_some() => {}
        Ok(_) => shortcomings.push(Shortcoming::KeyNotAccepted),
        Err(cause) => shortcomings.push(Shortcoming::KeyNotPermitted(cause)),
    }
    let needs_rfc822_name = now >= profile.rfc822_name_required_from();
    if needs_rfc822_name && matches!(mailbox.subject_alternative_name(), MailboxName::SmtpUtf8Mailbox(_)) {
        shortcomings.push(Shortcoming::MailboxNotAscii {
            since: profile.rfc822_name_required_from(),
        });
    }

    let search = Search {
        mailbox: &mailbox,
        organization: organization.as_ref(),
        requester: &requester,
        evidence,
        now,
    };
    match search.subject(tier) {
        Ok((subject, used)) if shortcomings.is_empty() => {
            let domain_proofs = used
                .iter()
                .filter(|evidence| evidence.fact().kind() == FactKind::DomainControl)
                .map(|evidence| (evidence.id().clone(), evidence.method()))
                .collect();
            let evidence = used.into_iter().map(|evidence| evidence.id().clone()).collect();
            Ok(Approved {
                tier,
                generation,
                key_use,
                mailbox,
                subject,
                public_key,
                evidence,
                domain_proofs,
                profile,
                approved_at: now,
            })
        }
        Ok(_) => Err(Refusal {
            tier,
            mailbox,
            shortcomings,
        }),
        Err(missing) => {
            shortcomings.extend(missing);
            Err(Refusal {
                tier,
                mailbox,
                shortcomings,
            })
        }
    }
}

/// The highest tier that the evidence of an account allows for a mailbox, whatever the key.
#[must_use]
pub fn best_tier(mailbox: &Mailbox, requester: &str, evidence: &[Evidence], now: Timestamp) -> Option<Tier> {
    let search = Search {
        mailbox,
        organization: None,
        requester,
        evidence,
        now,
    };
    Tier::ALL.into_iter().rev().find(|tier| search.subject(*tier).is_ok())
}

/// A request that may be fulfilled at the instant it was approved.
#[derive(Debug)]
pub struct Approved {
    tier: Tier,
    generation: Generation,
    key_use: KeyUse,
    mailbox: Mailbox,
    subject: SubjectFacts,
    public_key: SubjectPublicKeyInfoOwned,
    evidence: Vec<EvidenceId>,
    domain_proofs: Vec<(EvidenceId, Method)>,
    profile: &'static Profile,
    approved_at: Timestamp,
}

impl Approved {
    /// The tier.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What the key is certified for.
    #[must_use]
    pub const fn key_use(&self) -> KeyUse {
        self.key_use
    }

    /// The mailbox to certify.
    #[must_use]
    pub const fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Who is to be named.
    #[must_use]
    pub const fn subject(&self) -> &SubjectFacts {
        &self.subject
    }

    /// The key to certify.
    #[must_use]
    pub const fn public_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_key
    }

    /// The evidence it rests on, to be recorded with the certificate.
    #[must_use]
    pub fn evidence(&self) -> &[EvidenceId] {
        &self.evidence
    }

    /// The proofs of control of a domain among the evidence (sections 3.2.2.1 and 1.3.2.1), and their methods. Where there
    /// are some, what the domain's CAA records say has to be corroborated, and some proofs themselves (section 4.2.2.2).
    #[must_use]
    pub fn domain_proofs(&self) -> &[(EvidenceId, Method)] {
        &self.domain_proofs
    }

    /// The profile it follows.
    #[must_use]
    pub const fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The instant for which the evidence was found fresh.
    #[must_use]
    pub const fn approved_at(&self) -> Timestamp {
        self.approved_at
    }

    /// Everything of the certificate that does not depend on serial number and dates.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if something cannot be encoded.
    pub fn template(&self, issuer: &Issuer, locations: &Locations) -> Result<CertificateTemplate, TemplateError> {
        crate::template::subscriber(self, issuer, locations)
    }
}

/// Who a certificate names, as far as its tier goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectFacts {
    person: Option<Person>,
    organization: Option<Organization>,
    title: Option<Title>,
}

impl SubjectFacts {
    /// The person, for V2 and V4.
    #[must_use]
    pub const fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// The organization, for V3 and V4.
    #[must_use]
    pub const fn organization(&self) -> Option<&Organization> {
        self.organization.as_ref()
    }

    /// The title, for V4, if it was proved.
    #[must_use]
    pub const fn title(&self) -> Option<&Title> {
        self.title.as_ref()
    }
}

/// A request that may not be fulfilled, with every reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Refusal {
    tier: Tier,
    mailbox: Mailbox,
    shortcomings: Vec<Shortcoming>,
}

impl Refusal {
    /// The reasons; at least one.
    #[must_use]
    pub fn shortcomings(&self) -> &[Shortcoming] {
        &self.shortcomings
    }

    /// The section of the BR behind the first reason.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.shortcomings.first().map_or("4.2.1", Shortcoming::section)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no {} certificate for {} can be issued now: ",
            self.tier, self.mailbox
        )?;
        for (index, shortcoming) in self.shortcomings.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{shortcoming}")?;
        }
        Ok(())
    }
}

/// One reason why a request may not be fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortcoming {
    /// Nothing proves a fact.
    Missing {
        /// The fact.
        fact: FactKind,
    },
    /// What proves a fact is too old, or dated in the future.
    Stale {
        /// The fact.
        fact: FactKind,
        /// The youngest evidence.
        evidence: EvidenceId,
        /// Until when it counted.
        counted_until: Timestamp,
    },
    /// Too few officers other than the requester approved it.
    Unapproved {
        /// The fact.
        fact: FactKind,
        /// The evidence with the most approvals.
        evidence: EvidenceId,
        /// How many approvals it has.
        approvals: usize,
        /// How many it needs.
        needed: usize,
    },
    /// The evidence would allow several organizations, and the request names none.
    SeveralOrganizations {
        /// Which.
        identifiers: Vec<OrganizationIdentifier>,
    },
    /// The profile is for another tier or generation.
    OtherProfile {
        /// Which one it is for.
        profile: String,
    },
    /// The profile certifies no keys for this use.
    UseNotCertified {
        /// The use.
        key_use: KeyUse,
    },
    /// The key is of no kind that the BR permit.
    KeyNotPermitted(InvalidPublicKey),
    /// The key is of a kind or size that the profile does not take.
    KeyNotAccepted,
    /// The local part is not ASCII and an rfc822Name is required.
    MailboxNotAscii {
        /// Since when.
        since: Timestamp,
    },
}

impl Shortcoming {
    /// The section of the BR that asks for it.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Missing { fact } | Self::Unapproved { fact, .. } => fact.section(),
            Self::Stale { .. } => "4.2.1",
            Self::SeveralOrganizations { .. } => "3.2.3",
            Self::OtherProfile { .. } => "7.1.6.1",
            Self::UseNotCertified { .. } => "7.1.2.3 e",
            Self::KeyNotPermitted(_) => "7.1.3.1",
            Self::KeyNotAccepted => "6.1.5",
            Self::MailboxNotAscii { .. } => "7.1.4.2.1",
        }
    }
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { fact } => write!(f, "nothing proves {fact}")?,
            Self::Stale {
                fact,
                evidence,
                counted_until,
            } => {
                write!(
                    f,
                    "the proof {evidence} of {fact} does not count now, only until {counted_until}"
                )?;
            }
            Self::Unapproved {
                fact,
                evidence,
                approvals,
                needed,
            } => write!(
                f,
                "the proof {evidence} of {fact} has {approvals} of {needed} approvals by officers other than the requester"
            )?,
            Self::SeveralOrganizations { identifiers } => {
                f.write_str("the request must name one of the organizations")?;
                for identifier in identifiers {
                    write!(f, " {identifier}")?;
                }
            }
            Self::OtherProfile { profile } => write!(f, "the profile is for {profile}")?,
            Self::UseNotCertified { key_use } => write!(f, "keys are not certified for the use `{key_use}`")?,
            Self::KeyNotPermitted(cause) => write!(f, "{cause}")?,
            Self::KeyNotAccepted => f.write_str("keys of this kind or size are not certified")?,
            Self::MailboxNotAscii { since } => {
                write!(f, "since {since} the part before the \"@\" must be ASCII")?;
            }
        }
        write!(f, " (BR {})", self.section())
    }
}

/// One look through the evidence of an account.
struct Search<'a> {
    mailbox: &'a Mailbox,
    organization: Option<&'a OrganizationIdentifier>,
    requester: &'a str,
    evidence: &'a [Evidence],
    now: Timestamp,
}

impl<'a> Search<'a> {
    /// What a certificate of `tier` would name, and the evidence used; or everything that is missing.
    fn subject(&self, tier: Tier) -> Result<(SubjectFacts, Vec<&'a Evidence>), Vec<Shortcoming>> {
        let control = self.control();
        let named = match tier {
            Tier::V1 => Ok((SubjectFacts::default(), Vec::new())),
            Tier::V2 => self.individual(None).map(|evidence| {
                let person = person_of(evidence).cloned();
                (
                    SubjectFacts {
                        person,
                        ..SubjectFacts::default()
                    },
                    vec![evidence],
                )
            }),
            Tier::V3 => self.organization(self.organization),
            Tier::V4 => self.employee(),
        };
        match (control, named) {
            (Ok(control), Ok((subject, named_by))) => {
                let mut used = vec![control];
                for evidence in named_by {
                    if !used.iter().any(|earlier| earlier.id() == evidence.id()) {
                        used.push(evidence);
                    }
                }
                Ok((subject, used))
            }
            (control, named) => {
                let mut shortcomings: Vec<_> = control.err().into_iter().collect();
                shortcomings.extend(named.err().into_iter().flatten());
                Err(shortcomings)
            }
        }
    }

    /// Control of the mailbox, or of the domain it is in. Section 3.2.2; TLS BR 3.2.2.4.4 lets a validated domain
    /// stand for all below it.
    fn control(&self) -> Result<&'a Evidence, Shortcoming> {
        self.find_evidence(FactKind::MailboxControl, 0, |evidence| match evidence.fact() {
            Fact::MailboxControl(mailbox) => mailbox == self.mailbox,
            _ => evidence.controls(self.mailbox.domain()),
        })
    }

    /// The identity of the person who uses the mailbox, and of no other than `person` if that is given.
    fn individual(&self, person: Option<&Person>) -> Result<&'a Evidence, Vec<Shortcoming>> {
        self.find(FactKind::IndividualIdentity, 1, |fact| match fact {
            Fact::IndividualIdentity {
                person: identified,
                mailbox,
            } => mailbox == self.mailbox && person.is_none_or(|person| person == identified),
            _ => false,
        })
        .map_err(|shortcoming| vec![shortcoming])
    }

    /// One organization with its authority; `wanted` restricts which.
    fn organization(
        &self,
        wanted: Option<&OrganizationIdentifier>,
    ) -> Result<(SubjectFacts, Vec<&'a Evidence>), Vec<Shortcoming>> {
        let mut identifiers: Vec<&OrganizationIdentifier> = Vec::new();
        for evidence in self.evidence {
            if let Fact::OrganizationIdentity(organization) = evidence.fact() {
                let identifier = organization.identifier();
                if wanted.is_none_or(|wanted| wanted == identifier) && !identifiers.contains(&identifier) {
                    identifiers.push(identifier);
                }
            }
        }

        let mut complete = Vec::new();
        let mut problems: Option<Vec<Shortcoming>> = None;
        for identifier in identifiers {
            match self.organization_by_identifier(identifier) {
                Ok((organization, used)) => complete.push((organization, used)),
                // What is nearest to complete says best what to do next.
                Err(found) if problems.as_ref().is_none_or(|problems| found.len() < problems.len()) => {
                    problems = Some(found);
                }
                Err(_) => {}
            }
        }
        match complete.len() {
            0 => Err(problems.unwrap_or_else(|| {
                vec![
                    Shortcoming::Missing {
                        fact: FactKind::OrganizationIdentity,
                    },
                    Shortcoming::Missing {
                        fact: FactKind::Authority,
                    },
                ]
            })),
            1 => {
                let (organization, used) = complete.remove(0);
                Ok((
                    SubjectFacts {
                        organization: Some(organization.clone()),
                        ..SubjectFacts::default()
                    },
                    used,
                ))
            }
            _ => Err(vec![Shortcoming::SeveralOrganizations {
                identifiers: complete
                    .iter()
                    .map(|(organization, _)| organization.identifier().clone())
                    .collect(),
            }]),
        }
    }

    fn organization_by_identifier(
        &self,
        identifier: &OrganizationIdentifier,
    ) -> Result<(&'a Organization, Vec<&'a Evidence>), Vec<Shortcoming>> {
        let identity = self.find(
            FactKind::OrganizationIdentity,
            2,
            |fact| matches!(fact, Fact::OrganizationIdentity(organization) if organization.identifier() == identifier),
        );
        let authority = self.find(
            FactKind::Authority,
            1,
            |fact| matches!(fact, Fact::Authority { organization_identifier, .. } if organization_identifier == identifier),
        );
        match (identity, authority) {
            (Ok(identity), Ok(authority)) => match identity.fact() {
                Fact::OrganizationIdentity(organization) => Ok((organization, vec![identity, authority])),
                _ => Err(vec![Shortcoming::Missing {
                    fact: FactKind::OrganizationIdentity,
                }]),
            },
            (identity, authority) => Err([identity.err(), authority.err()].into_iter().flatten().collect()),
        }
    }

    /// An employee: the employment decides for which organization.
    fn employee(&self) -> Result<(SubjectFacts, Vec<&'a Evidence>), Vec<Shortcoming>> {
        let employment = self.find(FactKind::Employment, 1, |fact| match fact {
            Fact::Employment {
                mailbox,
                organization_identifier,
                ..
            } => mailbox == self.mailbox && self.organization.is_none_or(|wanted| wanted == organization_identifier),
            _ => false,
        });
        let employment = match employment {
            Ok(employment) => employment,
            Err(shortcoming) => {
                let mut shortcomings = vec![shortcoming];
                shortcomings.extend(self.organization(self.organization).err().into_iter().flatten());
                return Err(shortcomings);
            }
        };
        let Fact::Employment {
            organization_identifier,
            person,
            title,
            ..
        } = employment.fact()
        else {
            return Err(vec![Shortcoming::Missing {
                fact: FactKind::Employment,
            }]);
        };

        let identity = match employment.method() {
            // Section 1.3.2.1: an Enterprise RA speaks for mailboxes in domains it controls.
            Method::EnterpriseRegistrationAuthority => self
                .find_evidence(FactKind::DomainControl, 0, |evidence| {
                    evidence.controls(self.mailbox.domain())
                })
                .map_err(|shortcoming| vec![shortcoming]),
            // Section 3.2.4.1: an attestation says who works there, the person's own document who they are.
            _ => self.individual(Some(person)),
        };
        match (self.organization(Some(organization_identifier)), identity) {
            (Ok((subject, mut used)), Ok(identity)) => {
                used.extend([employment, identity]);
                Ok((
                    SubjectFacts {
                        person: Some(person.clone()),
                        title: title.clone(),
                        ..subject
                    },
                    used,
                ))
            }
            (organization, identity) => {
                let mut shortcomings = organization.err().unwrap_or_default();
                shortcomings.extend(identity.err().unwrap_or_default());
                Err(shortcomings)
            }
        }
    }

    /// The fresh and approved evidence of a matching fact that counts longest; else why the nearest does not do.
    fn find(
        &self,
        kind: FactKind,
        needed: usize,
        matches: impl Fn(&Fact) -> bool,
    ) -> Result<&'a Evidence, Shortcoming> {
        self.find_evidence(kind, needed, |evidence| matches(evidence.fact()))
    }

    /// As `find`, where the method matters too.
    fn find_evidence(
        &self,
        kind: FactKind,
        needed: usize,
        matches: impl Fn(&Evidence) -> bool,
    ) -> Result<&'a Evidence, Shortcoming> {
        let matching = || self.evidence.iter().filter(|evidence| matches(evidence));
        let approvals = |evidence: &Evidence| evidence.approvals_beside(self.requester);
        let fresh = || matching().filter(|evidence| evidence.is_fresh(self.now));

        if let Some(good) = fresh()
            .filter(|evidence| approvals(evidence) >= needed)
            .max_by_key(|evidence| (evidence.counts_until(), evidence.id()))
        {
            return Ok(good);
        }
        if let Some(unapproved) = fresh().max_by_key(|evidence| (approvals(evidence), evidence.counts_until())) {
            return Err(Shortcoming::Unapproved {
                fact: kind,
                evidence: unapproved.id().clone(),
                approvals: approvals(unapproved),
                needed,
            });
        }
        match matching().max_by_key(|evidence| evidence.counts_until()) {
            Some(stale) => Err(Shortcoming::Stale {
                fact: kind,
                evidence: stale.id().clone(),
                counted_until: stale.counts_until(),
            }),
            None => Err(Shortcoming::Missing { fact: kind }),
        }
    }
}

fn person_of(evidence: &Evidence) -> Option<&Person> {
    match evidence.fact() {
        Fact::IndividualIdentity { person, .. } | Fact::Employment { person, .. } => Some(person),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
