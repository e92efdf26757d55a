//! The addresses that certificates carry.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An `http` address of a revocation list, an issuer's certificate or an OCSP responder.
///
/// Sections 7.1.2.2 and 7.1.2.3 allow no other scheme: fetching over https could need a certificate whose status is
/// to be fetched over https.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// Takes an absolute address with a host, of at most 2048 visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let rest = url.strip_prefix("http://").ok_or(InvalidUrl::NotHttp)?;
        check(url, rest)?;
        Ok(Self(url.to_owned()))
    }

    /// This address with `segment` as one more path segment: letters, digits, hyphens, dots and underscores.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if the segment has other characters or the result is too long.
    pub fn join(&self, segment: &str) -> Result<Self, InvalidUrl> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(plain) || self.0.contains(['?', '#'])
        {
            return Err(InvalidUrl::Segment);
        }
        Self::parse(&format!("{}/{segment}", self.0.trim_end_matches('/')))
    }
}

impl AsRef<str> for HttpUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Self::parse(url)
    }
}

/// An `http` or `https` address of a certification practice statement. See section 7.1.2.3 a.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PracticeStatementUrl(String);

impl PracticeStatementUrl {
    /// Takes an absolute address with a host, of at most 2048 visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or(InvalidUrl::NotHttp)?;
        check(url, rest)?;
        Ok(Self(url.to_owned()))
    }
}

impl AsRef<str> for PracticeStatementUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text may not stand as an address in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Another scheme, or none.
    #[error("the address does not begin with http://, the only scheme that certificates may use (BR 7.1.2.3)")]
    NotHttp,
    /// No host, or a user name before it.
    #[error("the address needs a host name after the slashes, and no user name")]
    Host,
    /// A character that is not allowed in a URI.
    #[error("the address has a character that must be percent-encoded")]
    Character,
    /// Too long.
    #[error("the address is longer than 2048 characters")]
    TooLong,
    /// What is to be added is not a plain path segment.
    #[error("only letters, digits, hyphens, dots and underscores can be added to an address without a query")]
    Segment,
}

/// RFC 3986 section 2: the characters of a URI; `rest` is what follows the scheme and "//".
fn check(url: &str, rest: &str) -> Result<(), InvalidUrl> {
    if url.len() > URL_LIMIT {
        return Err(InvalidUrl::TooLong);
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if !url.bytes().all(allowed) {
        return Err(InvalidUrl::Character);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') || authority.contains('@') {
        return Err(InvalidUrl::Host);
    }
    Ok(())
}

/// What HTTP software handles without fail; RFC 9110 section 4.1 asks for at least 8000.
const URL_LIMIT: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_accepted() {
        for url in [
            "http://ca.example.com/crl/1.crl",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/ca/1.cer",
        ] {
            assert_eq!(HttpUrl::parse(url).unwrap().as_ref(), url);
        }
        assert!(PracticeStatementUrl::parse("https://ca.example.com/cps").is_ok());
        let joined = HttpUrl::parse("http://ca.example.com/")
            .unwrap()
            .join("crl")
            .unwrap()
            .join("root.crl");
        assert_eq!(joined.unwrap().as_ref(), "http://ca.example.com/crl/root.crl");
    }

    #[test]
    fn others_are_refused() {
        for (url, problem) in [
            ("", InvalidUrl::NotHttp),
            ("https://ca.example.com/", InvalidUrl::NotHttp),
            ("HTTP://ca.example.com/", InvalidUrl::NotHttp),
            ("ldap://ca.example.com/", InvalidUrl::NotHttp),
            ("file:///etc/passwd", InvalidUrl::NotHttp),
            ("http://", InvalidUrl::Host),
            ("http:///x", InvalidUrl::Host),
            ("http://:80/", InvalidUrl::Host),
            ("http://user:word@ca.example.com/", InvalidUrl::Host),
            ("http://ca.example.com/a b", InvalidUrl::Character),
            ("http://ca.example.com/ü", InvalidUrl::Character),
            ("http://ca.example.com/\r\nX:", InvalidUrl::Character),
            ("http://ca.example.com/<x>", InvalidUrl::Character),
        ] {
            assert_eq!(HttpUrl::parse(url), Err(problem), "{url:?}");
        }
        assert_eq!(
            HttpUrl::parse(&format!("http://a/{}", "x".repeat(2048))),
            Err(InvalidUrl::TooLong)
        );
        assert_eq!(PracticeStatementUrl::parse("ftp://a/"), Err(InvalidUrl::NotHttp));
        let base = HttpUrl::parse("http://a/").unwrap();
        for segment in ["", "..", "a/b", "a?b", ".", "a b"] {
            assert_eq!(base.join(segment), Err(InvalidUrl::Segment), "{segment:?}");
        }
    }
}
