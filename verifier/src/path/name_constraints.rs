//! Name constraints (RFC 5280 section 4.2.1.10; RFC 9598 section 6 for SmtpUTF8Mailbox).

use crate::certificate::Certificate;
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{GeneralName, NameConstraints};
use crate::finding::{Code, Problem};
use crate::name::EMAIL_ADDRESS;

/// What the authorities above have constrained so far.
#[derive(Debug, Default)]
pub(super) struct NameState<'a> {
    /// One set of permitted subtrees per authority: a name must lie in each, which is their intersection.
    constraints: Vec<NameConstraints<'a>>,
}

impl<'a> NameState<'a> {
    /// RFC 5280 section 6.1.4 (g).
    pub(super) fn constrain(&mut self, authority: &Certificate<'a>) -> Result<(), Problem> {
        if let Some(constraints) = &authority.extensions.name_constraints {
            if constraints.has_distances {
                return Err(Code::NameConstraintsUnsupported.because(format!(
                    "the name constraints of {} have a minimum or maximum",
                    authority.describe()
                )));
            }
            self.constraints.push(constraints.clone());
        }
        Ok(())
    }

    /// RFC 5280 section 6.1.3 (b) and (c).
    pub(super) fn check(&self, certificate: &Certificate<'a>) -> Result<(), Problem> {
        if self.constraints.is_empty() {
            return Ok(());
        }
        if !certificate.subject.is_empty() {
            self.check_name(certificate, &GeneralName::DirectoryName(certificate.subject.clone()))?;
        }
        // NOTE: RFC 5280 looks at emailAddress only if there is no rfc822Name; it is always looked at here, since
        // somebody may show it.
        for attribute in certificate
            .subject
            .attributes()
            .filter(|attribute| attribute.kind == EMAIL_ADDRESS)
        {
            let address = attribute.text.as_deref().unwrap_or_default();
            self.check_name(certificate, &GeneralName::Rfc822Name(address))?;
        }
        for name in certificate.extensions.subject_alternative_names.iter().flatten() {
            self.check_name(certificate, name)?;
        }
        Ok(())
    }

    fn check_name(&self, certificate: &Certificate<'_>, name: &GeneralName<'_>) -> Result<(), Problem> {
        let outside = || {
            Code::NameConstraints.because(format!(
                "a name of {} is not one that an authority above may certify",
                certificate.describe()
            ))
        };
        for constraints in &self.constraints {
            let mut of_this_kind = constraints
                .permitted
                .iter()
                .filter(|subtree| same_kind(name, subtree))
                .peekable();
            if of_this_kind.peek().is_some() {
                let mut inside = false;
                for subtree in of_this_kind {
                    inside |= is_within(name, subtree).ok_or_else(|| unsupported(certificate))?;
                }
                if !inside {
                    return Err(outside());
                }
            }
            for subtree in constraints.excluded.iter().filter(|subtree| same_kind(name, subtree)) {
                if is_within(name, subtree).ok_or_else(|| unsupported(certificate))? {
                    return Err(outside());
                }
            }
        }
        Ok(())
    }
}

fn unsupported(certificate: &Certificate<'_>) -> Problem {
    Code::NameConstraintsUnsupported.because(format!(
        "a name of {} is constrained in a form that is not processed here",
        certificate.describe()
    ))
}

fn same_kind(name: &GeneralName<'_>, subtree: &GeneralName<'_>) -> bool {
    match (name, subtree) {
        (GeneralName::Rfc822Name(_) | GeneralName::SmtpUtf8Mailbox(_), GeneralName::Rfc822Name(_))
        | (GeneralName::DnsName(_), GeneralName::DnsName(_))
        | (GeneralName::UniformResourceIdentifier(_), GeneralName::UniformResourceIdentifier(_))
        | (GeneralName::DirectoryName(_), GeneralName::DirectoryName(_))
        | (GeneralName::IpAddress(_), GeneralName::IpAddress(_)) => true,
        // An SmtpUTF8Mailbox is an otherName too, so a constraint on otherName may be meant for it.
        (GeneralName::SmtpUtf8Mailbox(_), GeneralName::SmtpUtf8Mailbox(_)) => true,
        (GeneralName::Other { tag, .. }, GeneralName::Other { tag: constrained, .. }) => tag == constrained,
        (GeneralName::SmtpUtf8Mailbox(_), GeneralName::Other { tag, .. })
        | (GeneralName::Other { tag, .. }, GeneralName::SmtpUtf8Mailbox(_)) => *tag == 0xa0,
        _ => false,
    }
}

/// Whether the name lies in the subtree; `None` if that cannot be told.
fn is_within(name: &GeneralName<'_>, subtree: &GeneralName<'_>) -> Option<bool> {
    match (name, subtree) {
        (GeneralName::Rfc822Name(address), GeneralName::Rfc822Name(constraint)) => {
            let (local_part, host) = parts(address)?;
            Some(if constraint.contains('@') {
                let (constrained, constrained_host) = parts(constraint)?;
                constrained == local_part && constrained_host.eq_ignore_ascii_case(host)
            } else {
                host_is_within(host, constraint)
            })
        }
        // RFC 9598 section 6: constraints name hosts; a mailbox in ASCII cannot be this one.
        (GeneralName::SmtpUtf8Mailbox(address), GeneralName::Rfc822Name(constraint)) => {
            let (_, host) = parts(address)?;
            Some(!constraint.contains('@') && host_is_within(host, constraint))
        }
        (GeneralName::DnsName(host), GeneralName::DnsName(constraint)) => {
            // A pattern is many names at once, some inside and some outside.
            if host.contains('*') {
                return None;
            }
            let domain = constraint.strip_prefix('.');
            Some(match domain {
                Some(_) => host_is_within(host, constraint),
                None => {
                    constraint.is_empty()
                        || host.eq_ignore_ascii_case(constraint)
                        || host_is_within(host, &format!(".{constraint}"))
                }
            })
        }
        (GeneralName::UniformResourceIdentifier(uri), GeneralName::UniformResourceIdentifier(constraint)) => {
            Some(host_is_within(uri_host(uri)?, constraint))
        }
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(constraint)) => {
            Some(DistinguishedName::is_within(name, constraint))
        }
        (GeneralName::IpAddress(address), GeneralName::IpAddress(constraint)) => address_is_within(address, constraint),
        _ => None,
    }
}

/// The two parts of an address; `None` unless there is exactly one `@`, so that nobody can read another host.
fn parts(address: &str) -> Option<(&str, &str)> {
    address.split_once('@').filter(|(_, host)| !host.contains('@'))
}

/// RFC 5280 section 4.2.1.10: an address and a mask of the same length, the mask in the style of CIDR (RFC 4632).
fn address_is_within(address: &[u8], constraint: &[u8]) -> Option<bool> {
    let (network, mask) = constraint.split_at_checked(constraint.len() / 2)?;
    if !matches!(constraint.len(), 8 | 32) || !matches!(address.len(), 4 | 16) {
        return None;
    }
    let ones = mask.iter().take_while(|octet| **octet == 0xff).count();
    let mut rest = mask.iter().skip(ones);
    let is_prefix = rest
        .next()
        .is_none_or(|octet| octet.leading_ones() + octet.trailing_zeros() >= 8)
        && rest.all(|octet| *octet == 0);
    if !is_prefix {
        return None;
    }
    let mut octets = address.iter().zip(network).zip(mask);
    Some(address.len() == network.len() && octets.all(|((address, network), mask)| address & mask == network & mask))
}

/// A constraint with a leading dot covers the hosts below, one without covers that host alone.
fn host_is_within(host: &str, constraint: &str) -> bool {
    if constraint.starts_with('.') {
        let split = host.len().checked_sub(constraint.len());
        split.is_some_and(|split| {
            split > 0
                && host
                    .get(split..)
                    .is_some_and(|suffix| suffix.eq_ignore_ascii_case(constraint))
        })
    } else {
        constraint.is_empty() || host.eq_ignore_ascii_case(constraint)
    }
}

/// RFC 5280 section 4.2.1.10: a URI constraint needs a host name; `None` for an address or no authority.
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let is_name = host.contains(|character: char| character.is_ascii_alphabetic());
    (is_name && !host.starts_with('[')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: GeneralName<'_>, subtree: GeneralName<'_>, expected: Option<bool>) {
        assert!(same_kind(&name, &subtree));
        assert_eq!(is_within(&name, &subtree), expected, "{name:?} in {subtree:?}");
    }

    #[test]
    fn mailboxes() {
        use GeneralName::{Rfc822Name, SmtpUtf8Mailbox};
        check(Rfc822Name("a@example.com"), Rfc822Name("example.com"), Some(true));
        check(Rfc822Name("a@EXAMPLE.com"), Rfc822Name("a@example.COM"), Some(true));
        check(Rfc822Name("A@example.com"), Rfc822Name("a@example.com"), Some(false));
        check(Rfc822Name("a@mail.example.com"), Rfc822Name("example.com"), Some(false));
        check(Rfc822Name("a@mail.example.com"), Rfc822Name(".example.com"), Some(true));
        check(Rfc822Name("a@example.com"), Rfc822Name(".example.com"), Some(false));
        check(Rfc822Name("a@notexample.com"), Rfc822Name("example.com"), Some(false));
        check(Rfc822Name("nobody"), Rfc822Name("example.com"), None);
        check(Rfc822Name("a@evil.test@example.com"), Rfc822Name("example.com"), None);
        check(SmtpUtf8Mailbox("ü@example.com"), Rfc822Name("example.com"), Some(true));
        check(
            SmtpUtf8Mailbox("ü@example.com"),
            Rfc822Name("u@example.com"),
            Some(false),
        );
        check(SmtpUtf8Mailbox("ü@example.org"), Rfc822Name("example.com"), Some(false));
        check(
            SmtpUtf8Mailbox("ü@example.org"),
            GeneralName::Other { tag: 0xa0, raw: &[] },
            None,
        );
    }

    #[test]
    fn addresses_of_hosts() {
        use GeneralName::IpAddress;
        check(
            IpAddress(&[192, 0, 2, 7]),
            IpAddress(&[192, 0, 2, 0, 255, 255, 255, 0]),
            Some(true),
        );
        check(
            IpAddress(&[192, 0, 3, 7]),
            IpAddress(&[192, 0, 2, 0, 255, 255, 255, 0]),
            Some(false),
        );
        check(
            IpAddress(&[192, 0, 2, 7]),
            IpAddress(&[192, 0, 2, 0, 255, 255, 255, 252]),
            Some(false),
        );
        check(IpAddress(&[1; 16]), IpAddress(&[0; 32]), Some(true));
        check(IpAddress(&[1; 4]), IpAddress(&[0; 32]), Some(false));
        for mask in [[255, 0, 255, 0], [0, 255, 0, 0], [5, 0, 0, 0]] {
            let constraint = [[0; 4], mask].concat();
            check(IpAddress(&[1; 4]), IpAddress(&constraint), None);
        }
        check(IpAddress(&[1; 5]), IpAddress(&[0; 8]), None);
        check(IpAddress(&[1; 4]), IpAddress(&[0; 9]), None);
    }

    #[test]
    fn hosts() {
        use GeneralName::{DnsName, UniformResourceIdentifier as Uri};
        check(DnsName("a.example.com"), DnsName("example.com"), Some(true));
        check(DnsName("aexample.com"), DnsName("example.com"), Some(false));
        check(DnsName("example.com"), DnsName(".example.com"), Some(false));
        check(DnsName("*.example.com"), DnsName("mail.example.com"), None);
        check(Uri("http://a.example.com/x"), Uri(".example.com"), Some(true));
        check(Uri("http://u@example.com:80"), Uri("example.com"), Some(true));
        check(Uri("http://192.0.2.1/"), Uri("example.com"), None);
        check(Uri("urn:x"), Uri("example.com"), None);
    }
}
