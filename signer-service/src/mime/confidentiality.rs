//! What of a header is hidden when a message is encrypted: the header confidentiality policies of RFC 9788 section 3.2.

use mail_parser::{DateTime, MessageParser};
use serde::{Deserialize, Serialize};

use super::entity::Field;

/// What of the header only the recipients can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidentiality {
    /// `hcp_no_confidentiality`: nothing. The subject can be read on the way.
    None,
    /// `hcp_baseline`: the subject reads `[...]`; Comments and Keywords are left out.
    Baseline,
    /// `hcp_shy`: also display names are left out, and the date says nothing of the time zone.
    Shy,
}

impl AsRef<str> for Confidentiality {
    fn as_ref(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Baseline => "baseline",
            Self::Shy => "shy",
        }
    }
}

/// A field as everybody can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    Same,
    Instead(Vec<u8>),
    Nothing,
}

impl Confidentiality {
    pub(crate) fn outside(self, field: &Field<'_>) -> Outside {
        if self == Self::None {
            return Outside::Same;
        }
        if field.is("Subject") {
            return Outside::Instead(b"Subject: [...]\r\n".to_vec());
        }
        // NOTE: RFC 9788 does not name Thread-Topic, in which Outlook repeats the subject.
        if ["Comments", "Keywords", "Thread-Topic"]
            .iter()
            .any(|name| field.is(name))
        {
            return Outside::Nothing;
        }
        if self != Self::Shy {
            return Outside::Same;
        }
        let name = field.name();
        let instead = if ["From", "To", "Cc", "Reply-To", "Sender"]
            .iter()
            .any(|name| field.is(name))
        {
            bare_addresses(field)
        } else if field.is("Date") {
            in_utc(field)
        } else {
            None
        };
        match instead {
            Some(value) if value.as_bytes() != field.value() => {
                Outside::Instead(format!("{name}: {value}\r\n").into_bytes())
            }
            // What cannot be read is not rewritten, as the RFC has it.
            _ => Outside::Same,
        }
    }
}

/// The addresses without names, one to a line.
fn bare_addresses(field: &Field<'_>) -> Option<String> {
    let lone = [b"To: ".as_slice(), &field.value(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::new()
        .header_address(mail_parser::HeaderName::To)
        .parse_headers(&lone)?;
    let addresses: Vec<&str> = parsed.to()?.iter().filter_map(|address| address.address()).collect();
    let plain = |address: &&str| {
        address.bytes().all(|byte| byte.is_ascii_graphic() || byte >= 0x80)
            && !address.contains([',', ';', '<', '>', '"', '(', ')'])
    };
    (!addresses.is_empty() && addresses.iter().all(plain)).then(|| addresses.join(",\r\n "))
}

fn in_utc(field: &Field<'_>) -> Option<String> {
    let value = field.value();
    let date = DateTime::parse_rfc822(str::from_utf8(&value).ok()?)?;
    date.is_valid()
        .then(|| DateTime::from_timestamp(date.to_timestamp()).to_rfc822())
}

#[cfg(test)]
mod tests {
    use super::super::entity::Entity;
    use super::*;

    #[track_caller]
    fn check(policy: Confidentiality, field: &str, expected: Option<&str>) {
        let raw = format!("{field}\r\n");
        let entity = Entity::split(raw.as_bytes()).unwrap();
        let outside = match policy.outside(&entity.fields[0]) {
            Outside::Same => Some(raw.clone()),
            Outside::Instead(bytes) => Some(String::from_utf8(bytes).unwrap()),
            Outside::Nothing => None,
        };
        assert_eq!(outside, expected.map(|expected| format!("{expected}\r\n")));
    }

    #[test]
    fn the_baseline_hides_the_subject_and_its_like() {
        let policy = Confidentiality::Baseline;
        check(policy, "Subject: Layoffs", Some("Subject: [...]"));
        check(policy, "SUBJECT: Layoffs", Some("Subject: [...]"));
        check(policy, "Thread-Topic: Layoffs", None);
        check(policy, "Keywords: layoffs", None);
        check(policy, "comments: layoffs", None);
        check(policy, "To: Bob <bob@example.net>", Some("To: Bob <bob@example.net>"));
        check(
            policy,
            "Date: Sat, 28 Nov 2026 08:00:00 +0200",
            Some("Date: Sat, 28 Nov 2026 08:00:00 +0200"),
        );
    }

    #[test]
    fn shy_hides_names_and_time_zone() {
        let policy = Confidentiality::Shy;
        check(policy, "Subject: Layoffs", Some("Subject: [...]"));
        check(
            policy,
            "From: Alice <alice@example.com>",
            Some("From: alice@example.com"),
        );
        check(
            policy,
            "To: \"Bob, the\" <bob@example.net>,\r\n =?utf-8?Q?J=C3=BC?= <ju@example.net>",
            Some("To: bob@example.net,\r\n ju@example.net"),
        );
        check(
            policy,
            "To: undisclosed-recipients:;",
            Some("To: undisclosed-recipients:;"),
        );
        check(policy, "Cc: bob@example.net", Some("Cc: bob@example.net"));
        check(
            policy,
            "Date: Sat, 28 Nov 2026 00:30:00 +0200",
            Some("Date: Fri, 27 Nov 2026 22:30:00 +0000"),
        );
        check(policy, "Date: yesterday", Some("Date: yesterday"));
    }

    #[test]
    fn none_hides_nothing() {
        for field in ["Subject: x", "Keywords: y", "From: Alice <alice@example.com>"] {
            check(Confidentiality::None, field, Some(field));
        }
    }
}
