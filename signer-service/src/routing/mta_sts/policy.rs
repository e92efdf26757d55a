//! The policy file, see RFC 8461 section 3.2.

use std::fmt;

use dns::Name;
use serde::Serialize;

/// What a domain promises of its mail servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// From the TXT record.
    pub(crate) id: String,
    pub(crate) mode: Mode,
    pub(crate) hosts: Vec<Pattern>,
    /// In seconds, at most a year.
    pub(crate) max_age: u32,
}

/// What follows from a server that does not keep the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Nothing gets through.
    Enforce,
    /// It is noticed, and the mail gets through.
    Testing,
    /// There is no promise any more.
    None,
}

/// A host name, or `*.` and a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Host(Name),
    /// Every name with exactly one label more (RFC 8461 section 4.1).
    Below(Name),
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPolicy {
    #[error("line {line} of the policy is not a name, a colon and a value")]
    Line { line: usize },
    #[error("the policy has no `{field}`, or one that is not allowed")]
    Field { field: &'static str },
    #[error("the policy names {0:?} as a mail server, which is not a host name")]
    Host(String),
    #[error("the policy names no mail server, and is not of mode none")]
    NoHost,
    #[error("the policy names more than {0} mail servers")]
    TooManyHosts(usize),
}

impl Policy {
    /// Reads the file; `id` is that of the TXT record.
    pub(crate) fn parse(id: &str, text: &str) -> Result<Self, InvalidPolicy> {
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut hosts = Vec::new();
        let text = text.strip_suffix('\n').unwrap_or(text);
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim_ascii().is_empty() && index > 0 {
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(InvalidPolicy::Line { line: index + 1 })?;
            let (name, value) = (name.trim_ascii_end(), value.trim_ascii());
            // Of several the first one counts, but for the servers.
            match name {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" if hosts.len() == MOST_HOSTS => return Err(InvalidPolicy::TooManyHosts(MOST_HOSTS)),
                "mx" => hosts.push(Pattern::parse(value)?),
                // What is added to policies later must not end them.
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(InvalidPolicy::Field { field: "version" });
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(InvalidPolicy::Field { field: "mode" }),
        };
        let max_age = max_age
            .filter(|text| (1..=10).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(InvalidPolicy::Field { field: "max_age" })?;
        if hosts.is_empty() && mode != Mode::None {
            return Err(InvalidPolicy::NoHost);
        }
        Ok(Self {
            id: id.to_owned(),
            mode,
            hosts,
            max_age: u32::try_from(max_age).unwrap_or(u32::MAX).min(LONGEST_AGE),
        })
    }

    /// Whether a host is one of those that the policy names.
    pub(crate) fn allows(&self, host: &Name) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = |_| InvalidPolicy::Host(text.chars().take(100).collect());
        match text.strip_prefix("*.") {
            Some(domain) => Ok(Self::Below(Name::parse(domain).map_err(invalid)?)),
            None => Ok(Self::Host(Name::parse(text).map_err(invalid)?)),
        }
    }

    fn matches(&self, host: &Name) -> bool {
        match self {
            Self::Host(name) => name == host,
            Self::Below(domain) => host.parent().as_ref() == Some(domain),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => name.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// The file again, as it is kept.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: STSv1\nmode: {}", self.mode)?;
        for host in &self.hosts {
            writeln!(f, "mx: {host}")?;
        }
        writeln!(f, "max_age: {}", self.max_age)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        })
    }
}

/// RFC 8461 section 3.2: about a year.
const LONGEST_AGE: u32 = 31_557_600;
/// The file is bounded as well; this bounds what is compared for each host.
const MOST_HOSTS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// RFC 8461 section 3.2, the example.
    #[test]
    fn a_policy_is_read_and_written_again() {
        let policy = Policy::parse("a", GOOD).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        assert_eq!(policy.hosts.len(), 3);
        assert_eq!(Policy::parse("a", &policy.to_string()).unwrap(), policy);
        let bare = GOOD.replace("\r\n", "\n");
        assert_eq!(Policy::parse("a", &bare).unwrap(), policy);
        let more = format!("{GOOD}mode: none\nfuture: x:y\n\n");
        assert_eq!(
            Policy::parse("a", &more).unwrap(),
            policy,
            "the first one counts, the unknown one does not"
        );
    }

    #[test]
    fn servers_are_compared_as_names() {
        let policy = Policy::parse("a", GOOD).unwrap();
        for host in [
            "mail.example.com",
            "MAIL.example.COM.",
            "a.example.net",
            "backupmx.example.com",
        ] {
            assert!(policy.allows(&name(host)), "{host}");
        }
        for host in [
            "example.net",
            "a.b.example.net",
            "example.com",
            "xmail.example.com",
            "a.mail.example.com",
        ] {
            assert!(!policy.allows(&name(host)), "{host}");
        }
    }

    #[test]
    fn what_is_not_a_policy_is_refused() {
        let check = |text: &str, expected: &str| {
            let reason = Policy::parse("a", text).unwrap_err().to_string();
            assert!(reason.contains(expected), "{text}: {reason}");
        };
        check("", "line 1");
        check("<html>", "line 1");
        check(&GOOD.replace("STSv1", "STSv2"), "`version`");
        check(&GOOD.replace("enforce", "Enforce"), "`mode`");
        check(&GOOD.replace("max_age: 604800", "max_age: -1"), "`max_age`");
        check(&GOOD.replace("max_age: 604800", "max_age: 12345678901"), "`max_age`");
        check(&GOOD.replace("max_age", "maximum"), "`max_age`");
        check(&GOOD.replace("*.example.net", "*"), "not a host name");
        check(&GOOD.replace("*.example.net", "a.*.example.net"), "not a host name");
        check("version: STSv1\nmode: testing\nmax_age: 1\n", "no mail server");
        let many = format!("{GOOD}{}", "mx: a.example\n".repeat(200));
        check(&many, "more than 200");
    }

    #[test]
    fn ages_end_and_the_end_of_a_promise_needs_no_server() {
        let policy = Policy::parse("a", "version: STSv1\nmode: none\nmax_age: 9999999999\n").unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::None, LONGEST_AGE));
    }
}
