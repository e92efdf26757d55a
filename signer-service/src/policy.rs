//! What the operator wants done with mail: `[policy]` in `gateway.toml`, at four levels. Pure.
//!
//! A sender's rules are those of the system, changed by those of its organization, its domain and its mailbox, each
//! saying only what differs from the level above. What is agreed with a recipient comes on top of that.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use policies::mailbox::{Domain, Mailbox};
use policies::signing::MaySign;
use serde::{Deserialize, Serialize};

use crate::mime::confidentiality::Confidentiality;

/// All levels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    system: Rules,
    organizations: Vec<Organization>,
    domains: Vec<(Domain, Rules)>,
    mailboxes: Vec<(Mailbox, Rules)>,
    recipients: Vec<(MaySign, RecipientRules)>,
    processing_addresses: Vec<ProcessingAddress>,
}

/// An address that nobody reads, or a family of them whose local parts begin alike: `emx-*@securemail.example.com`, for
/// programs that put a token of their own there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ProcessingAddress {
    One(Mailbox),
    Family { prefix: String, domain: Domain },
}

impl ProcessingAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let family = text.split_once("*@").filter(|(prefix, _)| !prefix.contains('@'));
        let Some((prefix, domain)) = family else {
            return Mailbox::parse(text).map(Self::One).map_err(|error| error.to_string());
        };
        if prefix.is_empty() {
            // Everybody in a domain would read nothing any more.
            return Err("names a whole domain; begin with some letters, as in emx-*@securemail.example.com".to_owned());
        }
        // With a letter for the token it has to be an address.
        let example = Mailbox::parse(&format!("{prefix}x@{domain}")).map_err(|error| error.to_string())?;
        Ok(Self::Family {
            prefix: prefix.to_owned(),
            domain: example.domain().clone(),
        })
    }

    /// What the token is does not matter: it triggers, and authorizes nothing.
    fn is(&self, recipient: &Mailbox) -> bool {
        match self {
            Self::One(address) => address == recipient,
            Self::Family { prefix, domain } => {
                let local_part = recipient.local_part();
                let start = local_part.get(..prefix.len());
                recipient.domain() == domain
                    && local_part.len() > prefix.len()
                    && start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Organization {
    name: String,
    domains: Vec<MaySign>,
    rules: Rules,
}

/// Whether mail is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Only if the message asks for it.
    No,
    /// If the sender has a certificate or gets one; nobody's mail is held up for the lack of it.
    Yes,
    /// A person's mail leaves signed or is refused, and a message cannot wish its signature away.
    Required,
}

/// How the signature is carried, see RFC 8551 section 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// multipart/signed: everybody can read the message.
    Clear,
    /// application/pkcs7-mime: only S/MIME software can read it, and no relay on the way can break it.
    Opaque,
}

/// What is done with a message that was signed by the sender's own program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlreadySigned {
    Pass,
    /// An intact S/MIME signature is taken off and ours put on; PGP is passed on.
    StripAndReSign,
}

/// What is done with a kind of message that signatures may disturb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exception {
    /// As every other message.
    Sign,
    /// If the sender has a certificate already; none is ordered for it.
    SignIfEnrolled,
    /// Passed on unsigned.
    Pass,
}

/// Whether mail is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encrypt {
    /// Only if the message asks for it.
    No,
    /// Towards those who have a certificate; the others get it signed.
    IfPossible,
    /// Nobody gets it in clear.
    Required,
}

/// What is done about a recipient who cannot be encrypted to, where nothing may leave in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutCertificate {
    /// The message is refused, for all, and the sender hears why.
    Refuse,
    /// The recipient picks the message up in a pickup centre.
    Pickup,
}

/// Which cipher a message is encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherChoice {
    /// AES-256-GCM for those who have announced that they read it (RFC 8551 section 2.5.2), AES-256-CBC for all others.
    ByCapability,
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
}

/// How keys of messages are encrypted with RSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportChoice {
    /// OAEP for those who have announced that they read it, PKCS#1 v1.5 for all others.
    ByCapability,
    Pkcs1,
    /// With SHA-256.
    Oaep,
}

/// The values of the Sensitivity field, see RFC 4021 section 2.1.55 and X.420.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitivity {
    Personal,
    Private,
    CompanyConfidential,
}

/// One level as written: what it does not say it inherits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    sign: Option<Sign>,
    format: Option<Format>,
    already_signed: Option<AlreadySigned>,
    /// Invitations and answers to them: text/calendar with a method (RFC 6047).
    calendar: Option<Exception>,
    /// Mail that a mailing list sends out (RFC 2919).
    lists: Option<Exception>,
    /// Mail of programs: null reverse path, or Auto-Submitted (RFC 3834).
    automatic: Option<Exception>,
    header_protection: Option<bool>,
    secure_flags: Option<Vec<String>>,
    sign_flags: Option<Vec<String>>,
    clear_flags: Option<Vec<String>>,
    /// Which values of Sensitivity ask for encryption.
    secure_sensitivity: Option<Vec<Sensitivity>>,
    encrypt: Option<Encrypt>,
    without_certificate: Option<WithoutCertificate>,
    confidentiality: Option<Confidentiality>,
    cipher: Option<CipherChoice>,
    key_transport: Option<TransportChoice>,
    /// Whether the sender can open the copy of those named in To and Cc.
    encrypt_to_sender: Option<bool>,
}

/// What is agreed with a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecipientRules {
    sign: Option<Sign>,
    format: Option<Format>,
    header_protection: Option<bool>,
    encrypt: Option<Encrypt>,
    without_certificate: Option<WithoutCertificate>,
    confidentiality: Option<Confidentiality>,
    cipher: Option<CipherChoice>,
    key_transport: Option<TransportChoice>,
    /// The certificate of a gateway that opens the mail of all these recipients.
    domain_certificate: Option<PathBuf>,
}

/// The table `[policy]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyFile {
    system: Rules,
    organization: BTreeMap<String, OrganizationFile>,
    domain: BTreeMap<String, Rules>,
    mailbox: BTreeMap<String, Rules>,
    recipient: BTreeMap<String, RecipientRules>,
    /// Whoever puts one of these among the recipients asks for encryption; nobody gets a copy there.
    processing_addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrganizationFile {
    domains: Vec<String>,
    #[serde(default)]
    rules: Rules,
}

impl PolicyFile {
    /// Checks names and flags; the error is one sentence.
    pub(crate) fn check(self) -> Result<Policy, String> {
        let mut policy = Policy::default();
        for (name, organization) in self.organization {
            let at = format!("policy.organization.{name:?}");
            let mut domains = Vec::new();
            for text in &organization.domains {
                match text.parse() {
                    Ok(MaySign::Mailbox(_)) => {
                        return Err(format!(
                            "{at}: {text:?} is a mailbox; give it a policy.mailbox of its own"
                        ));
                    }
                    Ok(domain) => domains.push(domain),
                    Err(error) => return Err(format!("{at}: {text:?}: {error}")),
                }
            }
            if let Some(other) = policy
                .organizations
                .iter()
                .find(|other| other.domains.iter().any(|domain| domains.contains(domain)))
            {
                return Err(format!("{at}: a domain of it belongs to {:?} already", other.name));
            }
            policy.organizations.push(Organization {
                name,
                domains,
                rules: organization.rules,
            });
        }
        for (name, rules) in self.domain {
            let domain: Domain = name
                .parse()
                .map_err(|error| format!("policy.domain.{name:?}: {error}"))?;
            if policy.domains.iter().any(|(known, _)| *known == domain) {
                return Err(format!("policy.domain.{name:?} is there twice"));
            }
            policy.domains.push((domain, rules));
        }
        for (name, rules) in self.mailbox {
            let mailbox = Mailbox::parse(&name).map_err(|error| format!("policy.mailbox.{name:?}: {error}"))?;
            if policy.mailboxes.iter().any(|(known, _)| *known == mailbox) {
                return Err(format!("policy.mailbox.{name:?} is there twice"));
            }
            policy.mailboxes.push((mailbox, rules));
        }
        for (name, rules) in self.recipient {
            let whom: MaySign = name
                .parse()
                .map_err(|error| format!("policy.recipient.{name:?}: {error}"))?;
            if policy.recipients.iter().any(|(known, _)| *known == whom) {
                return Err(format!("policy.recipient.{name:?} is there twice"));
            }
            policy.recipients.push((whom, rules));
        }
        for text in self.processing_addresses {
            let address = ProcessingAddress::parse(&text)
                .map_err(|error| format!("policy.processing_addresses: {text:?}: {error}"))?;
            policy.processing_addresses.push(address);
        }
        policy.system = self.system;
        let levels = std::iter::once(&policy.system)
            .chain(policy.organizations.iter().map(|organization| &organization.rules))
            .chain(policy.domains.iter().map(|(_, rules)| rules))
            .chain(policy.mailboxes.iter().map(|(_, rules)| rules));
        for rules in levels {
            rules.check_flags()?;
        }
        Ok(policy)
    }
}

impl Rules {
    fn check_flags(&self) -> Result<(), String> {
        let lists = [&self.secure_flags, &self.sign_flags, &self.clear_flags];
        for flag in lists.into_iter().flatten().flatten() {
            let marked =
                flag.starts_with(|c: char| !c.is_alphanumeric()) && flag.ends_with(|c: char| !c.is_alphanumeric());
            let sound =
                (3..=40).contains(&flag.chars().count()) && flag.trim() == flag && !flag.chars().any(char::is_control);
            if !marked || !sound {
                return Err(format!(
                    "{flag:?} cannot be a subject flag, since it would be found in usual subjects; write it like \"[secure]\""
                ));
            }
        }
        Ok(())
    }
}

/// Which level has decided something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// Nobody: what the gateway does if it is not told otherwise.
    Default,
    System,
    Organization(String),
    Domain(Domain),
    Mailbox(Mailbox),
    Recipient(MaySign),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("by default"),
            Self::System => f.write_str("policy.system"),
            Self::Organization(name) => write!(f, "policy.organization.{name:?}"),
            Self::Domain(domain) => write!(f, "policy.domain.\"{domain}\""),
            Self::Mailbox(mailbox) => write!(f, "policy.mailbox.\"{mailbox}\""),
            Self::Recipient(whom) => write!(f, "policy.recipient.\"{whom}\""),
        }
    }
}

/// A value and where it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided<T> {
    pub value: T,
    pub by: Level,
}

/// The rules for one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRules {
    pub sign: Decided<Sign>,
    pub format: Decided<Format>,
    pub already_signed: Decided<AlreadySigned>,
    pub calendar: Decided<Exception>,
    pub lists: Decided<Exception>,
    pub automatic: Decided<Exception>,
    pub header_protection: Decided<bool>,
    pub secure_flags: Vec<String>,
    pub sign_flags: Vec<String>,
    pub clear_flags: Vec<String>,
    pub secure_sensitivity: Decided<Vec<Sensitivity>>,
    pub encrypt: Decided<Encrypt>,
    pub without_certificate: Decided<WithoutCertificate>,
    pub confidentiality: Decided<Confidentiality>,
    pub cipher: Decided<CipherChoice>,
    pub key_transport: Decided<TransportChoice>,
    pub encrypt_to_sender: bool,
    /// A file, from the data folder on.
    pub domain_certificate: Option<PathBuf>,
}

impl Policy {
    /// The rules for a sender; for one who is not known by name those of the system.
    pub fn of_sender(&self, sender: Option<&Mailbox>) -> SenderRules {
        let mut levels = vec![(Level::System, &self.system)];
        if let Some(sender) = sender {
            let organization = self
                .organizations
                .iter()
                .find(|organization| organization.domains.iter().any(|domain| domain.covers(sender)));
            levels.extend(
                organization.map(|organization| (Level::Organization(organization.name.clone()), &organization.rules)),
            );
            let domain = self.domains.iter().find(|(domain, _)| domain == sender.domain());
            levels.extend(domain.map(|(domain, rules)| (Level::Domain(domain.clone()), rules)));
            let mailbox = self.mailboxes.iter().find(|(mailbox, _)| mailbox == sender);
            levels.extend(mailbox.map(|(mailbox, rules)| (Level::Mailbox(mailbox.clone()), rules)));
        }
        let flags = |field: fn(&Rules) -> &Option<Vec<String>>, default: &[&str]| {
            let default = default.iter().map(|flag| (*flag).to_owned()).collect();
            decide(&levels, default, field).value
        };
        SenderRules {
            sign: decide(&levels, Sign::Required, |rules| &rules.sign),
            format: decide(&levels, Format::Clear, |rules| &rules.format),
            already_signed: decide(&levels, AlreadySigned::Pass, |rules| &rules.already_signed),
            calendar: decide(&levels, Exception::Sign, |rules| &rules.calendar),
            lists: decide(&levels, Exception::Sign, |rules| &rules.lists),
            automatic: decide(&levels, Exception::SignIfEnrolled, |rules| &rules.automatic),
            header_protection: decide(&levels, true, |rules| &rules.header_protection),
            secure_flags: flags(|rules| &rules.secure_flags, &["[secure]"]),
            sign_flags: flags(|rules| &rules.sign_flags, &["[sign]"]),
            clear_flags: flags(|rules| &rules.clear_flags, &["[clear]"]),
            secure_sensitivity: decide(&levels, Vec::new(), |rules| &rules.secure_sensitivity),
            encrypt: decide(&levels, Encrypt::No, |rules| &rules.encrypt),
            without_certificate: decide(&levels, WithoutCertificate::Refuse, |rules| &rules.without_certificate),
            confidentiality: decide(&levels, Confidentiality::Baseline, |rules| &rules.confidentiality),
            cipher: decide(&levels, CipherChoice::ByCapability, |rules| &rules.cipher),
            key_transport: decide(&levels, TransportChoice::ByCapability, |rules| &rules.key_transport),
            encrypt_to_sender: decide(&levels, false, |rules| &rules.encrypt_to_sender).value,
            domain_certificate: None,
        }
    }

    /// Whether a recipient is one that nobody reads: naming it asks for encryption, and authorizes nothing.
    pub fn is_processing_address(&self, recipient: &str) -> bool {
        !self.processing_addresses.is_empty()
            && Mailbox::parse(recipient)
                .is_ok_and(|recipient| self.processing_addresses.iter().any(|address| address.is(&recipient)))
    }

    /// What is agreed with a recipient: by its address, else its domain, else the nearest domain above.
    pub fn of_recipient(&self, recipient: &str) -> Option<(Level, &RecipientRules)> {
        let recipient = Mailbox::parse(recipient).ok()?;
        let covering = self.recipients.iter().filter(|(whom, _)| whom.covers(&recipient));
        covering
            .max_by_key(|(whom, _)| match whom {
                MaySign::Mailbox(_) => (2, 0),
                MaySign::Domain(_) => (1, 0),
                MaySign::Subdomains(domain) => (0, domain.as_ref().len()),
            })
            .map(|(whom, rules)| (Level::Recipient(whom.clone()), rules))
    }
}

impl SenderRules {
    /// These rules for one recipient.
    pub fn towards(&self, level: &Level, recipient: &RecipientRules) -> Self {
        fn agree<T: Copy>(decided: &mut Decided<T>, agreed: Option<T>, level: &Level) {
            if let Some(value) = agreed {
                *decided = Decided {
                    value,
                    by: level.clone(),
                };
            }
        }
        let mut rules = self.clone();
        agree(&mut rules.sign, recipient.sign, level);
        agree(&mut rules.format, recipient.format, level);
        agree(&mut rules.header_protection, recipient.header_protection, level);
        agree(&mut rules.without_certificate, recipient.without_certificate, level);
        agree(&mut rules.confidentiality, recipient.confidentiality, level);
        agree(&mut rules.cipher, recipient.cipher, level);
        agree(&mut rules.key_transport, recipient.key_transport, level);
        agree(&mut rules.encrypt, recipient.encrypt, level);
        rules.domain_certificate = recipient.domain_certificate.clone();
        rules
    }
}

/// The value of the lowest level that has one.
fn decide<T: Clone>(levels: &[(Level, &Rules)], default: T, field: fn(&Rules) -> &Option<T>) -> Decided<T> {
    let lowest = levels
        .iter()
        .rev()
        .find_map(|(level, rules)| field(rules).clone().map(|value| (level.clone(), value)));
    let (by, value) = lowest.unwrap_or((Level::Default, default));
    Decided { value, by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, String> {
        let file: PolicyFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check()
    }

    const LEVELS: &str = r#"
        [system]
        sign = "yes"
        calendar = "pass"
        [organization."Example Bank"]
        domains = ["example.com", ".example.com"]
        rules.format = "opaque"
        rules.sign = "required"
        [domain."example.com"]
        format = "clear"
        header_protection = false
        [mailbox."alice@example.com"]
        sign = "no"
        [recipient."example.net"]
        format = "opaque"
        [recipient.".example.net"]
        format = "clear"
        [recipient."bob@example.net"]
        sign = "no"
    "#;

    #[track_caller]
    fn check(sender: &str, sign: (Sign, &str), format: (Format, &str)) {
        let rules = policy(LEVELS).unwrap().of_sender(Some(&sender.parse().unwrap()));
        assert_eq!((rules.sign.value, rules.sign.by.to_string().as_str()), sign);
        assert_eq!((rules.format.value, rules.format.by.to_string().as_str()), format);
        assert_eq!(rules.calendar.value, Exception::Pass, "inherited from the system");
    }

    #[test]
    fn each_level_inherits_from_the_one_above() {
        let organization = "policy.organization.\"Example Bank\"";
        check(
            "alice@example.com",
            (Sign::No, "policy.mailbox.\"alice@example.com\""),
            (Format::Clear, "policy.domain.\"example.com\""),
        );
        check(
            "carol@EXAMPLE.com",
            (Sign::Required, organization),
            (Format::Clear, "policy.domain.\"example.com\""),
        );
        check(
            "carol@mail.example.com",
            (Sign::Required, organization),
            (Format::Opaque, organization),
        );
        check(
            "dan@example.org",
            (Sign::Yes, "policy.system"),
            (Format::Clear, "by default"),
        );
    }

    #[test]
    fn the_nearest_rule_for_a_recipient_counts() {
        let policy = policy(LEVELS).unwrap();
        for (recipient, expected) in [
            ("bob@example.net", Some("policy.recipient.\"bob@example.net\"")),
            ("BOB@Example.NET", Some("policy.recipient.\"bob@example.net\"")),
            ("eve@example.net", Some("policy.recipient.\"example.net\"")),
            ("eve@a.b.example.net", Some("policy.recipient.\".example.net\"")),
            ("eve@example.org", None),
            ("postmaster", None),
        ] {
            let level = policy.of_recipient(recipient).map(|(level, _)| level.to_string());
            assert_eq!(level.as_deref(), expected, "{recipient}");
        }
    }

    #[test]
    fn nothing_unknown_is_accepted() {
        for text in [
            "colour = 1",
            "[system]\nsigned = \"yes\"",
            "[system]\nsign = \"maybe\"",
            "[system]\nformat = \"Opaque\"",
            "[system]\nheader_protection = \"yes\"",
            "[domain.\"example\"]",
            "[domain.\"alice@example.com\"]",
            "[domain.\"EXAMPLE.com\"]\n[domain.\"example.com\"]",
            "[mailbox.\"example.com\"]",
            "[mailbox.\"a@example.com\"]\n[mailbox.\"A@example.com\"]",
            "[recipient.\"*\"]",
            "[recipient.\"example.net\"]\ncalendar = \"pass\"",
            "[organization.Bank]",
            "[organization.Bank]\ndomains = [\"a@example.com\"]",
            "[organization.A]\ndomains = [\"example.com\"]\n[organization.B]\ndomains = [\"EXAMPLE.com\"]",
            "[organization.Bank]\ndomains = [\"example.com\"]\nsign = \"no\"",
            "[system]\nsecure_flags = [\"secure\"]",
            "[system]\nsecure_flags = [\"\"]",
            "[system]\nclear_flags = [\" [a] \"]",
            "[system]\nsecure_sensitivity = [\"Secret\"]",
            "[system]\nencrypt = \"yes\"",
            "[system]\nwithout_certificate = \"sign\"",
            "[system]\nconfidentiality = \"all\"",
            "[system]\ncipher = \"aes-128-cbc\"",
            "[system]\nkey_transport = \"rsa\"",
            "[system]\ndomain_certificate = \"a.pem\"",
            "[recipient.\"example.net\"]\nencrypt_to_sender = true",
            "processing_addresses = [\"example.com\"]",
            "processing_addresses = [\"*@example.com\"]",
            "processing_addresses = [\"emx-*@\"]",
            "processing_addresses = [\"emx-*@example..com\"]",
            "processing_addresses = [\"em*x@example.com@example.com\"]",
        ] {
            assert!(policy(text).is_err(), "{text}");
        }
        assert_eq!(policy("").unwrap(), Policy::default());
    }

    #[test]
    fn a_family_of_processing_addresses_has_any_token_and_one_domain() {
        let policy =
            policy("processing_addresses = [\"emx-*@securemail.example.com\", \"secure@example.com\"]").unwrap();
        for (recipient, expected) in [
            ("emx-a1B2@securemail.example.com", true),
            ("EMX-x@SecureMail.example.com", true),
            ("secure@example.com", true),
            ("emx-@securemail.example.com", false),
            ("emx@securemail.example.com", false),
            ("xemx-a@securemail.example.com", false),
            ("emx-a@example.com", false),
            ("emx-a@sub.securemail.example.com", false),
            ("emx-a", false),
        ] {
            assert_eq!(policy.is_processing_address(recipient), expected, "{recipient}");
        }
    }
}
