//! XCLIENT and XFORWARD, with which a mail server that is trusted tells of the client behind it. The syntax is that
//! of Postfix (XCLIENT_README, XFORWARD_README).

use std::net::IpAddr;

use super::peer::Hello;
use crate::reply::Reply;

/// What a client may say of the clients behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// XCLIENT: the session goes on as if it were the client that is named, with its address and its login.
    pub xclient: bool,
    /// XFORWARD: for the record, where a message came from.
    pub xforward: bool,
}

/// Where a message came from, as the host that forwards it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub name: Option<String>,
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    pub helo: Option<String>,
    pub protocol: Option<String>,
    /// The queue identifier over there.
    pub ident: Option<String>,
    pub source: Option<OriginSource>,
}

/// Whether the message came to the forwarding host from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginSource {
    Local,
    Remote,
}

/// What XCLIENT says; what it does not mention stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    /// `Some(None)` takes back what was known.
    pub(super) name: Option<Option<String>>,
    pub(super) helo: Option<String>,
    pub(super) hello: Option<Hello>,
    pub(super) login: Option<Option<String>>,
}

impl Claims {
    pub(super) fn parse(words: &str) -> Result<Self, Reply> {
        let mut claims = Self::default();
        for (name, value) in attributes(words)? {
            match (name.as_str(), value) {
                ("NAME", value) => claims.name = Some(value.map(host).transpose()?),
                ("ADDR", value) => claims.address = value.map(address).transpose()?,
                ("PORT", value) => claims.port = value.map(port).transpose()?,
                ("HELO", value) => claims.helo = value.map(host).transpose()?,
                ("PROTO", None) => claims.hello = None,
                ("PROTO", Some(value)) => {
                    claims.hello = Some(match value.as_str() {
                        "SMTP" => Hello::Helo,
                        "ESMTP" => Hello::Ehlo,
                        _ => return Err(bad_value("PROTO")),
                    });
                }
                ("LOGIN", value) => claims.login = Some(value),
                (name, _) => return Err(unknown(name)),
            }
        }
        Ok(claims)
    }
}

impl Origin {
    /// Takes what one XFORWARD command says; there may be several for one message.
    pub(super) fn add(&mut self, words: &str) -> Result<(), Reply> {
        let mut origin = self.clone();
        for (name, value) in attributes(words)? {
            match name.as_str() {
                "NAME" => origin.name = value.map(host).transpose()?,
                "ADDR" => origin.address = value.map(address).transpose()?,
                "PORT" => origin.port = value.map(port).transpose()?,
                // Others take names here that we would not, and this is for the record.
                "HELO" => origin.helo = value,
                "PROTO" => origin.protocol = value,
                "IDENT" => origin.ident = value,
                "SOURCE" => {
                    origin.source = match value.as_deref() {
                        None => None,
                        Some("LOCAL") => Some(OriginSource::Local),
                        Some("REMOTE") => Some(OriginSource::Remote),
                        Some(_) => return Err(bad_value("SOURCE")),
                    };
                }
                name => return Err(unknown(name)),
            }
        }
        *self = origin;
        Ok(())
    }
}

/// `NAME=value` words; a value that is not known at the other end is `None`.
fn attributes(words: &str) -> Result<Vec<(String, Option<String>)>, Reply> {
    let mut attributes: Vec<(String, Option<String>)> = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').ok_or_else(|| syntax("Say NAME=value"))?;
        let name = name.to_ascii_uppercase();
        if attributes.iter().any(|(earlier, _)| *earlier == name) {
            return Err(syntax("An attribute is given twice"));
        }
        let value = match value.to_ascii_uppercase().as_str() {
            "[UNAVAILABLE]" | "[TEMPUNAVAIL]" => None,
            _ => Some(decode_xtext(value).ok_or_else(|| bad_value(&name))?),
        };
        attributes.push((name, value));
    }
    match attributes.is_empty() {
        true => Err(syntax("Say NAME=value")),
        false => Ok(attributes),
    }
}

/// RFC 3461 section 4: visible ASCII, with `+` and two digits for everything else.
pub(super) fn decode_xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        octets.push(match byte {
            b'+' => hexadecimal(rest.next()?)? * 16 + hexadecimal(rest.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        });
    }
    let decoded = String::from_utf8(octets).ok()?;
    let is_sound = (1..=MAX_VALUE_OCTETS).contains(&decoded.len()) && !decoded.chars().any(char::is_control);
    is_sound.then_some(decoded)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        // Not of the RFC, but Postfix takes it.
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The same characters as in EHLO, since it goes to the same places.
fn host(value: String) -> Result<String, Reply> {
    match value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    {
        true => Ok(value),
        false => Err(syntax("That is not the name of a host")),
    }
}

fn address(value: String) -> Result<IpAddr, Reply> {
    let has_prefix = value
        .get(..5)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("IPV6:"));
    let address = if has_prefix { &value[5..] } else { &value };
    match address.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() || !has_prefix => Ok(address),
        _ => Err(bad_value("ADDR")),
    }
}

fn port(value: String) -> Result<u16, Reply> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let port = if is_number { value.parse().ok() } else { None };
    port.ok_or_else(|| bad_value("PORT"))
}

fn syntax(text: &str) -> Reply {
    Reply::new(501, Some([5, 5, 4]), text)
}

fn bad_value(name: &str) -> Reply {
    syntax(&format!("{name} has no valid value"))
}

fn unknown(name: &str) -> Reply {
    syntax(&format!("The attribute {name} was not announced"))
}

/// As they are announced.
pub(super) const XCLIENT: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN";
pub(super) const XFORWARD: &str = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";
/// As Postfix has it for the whole command line.
const MAX_VALUE_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_understood() {
        let claims = Claims::parse("NAME=spike.test addr=192.0.2.7 PORT=25 PROTO=ESMTP HELO=a+2Eb LOGIN=a+40b+3Dc");
        let expected = Claims {
            address: Some(IpAddr::from([192, 0, 2, 7])),
            port: Some(25),
            name: Some(Some("spike.test".to_owned())),
            helo: Some("a.b".to_owned()),
            hello: Some(Hello::Ehlo),
            login: Some(Some("a@b=c".to_owned())),
        };
        assert_eq!(claims, Ok(expected));
        let claims = Claims::parse("NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 LOGIN=[tempunavail]").expect("sound");
        assert_eq!((claims.name, claims.login), (Some(None), Some(None)));
        assert_eq!(claims.address, "2001:db8::1".parse().ok());
        assert_eq!(Claims::parse("ADDR=[UNAVAILABLE]"), Ok(Claims::default()));
    }

    #[test]
    fn an_origin_may_come_in_parts() {
        let mut origin = Origin::default();
        origin
            .add("NAME=a.test ADDR=192.0.2.1 PORT=[UNAVAILABLE]")
            .expect("sound");
        origin
            .add("HELO=<odd> PROTO=SMTP IDENT=4X SOURCE=LOCAL")
            .expect("sound");
        let expected = Origin {
            name: Some("a.test".to_owned()),
            address: Some(IpAddr::from([192, 0, 2, 1])),
            port: None,
            helo: Some("<odd>".to_owned()),
            protocol: Some("SMTP".to_owned()),
            ident: Some("4X".to_owned()),
            source: Some(OriginSource::Local),
        };
        assert_eq!(origin, expected);
        // A command that is refused changes nothing.
        assert!(origin.add("NAME=b.test SOURCE=ELSEWHERE").is_err());
        assert_eq!(origin, expected);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for words in [
            "",
            " ",
            "NAME",
            "NAME=",
            "=x",
            "NAME=a NAME=b",
            "NAME=a name=b",
            "NAME=a=b",
            "NAME=a+",
            "NAME=a+4",
            "NAME=a+4G",
            "NAME=a+0D+0AMAIL",
            "NAME=a+FF",
            "NAME=a\u{e4}",
            "NAME=a+20b",
            "ADDR=localhost",
            "ADDR=192.0.2",
            "ADDR=192.0.2.1:25",
            "ADDR=IPV6:192.0.2.1",
            "ADDR=IPV4:192.0.2.1",
            "PORT=65536",
            "PORT=+31x",
            "PORT=-1",
            "HELO=a+28b",
            "UNKNOWN=x",
            "SOURCE=ELSEWHERE",
        ] {
            let claims = Claims::parse(words).expect_err(words);
            assert_eq!(claims.code(), 501, "{words}");
            if words != "HELO=a+28b" {
                assert_eq!(Origin::default().add(words).expect_err(words).code(), 501, "{words}");
            }
        }
        for words in ["PROTO=LMTP", "IDENT=x", "SOURCE=LOCAL"] {
            assert_eq!(Claims::parse(words).expect_err(words).code(), 501, "{words}");
        }
        assert_eq!(
            Origin::default().add("LOGIN=root").expect_err("only XCLIENT").code(),
            501
        );
        let long = format!("IDENT={}", "x".repeat(256));
        assert!(Origin::default().add(&long).is_err());
    }
}
