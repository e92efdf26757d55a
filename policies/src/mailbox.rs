//! Mail addresses: parsed once, compared by one rule, written into certificates one way.
//!
//! Two programs that read the same address differently are how a certificate ends up naming somebody else, so only
//! the plain form `local-part@domain` is accepted (RFC 5321 section 4.1.2, RFC 6531 section 3.3): no quoting, no
//! comments, no address literals. The envelope, the From field, the certificate and the directory all use this parser.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use der::Decode;
use der::asn1::{Any, Ia5String, Utf8StringRef};
use der::{Encode, Tag, Tagged};
use thiserror::Error;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};

use crate::text::is_deceptive;

/// One mailbox.
///
/// Two mailboxes are equal if their domains have the same A-labels and their local parts differ at most in the case of
/// ASCII letters. RFC 5321 would let a host tell `Bob` from `bob`; none that matters does, and treating them as two
/// people would let one pass for the other.
#[derive(Clone)]
pub struct Mailbox {
    local_part: String,
    domain: Domain,
    key: String,
}

impl Mailbox {
    /// Reads an address such as `alice@example.com`, exactly as given: nothing is trimmed or repaired.
    ///
    /// # Errors
    ///
    /// [`InvalidMailbox`] says which part is not acceptable.
    pub fn parse(address: &str) -> Result<Self, InvalidMailbox> {
        // A local part of 64 octets and a domain of at most 253 octets as A-labels; U-labels can be a little longer
        // in octets, never four times as long.
        if address.len() > 4 * MAILBOX_LIMIT {
            return Err(InvalidMailbox::TooLong { length: address.len() });
        }
        // Quoted local parts, the only ones that may contain "@", are not accepted; so the first one separates.
        let (local_part, domain) = address.split_once('@').ok_or(InvalidMailbox::NoAtSign)?;
        if domain.contains('@') {
            return Err(InvalidMailbox::SeveralAtSigns);
        }
        check_local_part(local_part)?;
        let domain = Domain::parse(domain).map_err(InvalidMailbox::Domain)?;
        let length = local_part.len() + 1 + domain.as_ref().len();
        if length > MAILBOX_LIMIT {
            return Err(InvalidMailbox::TooLong { length });
        }
        let key = format!("{}@{domain}", local_part.to_ascii_lowercase());
        Ok(Self {
            local_part: local_part.to_owned(),
            domain,
            key,
        })
    }

    /// What stands before the "@", as it was written.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// What stands after the "@".
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the local part is ASCII, so that the address works without SMTPUTF8.
    #[must_use]
    pub fn is_ascii_local(&self) -> bool {
        self.local_part.is_ascii()
    }

    /// How RFC 9598 writes this mailbox in a subjectAltName: as rfc822Name if the local part is ASCII, else as
    /// SmtpUTF8Mailbox; the domain is in lower-case A-labels either way.
    #[must_use]
    pub fn subject_alternative_name(&self) -> MailboxName {
        if self.is_ascii_local() {
            MailboxName::Rfc822Name(self.to_string())
        } else {
            MailboxName::SmtpUtf8Mailbox(self.to_string())
        }
    }

    /// Reads a mailbox out of a subjectAltName.
    ///
    /// # Errors
    ///
    /// [`InvalidMailbox`] if the value is not an address, or not written in the form that RFC 9598 section 3 asks of
    /// its type: an SmtpUTF8Mailbox has a local part that is not ASCII and a domain in lower-case A-labels.
    pub fn from_subject_alternative_name(name: &MailboxName) -> Result<Self, InvalidMailbox> {
        match name {
            MailboxName::Rfc822Name(value) if !value.is_ascii() => Err(InvalidMailbox::WrongNameForm),
            MailboxName::Rfc822Name(value) => Self::parse(value),
            MailboxName::SmtpUtf8Mailbox(value) => {
                let mailbox = Self::parse(value)?;
                if mailbox.is_ascii_local() || mailbox.to_string() != *value {
                    return Err(InvalidMailbox::WrongNameForm);
                }
                Ok(mailbox)
            }
        }
    }
}

impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Mailbox {}

impl Hash for Mailbox {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialOrd for Mailbox {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Mailbox {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl AsRef<str> for Mailbox {
    /// The key form: equal mailboxes have equal keys. For look-ups; mail is sent to what `Display` writes.
    fn as_ref(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({self})")
    }
}

impl FromStr for Mailbox {
    type Err = InvalidMailbox;

    fn from_str(address: &str) -> Result<Self, Self::Err> {
        Self::parse(address)
    }
}

/// The two ways a mailbox is written in a certificate. See section 7.1.4.2.1 and RFC 9598.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MailboxName {
    /// An ASCII address in an rfc822Name (RFC 5280 section 4.2.1.6).
    Rfc822Name(String),
    /// An address with a local part beyond ASCII in an otherName of type id-on-SmtpUTF8Mailbox.
    SmtpUtf8Mailbox(String),
}

impl MailboxName {
    /// The address as written.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Rfc822Name(value) | Self::SmtpUtf8Mailbox(value) => value,
        }
    }

    /// The name as an entry of a subjectAltName.
    ///
    /// # Errors
    ///
    /// A [`der::Error`] if the value cannot be encoded, which a value made by
    /// [`Mailbox::subject_alternative_name`] always can.
    pub fn to_general_name(&self) -> Result<GeneralName, der::Error> {
        Ok(match self {
            Self::Rfc822Name(value) => GeneralName::Rfc822Name(Ia5String::new(value)?),
            Self::SmtpUtf8Mailbox(value) => GeneralName::OtherName(OtherName {
                type_id: SMTP_UTF8_MAILBOX,
                value: Any::from_der(&Utf8StringRef::new(value)?.to_der()?)?,
            }),
        })
    }

    /// Reads an entry of a subjectAltName; `None` if it is of another type.
    ///
    /// # Errors
    ///
    /// [`InvalidMailbox::WrongNameForm`] for an SmtpUTF8Mailbox that is not a UTF8String.
    pub fn from_general_name(name: &GeneralName) -> Result<Option<Self>, InvalidMailbox> {
        match name {
            GeneralName::Rfc822Name(value) => Ok(Some(Self::Rfc822Name(value.to_string()))),
            GeneralName::OtherName(other) if other.type_id == SMTP_UTF8_MAILBOX => {
                if other.value.tag() != Tag::Utf8String {
                    return Err(InvalidMailbox::WrongNameForm);
                }
                let value = std::str::from_utf8(other.value.value()).map_err(|_| InvalidMailbox::WrongNameForm)?;
                Ok(Some(Self::SmtpUtf8Mailbox(value.to_owned())))
            }
            _ => Ok(None),
        }
    }
}

/// A fully qualified domain name of at least two labels, kept as lower-case A-labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// Reads a domain in A-labels or U-labels (RFC 5890), by the strict rules of UTS 46 and STD 3.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] says what is not acceptable.
    pub fn parse(domain: &str) -> Result<Self, InvalidDomain> {
        if domain.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        if domain.len() > 4 * DOMAIN_LIMIT {
            return Err(InvalidDomain::TooLong);
        }
        if domain.starts_with('[') {
            return Err(InvalidDomain::AddressLiteral);
        }
        if let Some(character) = domain.chars().find(|character| is_deceptive(*character)) {
            return Err(InvalidDomain::Character(character));
        }
        let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidDomain::Label)?;
        if ascii.len() > DOMAIN_LIMIT {
            return Err(InvalidDomain::TooLong);
        }
        // UTS 46 also maps full-width letters and ideographic full stops to ASCII. Another program may not, and would
        // then send the mail elsewhere; so ASCII labels must be ASCII from the start and the others stay others.
        let mut labels = ascii.split('.');
        let same_labels = domain.split('.').all(|written| {
            labels.next().is_some_and(|label| {
                if written.is_ascii() {
                    label.eq_ignore_ascii_case(written)
                } else {
                    label.starts_with("xn--")
                }
            })
        });
        if !same_labels || labels.next().is_some() {
            return Err(InvalidDomain::Ambiguous);
        }
        let Some((_, last_label)) = ascii.rsplit_once('.') else {
            return Err(InvalidDomain::NotQualified);
        };
        if last_label.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidDomain::AddressLiteral);
        }
        Ok(Self(ascii))
    }

    /// The domain in U-labels, for showing it to people. Never compare this form.
    #[must_use]
    pub fn to_unicode(&self) -> String {
        let (unicode, result) = idna::domain_to_unicode(&self.0);
        if result.is_ok() { unicode } else { self.0.clone() }
    }

    /// Whether this domain is `ancestor` or lies below it.
    #[must_use]
    pub fn is_same_or_subdomain_of(&self, ancestor: &Self) -> bool {
        self.0
            .strip_suffix(&ancestor.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(domain: &str) -> Result<Self, Self::Err> {
        Self::parse(domain)
    }
}

/// Why a text is not a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidMailbox {
    /// There is no "@".
    #[error("a mail address has the form name@domain; the \"@\" is missing")]
    NoAtSign,
    /// There is more than one "@".
    #[error("a mail address has exactly one \"@\"")]
    SeveralAtSigns,
    /// Nothing stands before the "@".
    #[error("the part before the \"@\" is empty")]
    EmptyLocalPart,
    /// The local part exceeds 64 octets (RFC 5321 section 4.5.3.1.1).
    #[error("the part before the \"@\" has {length} octets; RFC 5321 allows 64")]
    LocalPartTooLong {
        /// Octets found.
        length: usize,
    },
    /// The local part is quoted.
    #[error("quoted local parts are not accepted, since programs disagree about them")]
    Quoted,
    /// A dot begins or ends the local part, or two follow each other.
    #[error("the part before the \"@\" has a dot at its beginning, at its end, or after another dot")]
    Dots,
    /// A character that may not stand in a local part.
    #[error("the character U+{:04X} may not stand before the \"@\"", u32::from(*.0))]
    Character(char),
    /// The address exceeds 254 octets (RFC 5321 section 4.5.3.1.3, less the angle brackets).
    #[error("the address has {length} octets; RFC 5321 allows 254")]
    TooLong {
        /// Octets found.
        length: usize,
    },
    /// The domain is not acceptable.
    #[error("the domain of the address is not acceptable")]
    Domain(#[source] InvalidDomain),
    /// A certificate writes the address in a form that RFC 9598 does not allow.
    #[error("the certificate does not write the address as RFC 9598 section 3 asks")]
    WrongNameForm,
}

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidDomain {
    /// There is nothing.
    #[error("the domain is empty")]
    Empty,
    /// More than 253 octets in A-labels.
    #[error("the domain is longer than 253 octets")]
    TooLong,
    /// An IP address instead of a name.
    #[error("an IP address cannot stand for a domain")]
    AddressLiteral,
    /// An invisible or reordering character.
    #[error("the character U+{:04X} may not stand in a domain", u32::from(*.0))]
    Character(char),
    /// A label breaks the rules of UTS 46 or STD 3.
    #[error("a label of the domain is empty, too long, or has characters that domain names cannot have")]
    Label,
    /// The text would be read as another domain by programs that know only ASCII.
    #[error("the domain uses look-alikes of ASCII characters; write them in ASCII")]
    Ambiguous,
    /// A single label.
    #[error("the domain has only one label; write it in full, such as example.com")]
    NotQualified,
}

/// `dot-atom` of RFC 5322 section 3.2.3, with the characters beyond ASCII that RFC 6531 section 3.3 adds.
fn check_local_part(local_part: &str) -> Result<(), InvalidMailbox> {
    if local_part.is_empty() {
        return Err(InvalidMailbox::EmptyLocalPart);
    }
    if local_part.len() > LOCAL_PART_LIMIT {
        return Err(InvalidMailbox::LocalPartTooLong {
            length: local_part.len(),
        });
    }
    if local_part.contains('"') {
        return Err(InvalidMailbox::Quoted);
    }
    for character in local_part.chars() {
        let allowed = if character.is_ascii() {
            character.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(character)
        } else {
            !is_deceptive(character)
        };
        if !allowed {
            return Err(InvalidMailbox::Character(character));
        }
    }
    if local_part.starts_with('.') || local_part.ends_with('.') || local_part.contains("..") {
        return Err(InvalidMailbox::Dots);
    }
    Ok(())
}

/// id-on-SmtpUTF8Mailbox, RFC 9598 section 3.
pub const SMTP_UTF8_MAILBOX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.9");

/// RFC 5321 section 4.5.3.1.1.
const LOCAL_PART_LIMIT: usize = 64;
/// RFC 5321 section 4.5.3.1.3: a path of 256 octets, less "<" and ">".
const MAILBOX_LIMIT: usize = 254;
/// RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters.
const DOMAIN_LIMIT: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(address: &str, expected: Result<&str, InvalidMailbox>) {
        let parsed = Mailbox::parse(address).map(|mailbox| mailbox.to_string());
        assert_eq!(parsed.as_deref().map_err(|problem| *problem), expected, "{address:?}");
    }

    #[test]
    fn ordinary_addresses_are_accepted() {
        check("alice@example.com", Ok("alice@example.com"));
        check("Alice.B+tag@Example.COM", Ok("Alice.B+tag@example.com"));
        check("o'neill@mail.example.co.uk", Ok("o'neill@mail.example.co.uk"));
        check("a@b.de", Ok("a@b.de"));
        check("jürgen@example.com", Ok("jürgen@example.com"));
        check("info@bücher.example", Ok("info@xn--bcher-kva.example"));
        check("info@XN--BCHER-KVA.example", Ok("info@xn--bcher-kva.example"));
    }

    #[test]
    fn ambiguous_addresses_are_refused() {
        check("", Err(InvalidMailbox::NoAtSign));
        check("alice", Err(InvalidMailbox::NoAtSign));
        check("@example.com", Err(InvalidMailbox::EmptyLocalPart));
        check("alice@", Err(InvalidMailbox::Domain(InvalidDomain::Empty)));
        check("a@b@example.com", Err(InvalidMailbox::SeveralAtSigns));
        check("\"a@b\"@example.com", Err(InvalidMailbox::SeveralAtSigns));
        check("\"alice\"@example.com", Err(InvalidMailbox::Quoted));
        check("alice(comment)@example.com", Err(InvalidMailbox::Character('(')));
        check("<alice@example.com>", Err(InvalidMailbox::Character('<')));
        check(" alice@example.com", Err(InvalidMailbox::Character(' ')));
        check("al\0ice@example.com", Err(InvalidMailbox::Character('\0')));
        check("alice\r\n@example.com", Err(InvalidMailbox::Character('\r')));
        check("ali\u{202e}ce@example.com", Err(InvalidMailbox::Character('\u{202e}')));
        check("ali\u{200b}ce@example.com", Err(InvalidMailbox::Character('\u{200b}')));
        check("alice,bob@example.com", Err(InvalidMailbox::Character(',')));
        check("al\\ice@example.com", Err(InvalidMailbox::Character('\\')));
        check(".alice@example.com", Err(InvalidMailbox::Dots));
        check("alice.@example.com", Err(InvalidMailbox::Dots));
        check("a..b@example.com", Err(InvalidMailbox::Dots));
    }

    #[test]
    fn domains_are_strict() {
        for (domain, problem) in [
            ("localhost", InvalidDomain::NotQualified),
            ("[192.0.2.1]", InvalidDomain::AddressLiteral),
            ("192.0.2.1", InvalidDomain::AddressLiteral),
            ("example..com", InvalidDomain::Label),
            ("example.com.", InvalidDomain::Label),
            (".example.com", InvalidDomain::Label),
            ("-a.example", InvalidDomain::Label),
            ("a_b.example", InvalidDomain::Label),
            ("exa mple.com", InvalidDomain::Label),
            ("xn--a.example", InvalidDomain::Label),
            ("example\u{3002}com", InvalidDomain::Ambiguous),
            ("\u{ff45}xample.com", InvalidDomain::Ambiguous),
            ("exam\u{200d}ple.com", InvalidDomain::Character('\u{200d}')),
            ("example.com\n", InvalidDomain::Character('\n')),
        ] {
            check(&format!("a@{domain}"), Err(InvalidMailbox::Domain(problem)));
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let local_part = "a".repeat(64);
        check(
            &format!("{local_part}@example.com"),
            Ok(&format!("{local_part}@example.com")),
        );
        check(
            &format!("a{local_part}@example.com"),
            Err(InvalidMailbox::LocalPartTooLong { length: 65 }),
        );
        // 63 + 1 + 63 + 1 + 61 = 189 octets of domain and 64 + 1 before it make 254.
        let domain = format!("{}.{}.{}", "b".repeat(63), "c".repeat(63), "d".repeat(61));
        let longest = format!("{local_part}@{domain}");
        assert_eq!(longest.len(), 254);
        check(&longest, Ok(&longest));
        check(&format!("{longest}d"), Err(InvalidMailbox::TooLong { length: 255 }));
        check(
            &"a".repeat(1_000_000),
            Err(InvalidMailbox::TooLong { length: 1_000_000 }),
        );
    }

    #[test]
    fn one_rule_compares() {
        let alice = Mailbox::parse("alice@example.com").unwrap();
        for same in ["ALICE@example.com", "alice@EXAMPLE.com"] {
            assert_eq!(Mailbox::parse(same).unwrap(), alice);
            assert_eq!(Mailbox::parse(same).unwrap().as_ref(), alice.as_ref());
        }
        for other in [
            "alicé@example.com",
            "alice@example.org",
            "alice@mail.example.com",
            "al.ice@example.com",
        ] {
            assert_ne!(Mailbox::parse(other).unwrap(), alice);
        }
        // Only ASCII is folded: folding more would need the tables of one Unicode version on every side.
        assert_ne!(
            Mailbox::parse("Ü@example.com").unwrap(),
            Mailbox::parse("ü@example.com").unwrap()
        );
        assert_eq!(
            Mailbox::parse("a@bücher.example").unwrap(),
            Mailbox::parse("A@xn--bcher-kva.example").unwrap()
        );
    }

    #[test]
    fn certificates_write_a_mailbox_one_way() {
        let ascii = Mailbox::parse("Alice@Bücher.example")
            .unwrap()
            .subject_alternative_name();
        assert_eq!(ascii, MailboxName::Rfc822Name("Alice@xn--bcher-kva.example".to_owned()));
        let beyond = Mailbox::parse("jürgen@bücher.example")
            .unwrap()
            .subject_alternative_name();
        assert_eq!(
            beyond,
            MailboxName::SmtpUtf8Mailbox("jürgen@xn--bcher-kva.example".to_owned())
        );
        for name in [ascii, beyond] {
            let general_name = name.to_general_name().unwrap();
            assert_eq!(MailboxName::from_general_name(&general_name), Ok(Some(name.clone())));
            assert_eq!(
                Mailbox::from_subject_alternative_name(&name).unwrap().to_string(),
                name.value()
            );
        }
    }

    #[test]
    fn other_forms_in_certificates_are_refused() {
        for name in [
            MailboxName::SmtpUtf8Mailbox("alice@example.com".to_owned()),
            MailboxName::SmtpUtf8Mailbox("jürgen@bücher.example".to_owned()),
            MailboxName::SmtpUtf8Mailbox("jürgen@XN--BCHER-KVA.example".to_owned()),
            MailboxName::Rfc822Name("jürgen@example.com".to_owned()),
        ] {
            assert_eq!(
                Mailbox::from_subject_alternative_name(&name),
                Err(InvalidMailbox::WrongNameForm),
                "{name:?}"
            );
        }
        let dns = GeneralName::DnsName(Ia5String::new("example.com").unwrap());
        assert_eq!(MailboxName::from_general_name(&dns), Ok(None));
        let not_utf8 = GeneralName::OtherName(OtherName {
            type_id: SMTP_UTF8_MAILBOX,
            value: Any::new(Tag::Ia5String, b"a@example.com".as_slice()).unwrap(),
        });
        assert_eq!(
            MailboxName::from_general_name(&not_utf8),
            Err(InvalidMailbox::WrongNameForm)
        );
    }

    #[test]
    fn subdomains_end_at_a_dot() {
        let example = Domain::parse("example.com").unwrap();
        for (domain, below) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("badexample.com", false),
            ("example.com.evil.test", false),
        ] {
            assert_eq!(
                Domain::parse(domain).unwrap().is_same_or_subdomain_of(&example),
                below,
                "{domain}"
            );
        }
        assert!(!example.is_same_or_subdomain_of(&Domain::parse("mail.example.com").unwrap()));
        assert_eq!(
            Domain::parse("xn--bcher-kva.example").unwrap().to_unicode(),
            "bücher.example"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(address in "\\PC{0,40}@?\\PC{0,40}") {
            if let Ok(mailbox) = Mailbox::parse(&address) {
                let written = mailbox.to_string();
                let again = Mailbox::parse(&written);
                prop_assert_eq!(again.as_ref(), Ok(&mailbox));
                let key = Mailbox::parse(mailbox.as_ref());
                prop_assert_eq!(key.as_ref(), Ok(&mailbox));
                prop_assert!(mailbox.to_string().len() <= MAILBOX_LIMIT);
                let name = mailbox.subject_alternative_name();
                prop_assert_eq!(Mailbox::from_subject_alternative_name(&name), Ok(mailbox));
            }
        }

        #[test]
        fn plausible_addresses_round_trip(
            local_part in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-zA-Z0-9]{1,10}){0,2}",
            domain in "[a-z]([a-z0-9]{0,10}[a-z0-9])?(\\.[a-z]{2,10}){1,3}",
        ) {
            let address = format!("{local_part}@{domain}");
            let mailbox = Mailbox::parse(&address).unwrap();
            prop_assert_eq!(mailbox.to_string(), address.clone());
            prop_assert_eq!(mailbox.local_part(), local_part);
            prop_assert_eq!(Mailbox::parse(&address.to_uppercase()).unwrap(), mailbox);
        }
    }
}
