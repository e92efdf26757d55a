//! Names in the DNS.

use std::fmt;
use std::str::FromStr;

use hickory_net::proto::rr::Name as Labels;

/// A fully qualified domain name, compared without regard to case ([RFC 4343]).
///
/// It is written without the dot of the root, except for the root itself.
///
/// [RFC 4343]: https://www.rfc-editor.org/rfc/rfc4343
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Labels);

/// Why a text is no domain name.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a domain name")]
#[non_exhaustive]
pub struct InvalidName {
    /// What was given, cut off after 100 characters.
    pub text: String,
}

impl Name {
    /// Reads a name such as `mail.example.com`, with or without a dot at its end. Labels in Unicode become A-labels.
    ///
    /// Labels may begin with an underscore ([RFC 8552]); they have no other characters than letters, digits, hyphens and
    /// underscores, since all names that we ask for are host names below which services live.
    ///
    /// [RFC 8552]: https://www.rfc-editor.org/rfc/rfc8552
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            text: text.chars().take(100).collect(),
        };
        let trimmed = text.strip_suffix('.').unwrap_or(text);
        let ascii = if trimmed.is_ascii() {
            trimmed.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(trimmed).map_err(|_| invalid())?
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if ascii.len() > 253 || !ascii.split('.').all(is_label) {
            return Err(invalid());
        }
        let labels: Vec<&[u8]> = ascii.split('.').map(str::as_bytes).collect();
        Labels::from_labels(labels).map(Self).map_err(|_| invalid())
    }

    /// The root, which a null MX names (RFC 7505).
    pub fn root() -> Self {
        Self(Labels::root())
    }

    /// The name one label up; `None` for a top-level domain and the root.
    pub fn parent(&self) -> Option<Self> {
        (self.0.num_labels() > 1).then(|| Self(self.0.base_name()))
    }

    /// The name with further labels before it: `_acme-challenge` and `example.com` make `_acme-challenge.example.com`.
    pub fn below(&self, labels: &str) -> Result<Self, InvalidName> {
        Self::parse(&format!("{labels}.{self}"))
    }

    /// Whether the other name is this one or below it.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.zone_of(&other.0)
    }

    pub(crate) fn from_labels(labels: Labels) -> Self {
        Self(labels)
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_ascii();
        formatter.write_str(match text.strip_suffix('.') {
            Some("") | None => &text,
            Some(shorter) => shorter,
        })
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_without_the_last_dot_and_compared_without_case() {
        let name = Name::parse("Mail.EXAMPLE.com.").unwrap();
        assert_eq!(name.to_string(), "mail.example.com");
        assert_eq!(name, Name::parse("mail.example.com").unwrap());
        assert_eq!(name.parent().unwrap().to_string(), "example.com");
        assert_eq!(name.parent().unwrap().parent().unwrap().parent(), None);
        assert!(Name::parse("example.com").unwrap().covers(&name));
        assert!(!name.covers(&Name::parse("example.com").unwrap()));
        assert_eq!(
            Name::parse("bücher.example").unwrap().to_string(),
            "xn--bcher-kva.example"
        );
        let challenge = name.below("_acme-challenge").unwrap();
        assert_eq!(challenge.to_string(), "_acme-challenge.mail.example.com");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefgh.".repeat(28));
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b.example",
            "a\0.example",
            "a\\046b.example",
            "*.example",
            "a@b.example",
            &long_label,
            &long_name,
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
