//! The values of Content-Type and Content-Disposition, see RFC 2045 section 5.1 and RFC 2183 section 2.

/// A value followed by parameters, such as `text/plain; charset=utf-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameterized {
    /// The value in lower case: `text/plain`, `attachment`.
    pub value: String,
    pub parameters: Vec<Parameter>,
}

/// One parameter with its value as it would be understood: quotes and backslashes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// In lower case; a trailing `*` or `*0` of RFC 2231 is part of it.
    pub name: String,
    pub value: Vec<u8>,
}

impl Parameterized {
    /// Parses an unfolded field value; `None` when it does not follow the grammar.
    ///
    /// Unquoted parameter values may contain `=`, `/`, `:`, `?` and `@`, since many programs write boundaries
    /// and file names so and no reader is confused by it. A parameter that is given twice is malformed.
    pub fn parse(field_value: &[u8]) -> Option<Self> {
        let mut rest = Scanner {
            bytes: field_value,
            at: 0,
        };
        rest.skip_comments()?;
        let mut value = rest.token()?.to_ascii_lowercase();
        rest.skip_comments()?;
        if rest.take(b'/') {
            rest.skip_comments()?;
            value.push('/');
            value.push_str(&rest.token()?.to_ascii_lowercase());
            rest.skip_comments()?;
        }
        let mut parameters: Vec<Parameter> = Vec::new();
        while rest.at < rest.bytes.len() {
            if !rest.take(b';') {
                return None;
            }
            rest.skip_comments()?;
            if rest.at == rest.bytes.len() || rest.peek() == Some(b';') {
                continue;
            }
            let name = rest.token()?.to_ascii_lowercase();
            rest.skip_comments()?;
            if !rest.take(b'=') {
                return None;
            }
            rest.skip_comments()?;
            let value = if rest.peek() == Some(b'"') {
                rest.quoted_string()?
            } else {
                rest.loose_token()?
            };
            if parameters.len() >= MAXIMUM_PARAMETERS || parameters.iter().any(|known| known.name == name) {
                return None;
            }
            parameters.push(Parameter { name, value });
            rest.skip_comments()?;
        }
        Some(Self { value, parameters })
    }

    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
            .map(|parameter| parameter.value.as_slice())
    }
}

struct Scanner<'v> {
    bytes: &'v [u8],
    at: usize,
}

impl<'v> Scanner<'v> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// White space and comments, which nest (RFC 5322 section 3.2.2).
    fn skip_comments(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => self.at += 1,
                b' ' | b'\t' => {}
                _ if depth > 0 => {}
                _ => break,
            }
            self.at += 1;
        }
        (depth == 0 && self.at <= self.bytes.len()).then_some(())
    }

    fn token(&mut self) -> Option<&'v str> {
        self.run(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
    }

    /// A token that may also contain those specials that do not end a value.
    fn loose_token(&mut self) -> Option<Vec<u8>> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| (byte.is_ascii_graphic() || byte >= 0x80) && !b"()<>,;\\\"".contains(&byte))
        {
            self.at += 1;
        }
        (self.at > start).then(|| self.bytes[start..self.at].to_vec())
    }

    fn quoted_string(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.at += 1;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(value),
                b'\\' => {
                    value.push(self.peek()?);
                    self.at += 1;
                }
                _ => value.push(byte),
            }
        }
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> Option<&'v str> {
        let start = self.at;
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        // Only ASCII bytes belong to a run, so this is UTF-8.
        str::from_utf8(&self.bytes[start..self.at])
            .ok()
            .filter(|run| !run.is_empty())
    }
}

/// More than any client reads; bounds the search for duplicates.
const MAXIMUM_PARAMETERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let parsed = Parameterized::parse(value.as_bytes());
        let expected = expected.map(|(value, parameters)| Parameterized {
            value: value.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| Parameter {
                    name: (*name).to_owned(),
                    value: value.as_bytes().to_vec(),
                })
                .collect(),
        });
        assert_eq!(parsed, expected, "{value}");
    }

    #[test]
    fn well_formed_values() {
        check("text/plain", Some(("text/plain", &[])));
        check(
            "Text/HTML; Charset=UTF-8;",
            Some(("text/html", &[("charset", "UTF-8")])),
        );
        check(
            "multipart/mixed; boundary=\"a b\\\"c\"",
            Some(("multipart/mixed", &[("boundary", "a b\"c")])),
        );
        check(
            "multipart/mixed;boundary=----=_Part:1/2?",
            Some(("multipart/mixed", &[("boundary", "----=_Part:1/2?")])),
        );
        check(
            "text / plain (a (nested) comment) ; format = flowed",
            Some(("text/plain", &[("format", "flowed")])),
        );
        check(
            "attachment; filename*=utf-8''%C3%BC",
            Some(("attachment", &[("filename*", "utf-8''%C3%BC")])),
        );
        check("inline; filename=\"ü.pdf\"", Some(("inline", &[("filename", "ü.pdf")])));
    }

    #[test]
    fn malformed_values() {
        for value in [
            "",
            "/plain",
            "text/",
            "text/plain; name=a b.pdf",
            "text/plain; boundary=a; boundary=b",
            "text/plain boundary=a",
            "text/plain; name=\"open",
            "text/plain (open",
            "text/plain; =x",
            "text/plain; name=",
            "text/plain; (\\",
        ] {
            check(value, None);
        }
        check(
            &format!("a/b{}", (0..65).map(|n| format!("; p{n}=x")).collect::<String>()),
            None,
        );
    }
}
