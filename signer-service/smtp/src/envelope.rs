//! The envelope of a message: who sent it and who shall get it, with the ESMTP parameters of both commands.
//!
//! The same types come out of the server and go into the client, so that a relay can pass on what it was given.

use std::fmt;

/// What MAIL FROM said. See RFC 5321 section 4.1.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// The reverse path without its angle brackets, as written by the client; empty for the null sender.
    pub address: String,
    pub body: Body,
    /// Whether SMTPUTF8 was given. See RFC 6531 section 3.4.
    pub smtputf8: bool,
    /// The size in octets that the client announced. See RFC 1870 section 6.1.
    pub size: Option<u64>,
    /// Parameters other than BODY, SMTPUTF8 and SIZE, as written. The server lets through those of its
    /// [extensions](crate::server::Settings::extensions); the client sends all of them, so whoever calls it leaves
    /// out what the next hop has not announced.
    pub parameters: Vec<Parameter>,
}

impl MailFrom {
    /// A sender without any parameter; `""` is the null sender of notifications.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            body: Body::SevenBit,
            smtputf8: false,
            size: None,
            parameters: Vec::new(),
        }
    }
}

/// What RCPT TO said. See RFC 5321 section 4.1.1.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptTo {
    /// The forward path without its angle brackets and source route, as written by the client.
    /// `Postmaster` without a domain is the one address that has no `@`.
    pub address: String,
    /// All parameters, as written; see [`MailFrom::parameters`].
    pub parameters: Vec<Parameter>,
}

impl RcptTo {
    /// A recipient without any parameter.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            parameters: Vec::new(),
        }
    }
}

/// The BODY parameter of MAIL. See RFC 6152 section 2 and RFC 3030 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    SevenBit,
    EightBitMime,
    /// Octets that need not be lines.
    BinaryMime,
}

/// One ESMTP parameter, `KEYWORD` or `KEYWORD=value`. See RFC 5321 section 4.1.2, `esmtp-param`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    keyword: String,
    value: Option<String>,
}

impl Parameter {
    /// Parses one word of a command, or tells that it is not an `esmtp-param`. Values may hold UTF-8, as RFC 6533
    /// and RFC 6531 need, but neither blanks nor control characters.
    pub fn parse(word: &str) -> Option<Self> {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let keyword_is_sound = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let value_is_sound = value.is_none_or(|value| {
            !value.is_empty() && !value.chars().any(|c| c.is_control() || c.is_whitespace() || c == '=')
        });
        (keyword_is_sound && value_is_sound).then(|| Self {
            keyword: keyword.to_ascii_uppercase(),
            value: value.map(str::to_owned),
        })
    }

    /// The keyword in upper case.
    pub fn keyword(&self) -> &str {
        &self.keyword
    }

    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.keyword),
            None => f.write_str(&self.keyword),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_back_as_written() {
        for word in ["SIZE=10", "SMTPUTF8", "ORCPT=rfc822;a+2Bb@example.test", "X-1=ü"] {
            assert_eq!(
                Parameter::parse(word).map(|parameter| parameter.to_string()).as_deref(),
                Some(word)
            );
        }
        assert_eq!(
            Parameter::parse("body=7bit").map(|p| p.to_string()).as_deref(),
            Some("BODY=7bit")
        );
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for word in [
            "",
            "=",
            "=x",
            "A=",
            "-A=1",
            "A B",
            "A=b c",
            "A=b=c",
            "A=\r\nRSET",
            "A\0",
            "Ä=1",
            "A=\u{85}",
        ] {
            assert_eq!(Parameter::parse(word), None, "{word:?}");
        }
    }
}
