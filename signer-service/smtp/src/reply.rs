//! What a server answers to a command: a code, an enhanced status code, and text.

use std::fmt;

/// One SMTP reply. See RFC 5321 section 4.2 and RFC 2034.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<[u16; 3]>,
    text: String,
}

impl Reply {
    /// A reply with a code between 200 and 599; any other code is a mistake of the caller and becomes 451.
    ///
    /// Line feeds in `text` divide it into the lines of a multi-line reply; every other control character becomes a
    /// question mark, so that text of foreign origin cannot end the reply.
    pub fn new(code: u16, enhanced: Option<[u16; 3]>, text: impl AsRef<str>) -> Self {
        let code = if (200..600).contains(&code) { code } else { 451 };
        let text = text.as_ref().replace("\r\n", "\n");
        let text = text
            .chars()
            .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
            .collect();
        // RFC 2034 section 4: the class of the enhanced code equals the first digit of the code.
        let enhanced = enhanced.filter(|[class, ..]| *class == code / 100 && matches!(class, 2 | 4 | 5));
        Self { code, enhanced, text }
    }

    /// 250 with an enhanced code of class 2: `Reply::ok([2, 1, 0], "Sender accepted")`.
    pub fn ok(enhanced: [u16; 3], text: impl AsRef<str>) -> Self {
        Self::new(250, Some(enhanced), text)
    }

    /// 451: the command failed because of something that may be better later.
    pub fn try_later(enhanced: [u16; 3], text: impl AsRef<str>) -> Self {
        Self::new(451, Some(enhanced), text)
    }

    /// 550: the command failed and will fail again.
    pub fn refused(enhanced: [u16; 3], text: impl AsRef<str>) -> Self {
        Self::new(550, Some(enhanced), text)
    }

    /// 421: this server closes the connection after the reply.
    pub fn closing(enhanced: [u16; 3], text: impl AsRef<str>) -> Self {
        Self::new(421, Some(enhanced), text)
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<[u16; 3]> {
        self.enhanced
    }

    /// The text without codes; lines are divided by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on with what belongs to the command.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the reply as it goes over the wire. Characters beyond ASCII become question marks, since a client
    /// that has not said SMTPUTF8 must not be sent any (RFC 6531 section 3.7.4.2).
    pub(crate) fn write_to(&self, output: &mut Vec<u8>) {
        let lines: Vec<Vec<u8>> = self
            .text
            .split('\n')
            .flat_map(|line| {
                let line: Vec<u8> = line
                    .chars()
                    .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'))
                    .collect();
                if line.is_empty() {
                    vec![line]
                } else {
                    line.chunks(MAX_TEXT_OCTETS).map(<[u8]>::to_vec).collect()
                }
            })
            .collect();
        for (index, line) in lines.iter().enumerate() {
            let separator = if index + 1 == lines.len() { ' ' } else { '-' };
            output.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some([class, subject, detail]) = self.enhanced {
                output.extend_from_slice(format!("{class}.{subject}.{detail} ").as_bytes());
            }
            output.extend_from_slice(line);
            output.extend_from_slice(b"\r\n");
        }
    }
}

/// As in a log: `550 5.1.1 No such mailbox`, the lines of the text joined with ` / `.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some([class, subject, detail]) = self.enhanced {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text.replace('\n', " / "))?;
        }
        Ok(())
    }
}

/// Puts the lines of one reply together, as a client reads them.
#[derive(Debug, Default)]
pub(crate) struct ReplyParser {
    code: Option<u16>,
    enhanced: Option<[u16; 3]>,
    lines: Vec<String>,
    octets: usize,
}

/// Why a server's answer is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyFault {
    Malformed,
    TooLong,
}

impl ReplyParser {
    /// Takes one line without its CRLF; `Some` when it was the last one.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyFault> {
        self.octets += line.len();
        if self.lines.len() >= MAX_REPLY_LINES || self.octets > MAX_REPLY_OCTETS {
            return Err(ReplyFault::TooLong);
        }
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyFault::Malformed)?;
        let [first @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9'] = *code else {
            return Err(ReplyFault::Malformed);
        };
        let code = u16::from(first - b'0') * 100 + u16::from(second - b'0') * 10 + u16::from(third - b'0');
        // RFC 5321 section 4.2.1: the code is the same on every line.
        if self.code.is_some_and(|earlier| earlier != code) {
            return Err(ReplyFault::Malformed);
        }
        self.code = Some(code);
        let (is_last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyFault::Malformed),
        };
        let text = String::from_utf8_lossy(text);
        let text = match split_enhanced(code, &text) {
            Some((enhanced, text)) => {
                self.enhanced.get_or_insert(enhanced);
                text
            }
            None => &text,
        };
        self.lines.push(text.to_owned());
        if !is_last {
            return Ok(None);
        }
        let reply = Reply::new(code, self.enhanced, self.lines.join("\n"));
        *self = Self::default();
        Ok(Some(reply))
    }
}

/// Splits `2.1.5 text` if the class belongs to the code. See RFC 2034 section 4.
fn split_enhanced(code: u16, text: &str) -> Option<([u16; 3], &str)> {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = status.split('.').map(|number| {
        let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { number.parse::<u16>().ok() } else { None }
    });
    let enhanced = [numbers.next()??, numbers.next()??, numbers.next()??];
    let belongs = numbers.next().is_none() && enhanced[0] == code / 100 && matches!(enhanced[0], 2 | 4 | 5);
    belongs.then_some((enhanced, rest))
}

/// A reply line has at most 512 octets (RFC 5321 section 4.5.3.1.5); code, enhanced code and CRLF take up to 18.
const MAX_TEXT_OCTETS: usize = 480;
/// No EHLO answer seen in the field comes near; a server that goes on is not answering any more.
const MAX_REPLY_LINES: usize = 128;
const MAX_REPLY_OCTETS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: Result<Reply, ReplyFault>) {
        let mut parser = ReplyParser::default();
        let mut result = Err(ReplyFault::Malformed);
        for (index, line) in lines.iter().enumerate() {
            match parser.line(line.as_bytes()) {
                Ok(Some(reply)) => {
                    assert_eq!(index + 1, lines.len(), "the reply ended early");
                    result = Ok(reply);
                }
                Ok(None) => {}
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        assert_eq!(result, expected);
    }

    #[test]
    fn replies_are_read() {
        check(&["250 2.1.0 Fine"], Ok(Reply::ok([2, 1, 0], "Fine")));
        check(&["250"], Ok(Reply::new(250, None, "")));
        check(&["354 go"], Ok(Reply::new(354, None, "go")));
        check(
            &["550-5.1.1 No", "550 5.1.1 way"],
            Ok(Reply::refused([5, 1, 1], "No\nway")),
        );
        check(
            &["250-mx.example", "250-SIZE 10", "250 8BITMIME"],
            Ok(Reply::new(250, None, "mx.example\nSIZE 10\n8BITMIME")),
        );
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        check(&["250 5.1.1 odd"], Ok(Reply::new(250, None, "5.1.1 odd")));
        check(&["550 5.1 odd"], Ok(Reply::new(550, None, "5.1 odd")));
        check(&["220 2.0.0.1 odd"], Ok(Reply::new(220, None, "2.0.0.1 odd")));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for line in [
            "",
            "2",
            "25",
            "25x ok",
            "2500 ok",
            "150 ok",
            "650 ok",
            "250=ok",
            "HTTP/1.1 200 OK",
        ] {
            check(&[line], Err(ReplyFault::Malformed));
        }
        check(&["250-one", "251 two"], Err(ReplyFault::Malformed));
    }

    #[test]
    fn a_reply_without_end_is_refused() {
        let lines = vec!["250-more"; MAX_REPLY_LINES + 1];
        check(&lines, Err(ReplyFault::TooLong));
        let long = format!("250-{}", "x".repeat(MAX_REPLY_OCTETS));
        check(&[&long], Err(ReplyFault::TooLong));
    }

    #[test]
    fn text_cannot_end_the_reply() {
        let mut output = Vec::new();
        Reply::refused([5, 0, 0], "a\r\n250 ok\rb\0ü").write_to(&mut output);
        assert_eq!(
            String::from_utf8_lossy(&output),
            "550-5.0.0 a\r\n550 5.0.0 250 ok?b??\r\n"
        );
    }

    #[test]
    fn long_text_is_divided_into_lines_of_legal_length() {
        let mut output = Vec::new();
        Reply::new(250, None, "x".repeat(2000)).write_to(&mut output);
        assert!(output.split(|byte| *byte == b'\n').all(|line| line.len() < 512));
        assert_eq!(output.iter().filter(|byte| **byte == b'x').count(), 2000);
    }

    #[test]
    fn a_code_that_is_none_becomes_a_temporary_failure() {
        assert_eq!(Reply::new(7, None, "x").code(), 451);
        assert_eq!(Reply::new(250, Some([5, 0, 0]), "x").enhanced(), None);
    }
}
