//! Whether CAA records let an authority certify addresses of a domain ([RFC 9495], BR 4.2.2.1).
//!
//! Looking records up is the authority's work; what they say is decided here.
//!
//! [RFC 9495]: https://www.rfc-editor.org/rfc/rfc9495

use std::fmt;

use thiserror::Error;

use crate::mailbox::Domain;

/// One CAA record as it came from the DNS ([RFC 8659 section 4.1]).
///
/// [RFC 8659 section 4.1]: https://www.rfc-editor.org/rfc/rfc8659#section-4.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// Whether an authority that does not know the tag may not issue.
    pub critical: bool,
    /// Compared without regard to case.
    pub tag: String,
    /// Its form depends on the tag.
    pub value: Vec<u8>,
}

/// What the relevant record set of a domain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaaDecision {
    /// There are no records, or none that is about e-mail.
    Unrestricted,
    /// This record names us.
    Permitted(CaaRecord),
    /// Nothing may be issued.
    Refused(CaaRefusal),
}

/// Why a record set forbids to issue.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CaaRefusal {
    /// RFC 8659 section 4.1: who does not understand a critical property may not issue.
    #[error("it has the critical record `{record}`, whose tag this authority does not know (RFC 8659 section 4.1)")]
    UnknownCriticalTag {
        /// The record.
        record: CaaRecord,
    },
    /// RFC 9495 section 4: there are `issuemail` records, and none names us.
    #[error("its records name other authorities: {}", list(.records))]
    NotNamed {
        /// All `issuemail` records.
        records: Vec<CaaRecord>,
    },
    /// A record names us under a condition that we do not know, so we cannot say that it is met.
    #[error("its record `{record}` names this authority under a condition that is not known here")]
    UnknownParameter {
        /// The record.
        record: CaaRecord,
    },
}

/// Decides by the relevant record set, which is that of the domain or of the nearest domain above it that has one.
///
/// `issuers` are the names by which the authority says in its practice statement that it may be named (BR 4.2.2.1).
#[must_use]
pub fn decide(records: &[CaaRecord], issuers: &[Domain]) -> CaaDecision {
    let unknown = |record: &&CaaRecord| !KNOWN_TAGS.iter().any(|tag| record.tag.eq_ignore_ascii_case(tag));
    if let Some(record) = records.iter().filter(|record| record.critical).find(unknown) {
        return CaaDecision::Refused(CaaRefusal::UnknownCriticalTag { record: record.clone() });
    }
    let about_mail: Vec<&CaaRecord> = records
        .iter()
        .filter(|record| record.tag.eq_ignore_ascii_case(ISSUEMAIL))
        .collect();
    if about_mail.is_empty() {
        return CaaDecision::Unrestricted;
    }
    let mut conditional = None;
    for record in &about_mail {
        // What does not follow the grammar names nobody, and still restricts (RFC 8659 section 4.2).
        let Some(value) = IssueValue::parse(&record.value) else {
            continue;
        };
        let names_us = value
            .issuer
            .is_some_and(|named| issuers.iter().any(|issuer| issuer.as_ref().eq_ignore_ascii_case(named)));
        match (names_us, value.parameters.is_empty()) {
            (true, true) => return CaaDecision::Permitted((*record).clone()),
            (true, false) => conditional = Some((*record).clone()),
            (false, _) => {}
        }
    }
    CaaDecision::Refused(match conditional {
        Some(record) => CaaRefusal::UnknownParameter { record },
        None => CaaRefusal::NotNamed {
            records: about_mail.into_iter().cloned().collect(),
        },
    })
}

/// Where the holder of the domain wants to be told of refused requests ([RFC 8659 section 4.4]); nothing is checked.
///
/// [RFC 8659 section 4.4]: https://www.rfc-editor.org/rfc/rfc8659#section-4.4
pub fn report_addresses(records: &[CaaRecord]) -> impl Iterator<Item = String> + '_ {
    records
        .iter()
        .filter(|record| record.tag.eq_ignore_ascii_case("iodef"))
        .map(|record| printable(&record.value))
}

/// The value of an `issuemail` record ([RFC 9495 section 3]).
struct IssueValue<'a> {
    issuer: Option<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> IssueValue<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
        let (issuer, parameters) = match text.split_once(';') {
            Some((issuer, parameters)) => (issuer, parameters.trim_matches(WHITE_SPACE)),
            None => (text, ""),
        };
        let issuer = issuer.trim_matches(WHITE_SPACE);
        let issuer = match issuer {
            "" => None,
            name if name.split('.').all(is_label) => Some(name),
            _ => return None,
        };
        let parameters = match parameters {
            "" => Vec::new(),
            parameters => parameters.split(';').map(parameter).collect::<Option<_>>()?,
        };
        Some(Self { issuer, parameters })
    }
}

fn is_label(label: &str) -> bool {
    let alphanumeric = |character: char| character.is_ascii_alphanumeric();
    label.starts_with(alphanumeric)
        && label.ends_with(alphanumeric)
        && label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

fn parameter(text: &str) -> Option<(&str, &str)> {
    let (tag, value) = text.split_once('=')?;
    let (tag, value) = (tag.trim_matches(WHITE_SPACE), value.trim_matches(WHITE_SPACE));
    let is_tag = is_label(tag);
    let is_value = value.bytes().all(|octet| octet.is_ascii_graphic());
    (is_tag && is_value).then_some((tag, value))
}

/// Octets that are not printable ASCII become `\` and three digits, as in a zone file.
fn printable(octets: &[u8]) -> String {
    octets
        .iter()
        .map(|octet| match octet {
            b' '..=b'~' if !matches!(octet, b'"' | b'\\') => char::from(*octet).to_string(),
            other => format!("\\{other:03}"),
        })
        .collect()
}

fn list(records: &[CaaRecord]) -> String {
    // Whoever writes the records also writes this list.
    let mut texts: Vec<String> = records
        .iter()
        .take(MOST_LISTED)
        .map(|record| format!("`{record}`"))
        .collect();
    if records.len() > MOST_LISTED {
        texts.push(format!("and {} more", records.len() - MOST_LISTED));
    }
    texts.join(", ")
}

impl fmt::Display for CaaRecord {
    /// As in a zone file, cut off after a line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = printable(&self.value);
        let (shown, more) = match value.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => (&value[..end], "…"),
            None => (value.as_str(), ""),
        };
        let tag = printable(self.tag.as_bytes());
        write!(
            formatter,
            "{} {tag} \"{shown}{more}\"",
            if self.critical { 128 } else { 0 }
        )
    }
}

const ISSUEMAIL: &str = "issuemail";
/// RFC 8659 section 4, RFC 9495, and the contact properties of the TLS BR, appendix A. What they ask for is honoured or is
/// not about e-mail certificates.
const KNOWN_TAGS: [&str; 6] = [ISSUEMAIL, "issue", "issuewild", "iodef", "contactemail", "contactphone"];
const WHITE_SPACE: [char; 2] = [' ', '\t'];
const MOST_LISTED: usize = 4;
const MOST_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as `flags tag value`.
    fn records(texts: &[&str]) -> Vec<CaaRecord> {
        let record = |text: &&str| {
            let mut words = text.splitn(3, ' ');
            CaaRecord {
                critical: words.next() == Some("128"),
                tag: words.next().unwrap().to_owned(),
                value: words.next().unwrap_or_default().as_bytes().to_vec(),
            }
        };
        texts.iter().map(record).collect()
    }

    fn decide(texts: &[&str]) -> CaaDecision {
        let issuers = ["ca.example", "pki.example.com"].map(|name| Domain::parse(name).unwrap());
        super::decide(&records(texts), &issuers)
    }

    #[test]
    fn what_is_not_about_mail_does_not_restrict_mail() {
        for texts in [
            &[][..],
            &["0 issue other.example"],
            &["0 issue ;"],
            &["0 issuewild ;", "0 iodef mailto:a@b.example"],
            &["0 unknown x"],
            &["128 issue ;"],
            &["128 contactemail a@b.example"],
        ] {
            assert_eq!(decide(texts), CaaDecision::Unrestricted, "{texts:?}");
        }
    }

    #[test]
    fn records_that_name_us_permit() {
        for texts in [
            &["0 issuemail ca.example"][..],
            &["0 IssueMail CA.Example"],
            &["0 issuemail \t pki.example.com ;  "],
            &["128 issuemail ca.example"],
            &["0 issuemail ;", "0 issuemail other.example", "0 issuemail ca.example"],
            &["0 issuemail ca.example; a=b", "0 issuemail ca.example"],
            &["0 issuemail ca..example", "0 issuemail ca.example"],
        ] {
            assert!(matches!(decide(texts), CaaDecision::Permitted(_)), "{texts:?}");
        }
    }

    #[test]
    fn records_that_name_others_or_nobody_refuse() {
        for texts in [
            &["0 issuemail ;"][..],
            &["0 issuemail "],
            &["0 issuemail other.example"],
            &["0 issuemail sub.ca.example"],
            &["0 issuemail example"],
            &["0 issuemail xca.example"],
            // Not by the grammar, so it names nobody.
            &["0 issuemail ca.example."],
            &["0 issuemail ca.example other.example"],
            &["0 issuemail ca.example, other.example"],
            &["0 issuemail -ca.example"],
            &["0 issuemail ca.example; novalue"],
            &["0 issuemail ca.example; =b"],
            &["0 issuemail ca.example; a=b c"],
            &["0 issuemail ca.example; ; a=b"],
            &["0 issuemail \u{441}a.example"],
            &["0 issuemail ca.example\0"],
        ] {
            assert!(
                matches!(decide(texts), CaaDecision::Refused(CaaRefusal::NotNamed { .. })),
                "{texts:?}"
            );
        }
    }

    #[test]
    fn conditions_that_nobody_here_knows_are_not_met() {
        let texts = ["0 issuemail ca.example; account=230123", "0 issuemail other.example"];
        let CaaDecision::Refused(refusal) = decide(&texts) else {
            panic!()
        };
        assert!(matches!(refusal, CaaRefusal::UnknownParameter { .. }));
        assert!(
            refusal
                .to_string()
                .contains("0 issuemail \"ca.example; account=230123\""),
            "{refusal}"
        );
    }

    #[test]
    fn unknown_critical_tags_refuse_whatever_else_is_there() {
        let CaaDecision::Refused(refusal) = decide(&["0 issuemail ca.example", "128 tbs Unknown"]) else {
            panic!()
        };
        assert!(refusal.to_string().contains("`128 tbs \"Unknown\"`"), "{refusal}");
    }

    #[test]
    fn refusals_stay_readable_whatever_the_records_say() {
        let long = format!("0 issuemail {}", "x".repeat(5000));
        let many: Vec<&str> = std::iter::repeat_n(long.as_str(), 100)
            .chain(["0 issuemail a\n\u{1b}[31m"])
            .collect();
        let CaaDecision::Refused(refusal) = decide(&many) else {
            panic!()
        };
        let text = refusal.to_string();
        assert!(
            text.len() < 1000 && !text.contains('\u{1b}') && !text.contains('\n'),
            "{text}"
        );
        assert!(text.contains("and 97 more"), "{text}");
    }

    #[test]
    fn reports_go_where_the_records_say() {
        let records = records(&[
            "0 iodef mailto:security@example.com",
            "0 issue ;",
            "0 IODEF https://example.com/\u{7}",
        ]);
        let addresses: Vec<String> = report_addresses(&records).collect();
        assert_eq!(addresses, ["mailto:security@example.com", "https://example.com/\\007"]);
    }
}
