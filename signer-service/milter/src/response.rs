//! What the filter says: answers, and changes to a message.

use crate::frame::{self, LONGEST_FRAME};
use crate::negotiation::Agreement;

/// The answer to a command of the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Continue,
    /// The message goes on as it is, without being looked at further.
    Accept,
    /// 4xx in the words of the mail server.
    TemporaryFailure,
    /// 5xx in the words of the mail server.
    Reject,
    Reply(Reply),
}

/// A reply in the filter's own words: 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: [u16; 3],
    lines: Vec<String>,
}

impl Reply {
    /// `None` unless `code` is 400 to 599 and `enhanced` (RFC 3463) is of the same class.
    ///
    /// Lines are cut at [`LONGEST_LINE`] octets and [`MOST_LINES`], and what is not printable ASCII becomes `?`:
    /// both mail servers ignore a reply that breaks these rules, and answer in their own words.
    pub fn new(code: u16, enhanced: [u16; 3], text: &str) -> Option<Self> {
        if !(400..=599).contains(&code) || enhanced[0] != code / 100 {
            return None;
        }
        let printable = |character: char| match character {
            ' '..='~' => character,
            _ => '?',
        };
        let mut lines: Vec<String> = text
            .lines()
            .take(MOST_LINES)
            .map(|line| line.chars().map(printable).take(LONGEST_LINE).collect())
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Some(Self { code, enhanced, lines })
    }

    fn text(&self) -> String {
        let [class, subject, detail] = self.enhanced;
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let (separator, end) = if number + 1 == self.lines.len() {
                (' ', "")
            } else {
                ('-', "\r\n")
            };
            // Mail servers take the text for a format, in which a percent sign stands twice.
            let line = line.replace('%', "%%");
            text.push_str(&format!(
                "{}{separator}{class}.{subject}.{detail} {line}{end}",
                self.code
            ));
        }
        text
    }
}

impl Answer {
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Continue => frame::write(out, b'c', &[]),
            Self::Accept => frame::write(out, b'a', &[]),
            Self::TemporaryFailure => frame::write(out, b't', &[]),
            Self::Reject => frame::write(out, b'r', &[]),
            Self::Reply(reply) => frame::write(out, b'y', &[reply.text().as_bytes(), b"\0"]),
        }
    }
}

/// Tells the mail server that the answer to the end of a message is still being worked on.
pub fn write_progress(out: &mut Vec<u8>) {
    frame::write(out, b'p', &[]);
}

/// A change to a message, said between its end and the answer to that.
///
/// Values of fields stand as they stand in a message: the blank after the colon, CRLF and a blank where a line is
/// folded, no CRLF at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modification {
    /// Below all other fields.
    AddField {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// Above all other fields.
    InsertField {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// `occurrence` counts the fields of that name, from 1.
    ChangeField {
        occurrence: u32,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    DeleteField {
        occurrence: u32,
        name: Vec<u8>,
    },
    /// All of it, with CRLF.
    ReplaceBody(Vec<u8>),
}

/// A header field that fits into no packet, or that would end up as something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header field {name} cannot be written for the mail server")]
pub struct UnwritableField {
    pub name: String,
}

impl Modification {
    /// Appends the packets for this change.
    ///
    /// # Errors
    /// [`UnwritableField`]; nothing was appended.
    pub fn write(&self, agreement: Agreement, out: &mut Vec<u8>) -> Result<(), UnwritableField> {
        match self {
            Self::AddField { name, value } => {
                let value = written(agreement, name, value)?;
                frame::write(out, b'h', &[name, b"\0", &value, b"\0"]);
            }
            Self::InsertField { name, value } => {
                let value = written(agreement, name, value)?;
                frame::write(out, b'i', &[&0_u32.to_be_bytes(), name, b"\0", &value, b"\0"]);
            }
            Self::ChangeField {
                occurrence,
                name,
                value,
            } => {
                let value = written(agreement, name, value)?;
                if value.is_empty() {
                    // That would delete it.
                    return Err(unwritable(name));
                }
                frame::write(out, b'm', &[&occurrence.to_be_bytes(), name, b"\0", &value, b"\0"]);
            }
            Self::DeleteField { occurrence, name } => {
                written(agreement, name, b"")?;
                frame::write(out, b'm', &[&occurrence.to_be_bytes(), name, b"\0\0"]);
            }
            Self::ReplaceBody(body) => {
                if body.is_empty() {
                    frame::write(out, b'b', &[]);
                }
                for chunk in body.chunks(LONGEST_CHUNK) {
                    frame::write(out, b'b', &[chunk]);
                }
            }
        }
        Ok(())
    }
}

/// The value as mail servers take it: folded with LF, and without its first blank if they put it there themselves.
fn written(agreement: Agreement, name: &[u8], value: &[u8]) -> Result<Vec<u8>, UnwritableField> {
    let name_fits = !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic() && *octet != b':');
    let mut written = Vec::with_capacity(value.len());
    for (number, line) in value.split(|octet| *octet == b'\n').enumerate() {
        let is_folded = number == 0 || matches!(line.first(), Some(b' ' | b'\t'));
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !is_folded || line.iter().any(|octet| matches!(octet, b'\r' | 0)) {
            return Err(unwritable(name));
        }
        if number > 0 {
            written.push(b'\n');
        }
        written.extend_from_slice(line);
    }
    if !agreement.keeps_leading_space() && written.first() == Some(&b' ') {
        written.remove(0);
    }
    if !name_fits || name.len() + written.len() + 16 > LONGEST_FRAME {
        return Err(unwritable(name));
    }
    Ok(written)
}

fn unwritable(name: &[u8]) -> UnwritableField {
    let name = String::from_utf8_lossy(name).chars().take(SHOWN_CHARACTERS).collect();
    UnwritableField { name }
}

/// What libmilter takes; Sendmail cuts at 990 altogether.
pub const LONGEST_LINE: usize = 900;
pub const MOST_LINES: usize = 32;

/// Of a new body in one packet: what every version of the protocol takes.
pub const LONGEST_CHUNK: usize = 65_535;

const SHOWN_CHARACTERS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::Offer;

    fn agreement(steps: u32) -> Agreement {
        let offer = Offer {
            version: 6,
            actions: 0x1ff,
            steps,
        };
        offer.accept().unwrap()
    }

    #[track_caller]
    fn check(modification: &Modification, steps: u32, expected: &[u8]) {
        let mut out = Vec::new();
        modification.write(agreement(steps), &mut out).unwrap();
        assert_eq!(out[4..], *expected, "{:?}", String::from_utf8_lossy(&out[4..]));
        assert_eq!(usize::from(out[3]), expected.len());
    }

    const EVERYTHING: u32 = 0x1f_ffff;
    const OLD: u32 = 0x7f;

    #[test]
    fn folds_are_written_with_lf_and_the_blank_where_it_was_agreed() {
        let change = |value: &[u8]| Modification::ChangeField {
            occurrence: 2,
            name: b"Received".to_vec(),
            value: value.to_vec(),
        };
        check(&change(b" a;\r\n b"), EVERYTHING, b"m\0\0\0\x02Received\0 a;\n b\0");
        check(&change(b" a;\n\tb"), OLD, b"m\0\0\0\x02Received\0a;\n\tb\0");
        check(&change(b"a"), EVERYTHING, b"m\0\0\0\x02Received\0a\0");
        let (name, value) = (b"X".to_vec(), b"  y".to_vec());
        let add = Modification::AddField {
            name: name.clone(),
            value: value.clone(),
        };
        check(&add, EVERYTHING, b"hX\0  y\0");
        check(&add, OLD, b"hX\0 y\0");
        check(
            &Modification::InsertField {
                name: name.clone(),
                value,
            },
            EVERYTHING,
            b"i\0\0\0\0X\0  y\0",
        );
        check(
            &Modification::DeleteField { occurrence: 1, name },
            EVERYTHING,
            b"m\0\0\0\x01X\0\0",
        );
    }

    #[test]
    fn fields_that_would_become_others_are_refused() {
        let long = vec![b'x'; LONGEST_FRAME];
        for (name, value) in [
            (&b"X"[..], &b" a\r\nBcc: b"[..]),
            (b"X", b" a\r\n\r\n b"),
            (b"X", b" a\n\n b"),
            (b"X", b" a\rb"),
            (b"X", b" a\0b"),
            (b"X", b" a\r\n"),
            (b"", b" a"),
            (b"X Y", b" a"),
            (b"X:", b" a"),
            (b"X\0", b" a"),
            (b"X\xff", b" a"),
            (b"X", &long),
        ] {
            for modification in [
                Modification::AddField {
                    name: name.to_vec(),
                    value: value.to_vec(),
                },
                Modification::InsertField {
                    name: name.to_vec(),
                    value: value.to_vec(),
                },
                Modification::ChangeField {
                    occurrence: 1,
                    name: name.to_vec(),
                    value: value.to_vec(),
                },
            ] {
                let mut out = Vec::new();
                assert!(modification.write(agreement(EVERYTHING), &mut out).is_err());
                assert!(out.is_empty());
            }
        }
        let emptied = Modification::ChangeField {
            occurrence: 1,
            name: b"X".to_vec(),
            value: b" ".to_vec(),
        };
        assert!(
            emptied.write(agreement(OLD), &mut Vec::new()).is_err(),
            "it would be deleted"
        );
    }

    #[test]
    fn bodies_are_cut_into_chunks() {
        let body: Vec<u8> = (0..=u8::MAX).cycle().take(200_000).collect();
        let mut out = Vec::new();
        Modification::ReplaceBody(body.clone())
            .write(agreement(EVERYTHING), &mut out)
            .unwrap();
        let mut frames = frame::Frames::default();
        frames.receive_buffer().extend_from_slice(&out);
        let mut joined = Vec::new();
        let mut count = 0;
        while let Some(frame) = frames.next_frame().unwrap() {
            assert!(frame[0] == b'b' && frame.len() <= 65_536);
            joined.extend_from_slice(&frame[1..]);
            count += 1;
        }
        assert_eq!((count, joined), (4, body));
        check(&Modification::ReplaceBody(Vec::new()), EVERYTHING, b"b");
    }

    #[test]
    fn replies_are_what_mail_servers_take() {
        let reply = |code, enhanced, text: &str| {
            let mut out = Vec::new();
            Answer::Reply(Reply::new(code, enhanced, text).unwrap()).write(&mut out);
            String::from_utf8(out[4..].to_vec()).unwrap()
        };
        assert_eq!(reply(550, [5, 7, 1], "100 % no"), "y550 5.7.1 100 %% no\0");
        assert_eq!(
            reply(451, [4, 3, 0], "one\r\ntwo\tü"),
            "y451-4.3.0 one\r\n451 4.3.0 two??\0"
        );
        assert_eq!(reply(550, [5, 0, 0], ""), "y550 5.0.0 \0");
        assert_eq!(reply(550, [5, 0, 0], &"x\n".repeat(100)).lines().count(), MOST_LINES);
        assert!(reply(550, [5, 0, 0], &"x".repeat(5000)).len() < 990);
        for (code, enhanced) in [
            (250, [2, 0, 0]),
            (399, [3, 0, 0]),
            (600, [6, 0, 0]),
            (550, [4, 0, 0]),
            (450, [5, 0, 0]),
        ] {
            assert_eq!(Reply::new(code, enhanced, "text"), None);
        }
    }
}
