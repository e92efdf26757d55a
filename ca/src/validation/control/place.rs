//! The places of a domain where a proof of control can be. There are no others, so nobody can have us, or a remote
//! perspective, look anywhere else.

use policies::mailbox::Domain;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A TXT record below the domain.
    Text(Label),
    /// A file of its website, over port 80.
    File(FilePath),
}

/// TLS BR 3.2.2.4.7: the record may be at the domain "prefixed with a Domain Label that begins with an underscore character".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// Of our own challenges.
    Sealwright,
    /// Of RFC 8555 section 8.4.
    Acme,
}

impl Label {
    /// The name of the record.
    pub(crate) fn of(self, domain: &Domain) -> String {
        format!("{}.{domain}", self.as_ref())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Sealwright, Self::Acme]
            .into_iter()
            .find(|label| label.as_ref() == text)
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        match self {
            Self::Sealwright => "_sealwright-challenge",
            Self::Acme => "_acme-challenge",
        }
    }
}

/// The path of a file below `/.well-known` that is there for nothing but proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath(String);

impl FilePath {
    /// Of our own challenges. TLS BR 3.2.2.4.18: under this folder; the name of the file must not contain the random value.
    pub(crate) fn sealwright() -> Self {
        Self(SEALWRIGHT.to_owned())
    }

    /// Of RFC 8555 section 8.3, named by the token of a challenge; `None` when it is not of the alphabet of tokens.
    pub(crate) fn acme(token: &str) -> Option<Self> {
        let is_token = (1..=128).contains(&token.len())
            && token
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
        is_token.then(|| Self(format!("{ACME}{token}")))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(ACME) {
            Some(token) => Self::acme(token),
            None => (text == SEALWRIGHT).then(Self::sealwright),
        }
    }

    /// Where the file is.
    pub(crate) fn of(&self, domain: &Domain) -> String {
        format!("http://{domain}{}", self.0)
    }
}

impl AsRef<str> for FilePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

const SEALWRIGHT: &str = "/.well-known/pki-validation/sealwright.txt";
const ACME: &str = "/.well-known/acme-challenge/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_proofs_can_be_named() {
        for path in [SEALWRIGHT, "/.well-known/acme-challenge/DGyRejmCefe7v4NfDGDKfA"] {
            assert_eq!(FilePath::parse(path).unwrap().as_ref(), path);
        }
        for path in [
            "",
            "/",
            "/etc/passwd",
            "/.well-known/pki-validation/other.txt",
            "/.well-known/pki-validation/sealwright.txt?x",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/..",
            "/.well-known/acme-challenge/a/b",
            "/.well-known/acme-challenge/a?b",
            "/.well-known/acme-challenge/a%2fb",
            "/.well-known/acme-challenge/a b",
            "http://other.example/.well-known/acme-challenge/a",
        ] {
            assert_eq!(FilePath::parse(path), None, "{path}");
        }
        assert_eq!(FilePath::acme(&"a".repeat(129)), None);
        for label in ["", "_dmarc", "www", "_acme-challenge.www"] {
            assert_eq!(Label::parse(label), None);
        }
        assert_eq!(Label::parse("_acme-challenge"), Some(Label::Acme));
    }
}
