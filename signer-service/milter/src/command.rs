//! What a mail server says, one packet at a time.

use std::net::IpAddr;

use crate::ProtocolError;
use crate::negotiation::Offer;

/// A packet of the mail server, parsed. Text is octets: nobody promises UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'f> {
    Offer(Offer),
    /// Values of macros for the command that follows, whose code is `stage`.
    Macros {
        stage: u8,
        values: Vec<(&'f [u8], &'f [u8])>,
    },
    Connect {
        host: &'f [u8],
        address: Option<IpAddr>,
    },
    Helo(&'f [u8]),
    /// The reverse path as it was given, then parameters.
    Mail(Vec<&'f [u8]>),
    Rcpt(Vec<&'f [u8]>),
    Data,
    /// A command of SMTP that the mail server does not know.
    Unknown(&'f [u8]),
    Header {
        name: &'f [u8],
        value: &'f [u8],
    },
    EndOfHeader,
    Body(&'f [u8]),
    /// With what is left of the body.
    EndOfBody(&'f [u8]),
    /// The message is over, whatever was known of it is void; the connection goes on.
    Abort,
    Quit,
    /// The connection of the sender is over, and another may follow on this one.
    QuitForNewConnection,
}

impl<'f> Command<'f> {
    /// Parses a packet without its length.
    ///
    /// # Errors
    /// Unknown commands, missing terminators, data where none belongs.
    pub fn parse(frame: &'f [u8]) -> Result<Self, ProtocolError> {
        let (&code, data) = frame.split_first().ok_or(ProtocolError::FrameEmpty)?;
        let command = name_of(code).ok_or(ProtocolError::UnknownCommand { code })?;
        let malformed = |reason| ProtocolError::Malformed { command, reason };
        let nothing = |parsed| {
            if data.is_empty() {
                Ok(parsed)
            } else {
                Err(malformed("it carries data"))
            }
        };
        let strings = || strings(data).ok_or(malformed("its text is not terminated"));
        let string = || match *strings()?.as_slice() {
            [one] => Ok(one),
            _ => Err(malformed("it carries not exactly one text")),
        };
        match code {
            OFFER => {
                let (words, []) = data.as_chunks::<4>() else {
                    return Err(malformed("it has not three numbers"));
                };
                let [version, actions, steps] = *words else {
                    return Err(malformed("it has not three numbers"));
                };
                Ok(Self::Offer(Offer {
                    version: u32::from_be_bytes(version),
                    actions: u32::from_be_bytes(actions),
                    steps: u32::from_be_bytes(steps),
                }))
            }
            b'D' => {
                let (&stage, rest) = data.split_first().ok_or(malformed("it names no command"))?;
                let texts = self::strings(rest).ok_or(malformed("its text is not terminated"))?;
                let (pairs, []) = texts.as_chunks::<2>() else {
                    return Err(malformed("a macro has no value"));
                };
                if pairs.len() > MOST_MACROS {
                    return Err(ProtocolError::TooManyMacros { limit: MOST_MACROS });
                }
                let values = pairs.iter().map(|[name, value]| (*name, *value)).collect();
                Ok(Self::Macros { stage, values })
            }
            b'C' => connect(data).map_err(malformed),
            b'H' => Ok(Self::Helo(string()?)),
            b'M' | b'R' => {
                let words = strings()?;
                if words.is_empty() {
                    return Err(malformed("it has no address"));
                }
                Ok(if code == b'M' {
                    Self::Mail(words)
                } else {
                    Self::Rcpt(words)
                })
            }
            b'T' => nothing(Self::Data),
            b'U' => Ok(Self::Unknown(string()?)),
            b'L' => match *strings()?.as_slice() {
                [name, value] => Ok(Self::Header { name, value }),
                _ => Err(malformed("it has not exactly a name and a value")),
            },
            b'N' => nothing(Self::EndOfHeader),
            b'B' => Ok(Self::Body(data)),
            b'E' => Ok(Self::EndOfBody(data)),
            b'A' => nothing(Self::Abort),
            b'Q' => nothing(Self::Quit),
            b'K' => nothing(Self::QuitForNewConnection),
            _ => Err(ProtocolError::UnknownCommand { code }),
        }
    }

    /// For messages to people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offer(_) => "OPTNEG",
            Self::Macros { .. } => "MACRO",
            Self::Connect { .. } => "CONNECT",
            Self::Helo(_) => "HELO",
            Self::Mail(_) => "MAIL",
            Self::Rcpt(_) => "RCPT",
            Self::Data => "DATA",
            Self::Unknown(_) => "UNKNOWN",
            Self::Header { .. } => "HEADER",
            Self::EndOfHeader => "EOH",
            Self::Body(_) => "BODY",
            Self::EndOfBody(_) => "BODYEOB",
            Self::Abort => "ABORT",
            Self::Quit => "QUIT",
            Self::QuitForNewConnection => "QUIT_NC",
        }
    }
}

const fn name_of(code: u8) -> Option<&'static str> {
    Some(match code {
        OFFER => "OPTNEG",
        b'D' => "MACRO",
        b'C' => "CONNECT",
        b'H' => "HELO",
        b'M' => "MAIL",
        b'R' => "RCPT",
        b'T' => "DATA",
        b'U' => "UNKNOWN",
        b'L' => "HEADER",
        b'N' => "EOH",
        b'B' => "BODY",
        b'E' => "BODYEOB",
        b'A' => "ABORT",
        b'Q' => "QUIT",
        b'K' => "QUIT_NC",
        _ => return None,
    })
}

/// Texts that each end in NUL; `None` if the last one does not.
fn strings(data: &[u8]) -> Option<Vec<&[u8]>> {
    if data.is_empty() {
        return Some(Vec::new());
    }
    let texts = data.strip_suffix(b"\0")?;
    Some(texts.split(|octet| *octet == 0).collect())
}

/// Host name, family, and for the families that have one a port and an address.
fn connect(data: &[u8]) -> Result<Command<'_>, &'static str> {
    let end = data
        .iter()
        .position(|octet| *octet == 0)
        .ok_or("its text is not terminated")?;
    let (host, rest) = (&data[..end], &data[end + 1..]);
    let (&family, rest) = rest.split_first().ok_or("it has no address family")?;
    if family == b'U' {
        // Nobody knows where this comes from.
        return Ok(Command::Connect { host, address: None });
    }
    let (_port, rest) = rest.split_first_chunk::<2>().ok_or("it has no port")?;
    let [address] = *strings(rest).ok_or("its text is not terminated")?.as_slice() else {
        return Err("it has not exactly one address");
    };
    let address = match family {
        // A path of the mail server's machine.
        b'L' => None,
        b'4' | b'6' => {
            let text = str::from_utf8(address).map_err(|_| "its address is not one")?;
            // Sendmail writes addresses of RFC 5321 section 4.1.3 here.
            let text = text
                .get(..5)
                .filter(|prefix| prefix.eq_ignore_ascii_case("IPv6:"))
                .map_or(text, |prefix| &text[prefix.len()..]);
            Some(text.parse().map_err(|_| "its address is not one")?)
        }
        _ => return Err("its address family is unknown"),
    };
    Ok(Command::Connect { host, address })
}

pub(crate) const OFFER: u8 = b'O';

/// Postfix and Sendmail define some fifty.
const MOST_MACROS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &[u8], expected: Command<'_>) {
        assert_eq!(Command::parse(frame), Ok(expected));
    }

    #[test]
    fn every_command() {
        check(
            b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff",
            Command::Offer(Offer {
                version: 6,
                actions: 0x1ff,
                steps: 0x1f_ffff,
            }),
        );
        check(
            b"DMi\0ABC\0{auth_authen}\0alice\0",
            Command::Macros {
                stage: b'M',
                values: vec![(b"i", b"ABC"), (b"{auth_authen}", b"alice")],
            },
        );
        check(
            b"DC",
            Command::Macros {
                stage: b'C',
                values: vec![],
            },
        );
        let connect = |host, address: &str| Command::Connect {
            host,
            address: Some(address.parse().unwrap()),
        };
        check(b"Chost\x004\x12\x34192.0.2.1\0", connect(b"host", "192.0.2.1"));
        check(b"Chost\x006\x12\x34IPv6:2001:db8::1\0", connect(b"host", "2001:db8::1"));
        check(b"C\x006\0\0::1\0", connect(b"", "::1"));
        for unknown in [&b"Chost\0U"[..], b"Chost\0L\0\0/run/x\0"] {
            check(
                unknown,
                Command::Connect {
                    host: b"host",
                    address: None,
                },
            );
        }
        check(b"Hmail.example\0", Command::Helo(b"mail.example"));
        check(b"M<a@b.c>\0SIZE=1\0", Command::Mail(vec![b"<a@b.c>", b"SIZE=1"]));
        check(b"R<a@b.c>\0", Command::Rcpt(vec![b"<a@b.c>"]));
        check(b"T", Command::Data);
        check(b"UVRFY\0", Command::Unknown(b"VRFY"));
        check(
            b"LSubject\0 a\n b\0",
            Command::Header {
                name: b"Subject",
                value: b" a\n b",
            },
        );
        check(
            b"LX-Empty\0\0",
            Command::Header {
                name: b"X-Empty",
                value: b"",
            },
        );
        check(b"N", Command::EndOfHeader);
        check(b"Ba\0b", Command::Body(b"a\0b"));
        check(b"E", Command::EndOfBody(b""));
        check(b"Erest", Command::EndOfBody(b"rest"));
        check(b"A", Command::Abort);
        check(b"Q", Command::Quit);
        check(b"K", Command::QuitForNewConnection);
    }

    #[test]
    fn malformed_packets_are_refused() {
        for frame in [
            &b""[..],
            b"O",
            b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff",
            b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff\0",
            b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff\0\0\0\0",
            b"D",
            b"DMi",
            b"DMi\0",
            b"DMi\0v",
            b"DMi\0v\0j\0",
            b"C",
            b"Chost",
            b"Chost\0",
            b"Chost\x004",
            b"Chost\x004\0",
            b"Chost\x004\0\0",
            b"Chost\x004\0\x00192.0.2.1",
            b"Chost\x004\0\x00192.0.2.256\0",
            b"Chost\x004\0\x00192.0.2.1\x00192.0.2.2\0",
            b"Chost\x006\0\0IPv6:\0",
            b"Chost\x006\0\0\xff\0",
            b"ChostX\0X\0\0a\0",
            b"H",
            b"Hmail",
            b"Hmail\0more\0",
            b"M",
            b"M<a@b.c>",
            b"R",
            b"T\0",
            b"U",
            b"L",
            b"LSubject",
            b"LSubject\0",
            b"LSubject\0 a",
            b"LSubject\0 a\0b\0",
            b"N\0",
            b"A ",
            b"Q\0",
            b"K\0",
        ] {
            assert!(Command::parse(frame).is_err(), "{:?}", String::from_utf8_lossy(frame));
        }
        for code in (0..=u8::MAX).filter(|code| !b"OABCDEHKLMNQRTU".contains(code)) {
            assert_eq!(
                Command::parse(&[code, 0, 0, 0]),
                Err(ProtocolError::UnknownCommand { code })
            );
        }
        let many = [&b"DM"[..], &b"i\0v\0".repeat(MOST_MACROS + 1)].concat();
        assert_eq!(
            Command::parse(&many),
            Err(ProtocolError::TooManyMacros { limit: MOST_MACROS })
        );
    }

    #[test]
    fn no_octets_make_it_panic() {
        let seeds: [&[u8]; 5] = [
            b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff",
            b"DMi\0ABC\0{auth_authen}\0alice\0",
            b"Chost\x006\x12\x34IPv6:2001:db8::1\0",
            b"M<a@b.c>\0SIZE=1\0",
            b"LSubject\0 a\n b\0",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..200_000 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut frame = seeds[round % seeds.len()].to_vec();
            let [at, octet, cut, ..] = state.to_le_bytes();
            let at = usize::from(at) % frame.len();
            frame[at] = octet;
            frame.truncate(frame.len() - usize::from(cut) % 4);
            let _ = Command::parse(&frame);
        }
    }
}
