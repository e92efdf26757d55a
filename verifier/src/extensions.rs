//! The certificate extensions that path validation and naming use (RFC 5280 section 4.2).

use const_oid::ObjectIdentifier;
use thiserror::Error;

use crate::asn1::{
    self, Element, Malformed, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, Rules, SEQUENCE, UTF8_STRING, context,
    context_constructed,
};
use crate::certificate::{extensions, whole_named_bits};
use crate::distinguished_name::DistinguishedName;

/// What the extensions of one certificate say. An absent extension is `None`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extensions<'a> {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    /// Bits of RFC 5280 section 4.2.1.3, bit 0 lowest.
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended_key_usage: Option<Vec<ObjectIdentifier>>,
    pub(crate) subject_alternative_names: Option<Vec<GeneralName<'a>>>,
    pub(crate) policies: Option<Vec<ObjectIdentifier>>,
    /// Pairs of issuer domain policy and subject domain policy.
    pub(crate) policy_mappings: Option<Vec<(ObjectIdentifier, ObjectIdentifier)>>,
    pub(crate) policy_constraints: Option<PolicyConstraints>,
    pub(crate) inhibit_any_policy: Option<u32>,
    pub(crate) name_constraints: Option<NameConstraints<'a>>,
    pub(crate) distribution_points: Option<Vec<DistributionPoint<'a>>>,
    pub(crate) subject_key_identifier: Option<&'a [u8]>,
    /// id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
    pub(crate) ocsp_no_check: bool,
    /// Critical extensions that nothing here processes; one is enough to refuse a path.
    pub(crate) unknown_critical: Vec<ObjectIdentifier>,
}

/// RFC 5280 section 4.2.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) is_authority: bool,
    pub(crate) path_length: Option<u32>,
}

/// RFC 5280 section 4.2.1.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PolicyConstraints {
    pub(crate) require_explicit_policy: Option<u32>,
    pub(crate) inhibit_policy_mapping: Option<u32>,
}

/// RFC 5280 section 4.2.1.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameConstraints<'a> {
    pub(crate) permitted: Vec<GeneralName<'a>>,
    pub(crate) excluded: Vec<GeneralName<'a>>,
    /// A subtree has a minimum or maximum, which no profile allows and nobody processes.
    pub(crate) has_distances: bool,
}

/// RFC 5280 section 4.2.1.13.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DistributionPoint<'a> {
    pub(crate) name: Option<DistributionPointName<'a>>,
    pub(crate) reasons: Option<u16>,
    /// cRLIssuer: somebody else lists the certificate.
    pub(crate) issuer: Option<Vec<GeneralName<'a>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DistributionPointName<'a> {
    Full(Vec<GeneralName<'a>>),
    /// The content of a RelativeDistinguishedName.
    RelativeToIssuer(&'a [u8]),
}

/// The kinds of GeneralName that are told apart (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GeneralName<'a> {
    Rfc822Name(&'a str),
    /// RFC 9598.
    SmtpUtf8Mailbox(&'a str),
    DnsName(&'a str),
    UniformResourceIdentifier(&'a str),
    DirectoryName(DistinguishedName),
    /// Four or sixteen octets; in a constraint twice as many.
    IpAddress(&'a [u8]),
    /// Any other, with its tag.
    Other {
        tag: u8,
        raw: &'a [u8],
    },
}

/// Why the extensions cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ExtensionProblem {
    #[error("the extension {kind} is malformed: {problem}")]
    Malformed { kind: ObjectIdentifier, problem: Malformed },
    #[error("the extension {kind} occurs twice")]
    Repeated { kind: ObjectIdentifier },
}

impl<'a> Extensions<'a> {
    pub(crate) fn read(list: Element<'a>) -> Result<Self, ExtensionProblem> {
        let extensions = extensions(list).map_err(|problem| ExtensionProblem::Malformed {
            kind: ANY_EXTENSION,
            problem,
        })?;
        let mut result = Self::default();
        let mut seen = Vec::with_capacity(extensions.len());
        for extension in extensions {
            let kind = extension.kind;
            if seen.contains(&kind) {
                return Err(ExtensionProblem::Repeated { kind });
            }
            seen.push(kind);
            result
                .take(kind, extension.critical, extension.value)
                .map_err(|problem| ExtensionProblem::Malformed { kind, problem })?;
        }
        Ok(result)
    }

    fn take(&mut self, kind: ObjectIdentifier, critical: bool, value: &'a [u8]) -> Result<(), Malformed> {
        match kind {
            BASIC_CONSTRAINTS => self.basic_constraints = Some(basic_constraints(value)?),
            KEY_USAGE => self.key_usage = Some(whole_named_bits(value)?),
            EXTENDED_KEY_USAGE => self.extended_key_usage = Some(object_identifiers(value)?),
            SUBJECT_ALTERNATIVE_NAME => self.subject_alternative_names = Some(general_names(value)?),
            CERTIFICATE_POLICIES => self.policies = Some(policies(value)?),
            POLICY_MAPPINGS => self.policy_mappings = Some(policy_mappings(value)?),
            POLICY_CONSTRAINTS => self.policy_constraints = Some(policy_constraints(value)?),
            INHIBIT_ANY_POLICY => {
                let mut reader = Reader::new(value, Rules::Distinguished);
                self.inhibit_any_policy = Some(reader.small_integer()?);
                reader.finish()?;
            }
            NAME_CONSTRAINTS => self.name_constraints = Some(name_constraints(value)?),
            CRL_DISTRIBUTION_POINTS => self.distribution_points = Some(distribution_points(value)?),
            // Section 4.2.1.2: must not be critical; one that is wants something else than this.
            SUBJECT_KEY_IDENTIFIER if !critical => {
                let mut reader = Reader::new(value, Rules::Distinguished);
                self.subject_key_identifier = Some(reader.expect(OCTET_STRING)?.content);
                reader.finish()?;
            }
            OCSP_NO_CHECK => self.ocsp_no_check = value == [NULL, 0],
            other if critical => self.unknown_critical.push(other),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn allows(&self, key_usages: u16) -> bool {
        self.key_usage.is_none_or(|bits| bits & key_usages != 0)
    }
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, Malformed> {
    let mut reader = asn1::whole_sequence(value)?;
    let is_authority = match reader.optional(asn1::BOOLEAN)? {
        None => false,
        Some(element) => asn1::boolean(element.content)?,
    };
    let path_length = if reader.is_empty() {
        None
    } else {
        Some(reader.small_integer()?)
    };
    reader.finish()?;
    Ok(BasicConstraints {
        is_authority,
        path_length,
    })
}

fn object_identifiers(value: &[u8]) -> Result<Vec<ObjectIdentifier>, Malformed> {
    let mut list = Vec::new();
    for element in asn1::whole_sequence(value)?.all(MAXIMUM_LIST)? {
        if element.tag != OBJECT_IDENTIFIER {
            return Err(Malformed::UnexpectedTag {
                expected: OBJECT_IDENTIFIER,
                found: element.tag,
            });
        }
        list.push(asn1::object_identifier(element.content)?);
    }
    not_empty(list)
}

fn policies(value: &[u8]) -> Result<Vec<ObjectIdentifier>, Malformed> {
    let mut list = Vec::new();
    let mut reader = asn1::whole_sequence(value)?;
    while !reader.is_empty() {
        let mut information = reader.sequence()?;
        let policy = information.object_identifier()?;
        // Qualifiers are for people; RFC 5280 section 4.2.1.4 asks nothing of a validator.
        information.optional(SEQUENCE)?;
        information.finish()?;
        // Section 4.2.1.4: a policy must not appear more than once.
        if list.contains(&policy) || list.len() == MAXIMUM_LIST {
            return Err(Malformed::Value {
                what: "the list of policies",
            });
        }
        list.push(policy);
    }
    not_empty(list)
}

fn policy_mappings(value: &[u8]) -> Result<Vec<(ObjectIdentifier, ObjectIdentifier)>, Malformed> {
    let mut list = Vec::new();
    let mut reader = asn1::whole_sequence(value)?;
    while !reader.is_empty() {
        let mut pair = reader.sequence()?;
        list.push((pair.object_identifier()?, pair.object_identifier()?));
        pair.finish()?;
        if list.len() > MAXIMUM_LIST {
            return Err(Malformed::TooMany { limit: MAXIMUM_LIST });
        }
    }
    not_empty(list)
}

fn policy_constraints(value: &[u8]) -> Result<PolicyConstraints, Malformed> {
    let mut reader = asn1::whole_sequence(value)?;
    let mut skip_certificates = |number| match reader.optional(context(number))? {
        None => Ok(None),
        Some(element) => asn1::small_integer(element.content).map(Some),
    };
    let constraints = PolicyConstraints {
        require_explicit_policy: skip_certificates(0)?,
        inhibit_policy_mapping: skip_certificates(1)?,
    };
    reader.finish()?;
    Ok(constraints)
}

fn name_constraints(value: &[u8]) -> Result<NameConstraints<'_>, Malformed> {
    let mut reader = asn1::whole_sequence(value)?;
    let mut constraints = NameConstraints {
        permitted: Vec::new(),
        excluded: Vec::new(),
        has_distances: false,
    };
    for (number, names) in [(0, &mut constraints.permitted), (1, &mut constraints.excluded)] {
        let Some(subtrees) = reader.optional(context_constructed(number))? else {
            continue;
        };
        for subtree in subtrees.inside().all(MAXIMUM_SUBTREES)? {
            if subtree.tag != SEQUENCE {
                return Err(Malformed::UnexpectedTag {
                    expected: SEQUENCE,
                    found: subtree.tag,
                });
            }
            let mut subtree = subtree.inside();
            names.push(general_name(subtree.any()?)?);
            constraints.has_distances |= !subtree.is_empty();
        }
    }
    reader.finish()?;
    Ok(constraints)
}

fn distribution_points(value: &[u8]) -> Result<Vec<DistributionPoint<'_>>, Malformed> {
    let mut points = Vec::new();
    let mut reader = asn1::whole_sequence(value)?;
    while !reader.is_empty() {
        let mut point = reader.sequence()?;
        let name = point
            .optional(context_constructed(0))?
            .map(distribution_point_name)
            .transpose()?;
        let reasons = point.optional(context(1))?;
        let reasons = reasons.map(|bits| asn1::named_bits(bits.content)).transpose()?;
        let issuer = match point.optional(context_constructed(2))? {
            None => None,
            Some(names) => {
                let names = names.inside().all(MAXIMUM_LIST)?;
                Some(names.into_iter().map(general_name).collect::<Result<Vec<_>, _>>()?)
            }
        };
        point.finish()?;
        points.push(DistributionPoint { name, reasons, issuer });
        if points.len() > MAXIMUM_LIST {
            return Err(Malformed::TooMany { limit: MAXIMUM_LIST });
        }
    }
    not_empty(points)
}

/// DistributionPointName, inside its explicit tag.
pub(crate) fn distribution_point_name(explicit: Element<'_>) -> Result<DistributionPointName<'_>, Malformed> {
    let mut reader = explicit.inside();
    let name = match reader.optional(context_constructed(0))? {
        Some(full) => {
            let names: Result<Vec<_>, _> = full.inside().all(MAXIMUM_LIST)?.into_iter().map(general_name).collect();
            DistributionPointName::Full(not_empty(names?)?)
        }
        None => DistributionPointName::RelativeToIssuer(reader.expect(context_constructed(1))?.content),
    };
    reader.finish()?;
    Ok(name)
}

pub(crate) fn general_names(value: &[u8]) -> Result<Vec<GeneralName<'_>>, Malformed> {
    let names: Result<Vec<_>, _> = asn1::whole_sequence(value)?
        .all(MAXIMUM_NAMES)?
        .into_iter()
        .map(general_name)
        .collect();
    not_empty(names?)
}

fn general_name(element: Element<'_>) -> Result<GeneralName<'_>, Malformed> {
    let ascii = || {
        let text = str::from_utf8(element.content).ok().filter(|text| text.is_ascii());
        text.ok_or(Malformed::Value {
            what: "an IA5String name",
        })
    };
    const OTHER_NAME: u8 = context_constructed(0);
    const RFC_822_NAME: u8 = context(1);
    const DNS_NAME: u8 = context(2);
    const DIRECTORY_NAME: u8 = context_constructed(4);
    const UNIFORM_RESOURCE_IDENTIFIER: u8 = context(6);
    const IP_ADDRESS: u8 = context(7);
    match element.tag {
        RFC_822_NAME => Ok(GeneralName::Rfc822Name(ascii()?)),
        DNS_NAME => Ok(GeneralName::DnsName(ascii()?)),
        UNIFORM_RESOURCE_IDENTIFIER => Ok(GeneralName::UniformResourceIdentifier(ascii()?)),
        IP_ADDRESS => Ok(GeneralName::IpAddress(element.content)),
        DIRECTORY_NAME => {
            let mut explicit = element.inside();
            let name = DistinguishedName::read(explicit.expect(SEQUENCE)?.raw)?;
            explicit.finish()?;
            Ok(GeneralName::DirectoryName(name))
        }
        OTHER_NAME => {
            let mut other = element.inside();
            let kind = other.object_identifier()?;
            let mut value = other.constructed(context_constructed(0))?;
            other.finish()?;
            if kind != SMTP_UTF8_MAILBOX {
                return Ok(GeneralName::Other {
                    tag: element.tag,
                    raw: element.raw,
                });
            }
            let mailbox = value.expect(UTF8_STRING)?.content;
            value.finish()?;
            let mailbox = str::from_utf8(mailbox).map_err(|_| Malformed::Value {
                what: "an SmtpUTF8Mailbox",
            })?;
            Ok(GeneralName::SmtpUtf8Mailbox(mailbox))
        }
        tag if (0x80..=0xa8).contains(&tag) && tag & 0x1f <= 8 => Ok(GeneralName::Other { tag, raw: element.raw }),
        found => Err(Malformed::UnexpectedTag {
            expected: RFC_822_NAME,
            found,
        }),
    }
}

/// SIZE (1..MAX), which all these lists have.
fn not_empty<T>(list: Vec<T>) -> Result<Vec<T>, Malformed> {
    if list.is_empty() {
        Err(Malformed::Value {
            what: "a list that may not be empty",
        })
    } else {
        Ok(list)
    }
}

const ANY_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
pub(crate) const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");
const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
const SMTP_UTF8_MAILBOX: ObjectIdentifier = policies::mailbox::SMTP_UTF8_MAILBOX;
pub(crate) const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
pub(crate) const CLIENT_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
pub(crate) const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
pub(crate) const DIGITAL_SIGNATURE: u16 = 1;
pub(crate) const NON_REPUDIATION: u16 = 1 << 1;
pub(crate) const KEY_CERT_SIGN: u16 = 1 << 5;
pub(crate) const CRL_SIGN: u16 = 1 << 6;
/// Policies, mappings, purposes or distribution points of a certificate, names of one point. Source: own choice; RFC 5280
/// sets none, mail certificates have one to four, and every certificate of NIST PKITS fits.
const MAXIMUM_LIST: usize = 64;
/// Names in subjectAltName. Source: own choice; the S/MIME BR section 7.1.4.2.1 set none, and a mail certificate has one
/// for each address of one person.
const MAXIMUM_NAMES: usize = 256;
/// Subtrees that name constraints permit, and as many that they exclude. Source: own choice; technically constrained
/// authorities (S/MIME BR section 7.1.5) list their customers' domains, some hundred.
const MAXIMUM_SUBTREES: usize = 1024;
