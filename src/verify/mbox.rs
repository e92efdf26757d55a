//! Messages out of an mbox file (RFC 4155), one at a time, so that an archive may be larger than memory.

use std::io::{self, BufRead, Read as _};

/// One message of an mbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// As it stands in the file, and without the quotes of lines that begin with `From `, if there are any.
    ///
    /// Which of the two was sent cannot be told: some programs quote every such line (mboxrd), some only those without a
    /// quote (mboxo), and a sender may have written a quote.
    Message {
        as_it_stands: Vec<u8>,
        unquoted: Option<Vec<u8>>,
    },
    /// More than the limit; it was passed over.
    TooLarge,
}

/// Reads from one separator line to the next. A separator begins with `From ` and stands at the start or after an empty
/// line.
#[derive(Debug)]
pub(super) struct Mbox<R> {
    reader: R,
    limit: usize,
    has_begun: bool,
    has_ended: bool,
    line: Vec<u8>,
    /// The next octet begins a line.
    at_line_start: bool,
}

impl<R: BufRead> Mbox<R> {
    /// Messages of more than `limit` octets are passed over.
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            has_begun: false,
            has_ended: false,
            line: Vec::new(),
            at_line_start: true,
        }
    }

    /// Reads on to the end of a line, but never more than a piece of it; whether that began a line.
    fn piece(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        if (&mut self.reader).take(PIECE).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let began_line = self.at_line_start;
        self.at_line_start = self.line.ends_with(b"\n");
        Ok(Some(began_line))
    }

    fn rest_of_line(&mut self) -> io::Result<()> {
        while !self.at_line_start && self.piece()?.is_some() {}
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Stored>> {
        if !self.has_begun {
            if self.piece()?.is_none() {
                return Ok(None);
            }
            self.rest_of_line()?;
            self.has_begun = true;
        }
        let mut message = Vec::new();
        let (mut too_large, mut after_empty) = (false, false);
        loop {
            let Some(began_line) = self.piece()? else {
                self.has_ended = true;
                break;
            };
            if began_line && after_empty && self.line.starts_with(SEPARATOR) {
                self.rest_of_line()?;
                break;
            }
            after_empty = began_line && matches!(self.line.as_slice(), b"\n" | b"\r\n");
            too_large |= message.len() + self.line.len() > self.limit;
            if !too_large {
                message.extend_from_slice(&self.line);
            }
        }
        if too_large {
            return Ok(Some(Stored::TooLarge));
        }
        // The empty line before a separator belongs to the separator.
        if message.ends_with(b"\r\n\r\n") {
            message.truncate(message.len() - 2);
        } else if message.ends_with(b"\n\n") {
            message.truncate(message.len() - 1);
        }
        Ok(Some(Stored::Message {
            unquoted: unquoted(&message),
            as_it_stands: message,
        }))
    }
}

impl<R: BufRead> Iterator for Mbox<R> {
    type Item = io::Result<Stored>;

    /// After an error there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let next = self.read();
        self.has_ended |= !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// The message with one `>` taken from every line that has some before `From `, if there is such a line.
fn unquoted(message: &[u8]) -> Option<Vec<u8>> {
    let is_quoted = |line: &[u8]| {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        quotes > 0 && line.get(quotes..).is_some_and(|rest| rest.starts_with(SEPARATOR))
    };
    let lines = || message.split_inclusive(|byte| *byte == b'\n');
    if !lines().any(is_quoted) {
        return None;
    }
    let mut unquoted = Vec::with_capacity(message.len());
    for line in lines() {
        unquoted.extend_from_slice(line.get(usize::from(is_quoted(line))..).unwrap_or_default());
    }
    Some(unquoted)
}

/// How every mbox begins.
pub(super) const SEPARATOR: &[u8] = b"From ";
/// Lines may be of any length; they are read in pieces of this size.
const PIECE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mbox: &str, expected: &[&str]) {
        let messages: Vec<String> = Mbox::new(mbox.as_bytes(), 1000)
            .map(|stored| match stored.unwrap() {
                Stored::Message { as_it_stands, .. } => String::from_utf8(as_it_stands).unwrap(),
                Stored::TooLarge => "too large".to_owned(),
            })
            .collect();
        assert_eq!(messages, expected, "{mbox:?}");
    }

    #[test]
    fn separators_stand_at_the_start_and_after_empty_lines() {
        check("", &[]);
        check("From a Mon\n", &[""]);
        check(
            "From a Mon\nSubject: x\n\nHi\n\nFrom b Tue\nSubject: y\n\nHo\n",
            &["Subject: x\n\nHi\n", "Subject: y\n\nHo\n"],
        );
        check(
            "From a\r\nSubject: x\r\n\r\nHi\r\n\r\nFrom b\r\n\r\nHo",
            &["Subject: x\r\n\r\nHi\r\n", "\r\nHo"],
        );
        // Neither in a header, nor in the middle of a text, nor in a longer word.
        check(
            "From a\nFrom b\nSubject: x\n\nHi\nFrom here\nFromage\n",
            &["From b\nSubject: x\n\nHi\nFrom here\nFromage\n"],
        );
    }

    #[test]
    fn quotes_are_taken_away_beside_the_original() {
        let mut mbox = Mbox::new(b"From a\n\n>From me\n>>From you\n> From\nFromage\n".as_slice(), 1000);
        let Some(Ok(Stored::Message { as_it_stands, unquoted })) = mbox.next() else {
            panic!("a message");
        };
        assert_eq!(as_it_stands, b"\n>From me\n>>From you\n> From\nFromage\n");
        assert_eq!(unquoted.unwrap(), b"\nFrom me\n>From you\n> From\nFromage\n");
        assert!(mbox.next().is_none());
        let plain = Mbox::new(b"From a\n\n> From me\n".as_slice(), 1000)
            .next()
            .unwrap()
            .unwrap();
        assert!(matches!(plain, Stored::Message { unquoted: None, .. }));
    }

    #[test]
    fn what_is_too_large_is_passed_over_and_the_next_is_read() {
        let long = "x".repeat(200_000);
        let mbox = format!("From a\nSubject: x\n\n{long}\n\nFrom {long}\nSubject: y\n\nHo\n");
        check(&mbox, &["too large", "Subject: y\n\nHo\n"]);
        // A piece of a long line that looks like a separator is none.
        let piece = usize::try_from(PIECE).unwrap();
        let inside = format!("{}From b\n", "x".repeat(piece));
        check(&format!("From a\n\n{inside}\nFrom c\n\nHo\n"), &["too large", "\nHo\n"]);
    }
}
