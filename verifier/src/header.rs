//! The header block of a message or of a MIME part, split on bytes (RFC 5322 section 2.2).
//!
//! Whoever signs and whoever verifies must see the same fields, so what programs read in different ways is refused:
//! a line without a colon, space before the colon, an empty folded line, NUL, a bare CR or LF.

pub(crate) mod confusable;
pub mod date;
mod display_name;
mod sender;

use thiserror::Error;

pub use self::sender::{FromProblem, Sender, sender};
pub(crate) use self::sender::{is_deceptive, one_mailbox};

/// The fields in front of the first empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderBlock<'a> {
    fields: Vec<Field<'a>>,
}

/// One header field as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a str,
    raw_value: &'a [u8],
}

/// Why bytes are not a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// A header block beyond [`MAXIMUM_HEADER_BYTES`].
    #[error("the header block is longer than {MAXIMUM_HEADER_BYTES} bytes")]
    TooLong,
    /// More fields than [`MAXIMUM_FIELDS`].
    #[error("the header block has more than {MAXIMUM_FIELDS} fields")]
    TooManyFields,
    /// CR without LF, or LF without CR.
    #[error("line {line} of the header block has a carriage return or line feed that is not part of a line end")]
    BareLineEnd {
        /// Counted from 1.
        line: usize,
    },
    /// A NUL byte.
    #[error("line {line} of the header block contains a NUL byte")]
    Nul {
        /// Counted from 1.
        line: usize,
    },
    /// Neither a field nor a continuation.
    #[error("line {line} of the header block is neither a field nor the continuation of one")]
    NotAField {
        /// Counted from 1.
        line: usize,
    },
    /// A continuation of nothing but white space, which some readers take for the end of the header block.
    #[error("line {line} of the header block is a continuation of nothing but white space")]
    BlankContinuation {
        /// Counted from 1.
        line: usize,
    },
}

impl<'a> HeaderBlock<'a> {
    /// Splits a message or part into its header block and its body.
    ///
    /// Lines end in CRLF. The body begins after the first empty line; a message without one is all header. A part may
    /// have no field at all (RFC 2046 section 5.1): then it begins with the empty line.
    ///
    /// # Errors
    ///
    /// [`HeaderProblem`] for anything that readers could split differently, and beyond the size limits.
    pub fn parse(message: &'a [u8]) -> Result<(Self, &'a [u8]), HeaderProblem> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut rest = message;
        let mut line_number = 0;
        // Where the value of the field being read begins, and how long it is with all its continuations so far.
        let mut value: Option<(&'a str, &'a [u8], usize)> = None;
        loop {
            line_number += 1;
            if message.len() - rest.len() > MAXIMUM_HEADER_BYTES {
                return Err(HeaderProblem::TooLong);
            }
            let (line, after, ended) = next_line(rest);
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
                return Err(HeaderProblem::BareLineEnd { line: line_number });
            }
            if line.contains(&0) {
                return Err(HeaderProblem::Nul { line: line_number });
            }
            let is_continuation = matches!(line.first(), Some(b' ' | b'\t'));
            if !is_continuation && let Some((name, start, length)) = value.take() {
                if fields.len() == MAXIMUM_FIELDS {
                    return Err(HeaderProblem::TooManyFields);
                }
                fields.push(Field {
                    name,
                    raw_value: start.get(..length).unwrap_or(start),
                });
            }
            if line.is_empty() {
                return Ok((Self { fields }, after));
            }
            if is_continuation {
                if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                    return Err(HeaderProblem::BlankContinuation { line: line_number });
                }
                let Some((_, _, length)) = &mut value else {
                    return Err(HeaderProblem::NotAField { line: line_number });
                };
                // The CRLF before this line, then the line.
                *length += 2 + line.len();
            } else {
                let not_a_field = HeaderProblem::NotAField { line: line_number };
                let colon = line.iter().position(|byte| *byte == b':').ok_or(not_a_field)?;
                let (name, start) = (line.get(..colon), rest.get(colon + 1..));
                let (Some(name), Some(start)) = (name, start) else {
                    return Err(not_a_field);
                };
                // RFC 5322 section 2.2: printable US-ASCII except colon; so no space before the colon either.
                if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
                    return Err(not_a_field);
                }
                let name = str::from_utf8(name).map_err(|_| not_a_field)?;
                value = Some((name, start, line.len() - colon - 1));
            }
            if !ended {
                // No empty line follows: everything was header. Come back once more to close the last field.
                rest = &[];
                continue;
            }
            rest = after;
        }
    }

    /// All fields in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The fields with this name, compared without regard to case.
    pub fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Field<'a>> + 'b {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
    }
}

impl<'a> Field<'a> {
    /// The name as written.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Everything after the colon, folds included, without the last line end.
    pub fn raw_value(&self) -> &'a [u8] {
        self.raw_value
    }

    /// The value with its folds undone (RFC 5322 section 2.2.3) and white space at both ends removed.
    pub fn unfolded(&self) -> Vec<u8> {
        let unfolded: Vec<u8> = self
            .raw_value
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .collect();
        unfolded.trim_ascii().to_vec()
    }
}

/// The line in front, what follows its CRLF, and whether there was a CRLF.
fn next_line(input: &[u8]) -> (&[u8], &[u8], bool) {
    match input.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => (
            input.get(..end).unwrap_or_default(),
            input.get(end + 2..).unwrap_or_default(),
            true,
        ),
        None => (input, &[], false),
    }
}

/// Octets of a header block. Source: own choice; more than real mail systems accept (Postfix `header_size_limit` is
/// 102,400), and RFC 5322 sets none.
pub const MAXIMUM_HEADER_BYTES: usize = 256 * 1024;
/// Fields of a header block. Source: own choice; RFC 5322 section 3.6 sets none, and mail that crossed many systems has some
/// 150 (Postfix passes on at most 50 of them that are Received, `hopcount_limit`).
pub const MAXIMUM_FIELDS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    type Split<'a> = (&'a [(&'a str, &'a str)], &'a [u8]);

    fn check(input: &[u8], expected: Result<Split<'_>, HeaderProblem>) {
        let got = HeaderBlock::parse(input).map(|(block, body)| {
            let fields: Vec<(String, String)> = block
                .fields()
                .iter()
                .map(|field| {
                    (
                        field.name().to_owned(),
                        String::from_utf8_lossy(&field.unfolded()).into_owned(),
                    )
                })
                .collect();
            (fields, body)
        });
        let expected = expected.map(|(fields, body)| {
            (
                fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                body,
            )
        });
        assert_eq!(got, expected, "{}", input.escape_ascii());
    }

    #[test]
    fn fields_folds_and_body() {
        check(b"A: 1\r\nB:2\r\n\r\nbody", Ok((&[("A", "1"), ("B", "2")], b"body")));
        check(b"A: 1\r\n 2\r\n\t3\r\n\r\n", Ok((&[("A", "1 2\t3")], b"")));
        check(b"\r\nbody", Ok((&[], b"body")));
        check(b"A: 1", Ok((&[("A", "1")], b"")));
        check(b"A: 1\r\n", Ok((&[("A", "1")], b"")));
        check(b"A:\r\n x\r\n\r\n\r\n", Ok((&[("A", "x")], b"\r\n")));
        check(b"", Ok((&[], b"")));
    }

    #[test]
    fn what_readers_split_differently_is_refused() {
        check(b"A: 1\nB: 2\r\n\r\n", Err(HeaderProblem::BareLineEnd { line: 1 }));
        check(
            b"A: 1\r\nB: 2\rC: 3\r\n\r\n",
            Err(HeaderProblem::BareLineEnd { line: 2 }),
        );
        check(b"A: 1\r\r\n\r\n", Err(HeaderProblem::BareLineEnd { line: 1 }));
        check(b"A: \x001\r\n\r\n", Err(HeaderProblem::Nul { line: 1 }));
        check(b" A: 1\r\n\r\n", Err(HeaderProblem::NotAField { line: 1 }));
        check(
            b"A: 1\r\n \t \r\nB: 2\r\n\r\n",
            Err(HeaderProblem::BlankContinuation { line: 2 }),
        );
        check(b"A : 1\r\n\r\n", Err(HeaderProblem::NotAField { line: 1 }));
        check(b": 1\r\n\r\n", Err(HeaderProblem::NotAField { line: 1 }));
        check(b"no colon\r\n\r\n", Err(HeaderProblem::NotAField { line: 1 }));
        check(b"Fr\xc3\xb6m: 1\r\n\r\n", Err(HeaderProblem::NotAField { line: 1 }));
        check(
            b"From alice Mon Jan  1\r\nA: 1\r\n\r\n",
            Err(HeaderProblem::NotAField { line: 1 }),
        );
        check(
            &b"A: 1\r\n".repeat(MAXIMUM_FIELDS + 1),
            Err(HeaderProblem::TooManyFields),
        );
        check(
            &[b"A: ".as_slice(), &[b'x'; MAXIMUM_HEADER_BYTES], b"\r\nB: 1\r\n"].concat(),
            Err(HeaderProblem::TooLong),
        );
    }
}
