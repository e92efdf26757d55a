//! Splitting an entity into header fields and body, and a multipart into parts, as slices of the original bytes.

use super::MimeError;
use super::canonical::lines;

/// A header block and what follows it, see [RFC 2045 section 2.4]. Borrowed from canonical bytes.
///
/// [RFC 2045 section 2.4]: https://www.rfc-editor.org/rfc/rfc2045#section-2.4
#[derive(Debug, Clone)]
pub struct Entity<'m> {
    pub fields: Vec<Field<'m>>,
    pub body: &'m [u8],
}

impl<'m> Entity<'m> {
    /// Splits at the first empty line. Bytes without one are a header without a body.
    ///
    /// # Errors
    /// [`MimeError::HeaderLineMalformed`] when a header line is neither a field nor a continuation of one.
    /// Blanks before the colon are obsolete syntax that readers disagree about, and are refused too.
    pub fn split(bytes: &'m [u8]) -> Result<Self, MimeError> {
        let mut fields: Vec<Field<'m>> = Vec::new();
        for (number, (start, line)) in lines(bytes).enumerate() {
            let end = (start + line.len() + 2).min(bytes.len());
            if line.is_empty() {
                return Ok(Self {
                    fields,
                    body: &bytes[end..],
                });
            }
            let malformed = MimeError::HeaderLineMalformed { line: number + 1 };
            if matches!(line[0], b' ' | b'\t') {
                let field = fields.last_mut().ok_or(malformed)?;
                // Continuation lines follow their field without a gap.
                field.raw = &bytes[field.start..end];
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or(malformed.clone())?;
            let name = &line[..colon];
            if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
                return Err(malformed);
            }
            let name = str::from_utf8(name).map_err(|_| malformed)?;
            fields.push(Field {
                name,
                start,
                raw: &bytes[start..end],
            });
        }
        Ok(Self { fields, body: &[] })
    }

    /// The field of that name; ASCII case does not matter.
    ///
    /// # Errors
    /// [`MimeError::DuplicateField`] when there are several: readers differ in which one they believe.
    pub fn only(&self, name: &'static str) -> Result<Option<&Field<'m>>, MimeError> {
        let mut named = self.fields.iter().filter(|field| field.is(name));
        let first = named.next();
        match named.next() {
            Some(_) => Err(MimeError::DuplicateField { field: name }),
            None => Ok(first),
        }
    }
}

/// One header field with all its bytes: name, colon, value, folds and the last line's CRLF.
#[derive(Debug, Clone, Copy)]
pub struct Field<'m> {
    name: &'m str,
    start: usize,
    raw: &'m [u8],
}

impl<'m> Field<'m> {
    pub const fn name(&self) -> &'m str {
        self.name
    }

    pub const fn raw(&self) -> &'m [u8] {
        self.raw
    }

    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether the field describes the content and so moves with it (RFC 2045 section 9).
    pub fn describes_content(&self) -> bool {
        self.name
            .get(..8)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("Content-"))
    }

    /// What follows the colon, unfolded (RFC 5322 section 2.2.3) and without blanks at both ends.
    pub fn value(&self) -> Vec<u8> {
        let value = &self.raw[self.name.len() + 1..];
        let unfolded: Vec<u8> = value
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .collect();
        unfolded.trim_ascii().to_vec()
    }
}

/// A multipart body cut at its delimiters, see [RFC 2046 section 5.1.1].
///
/// [RFC 2046 section 5.1.1]: https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
#[derive(Debug)]
pub struct Multipart<'m> {
    /// What precedes the first delimiter, without the CRLF that belongs to it.
    pub preamble: &'m [u8],
    /// The parts, each without the CRLF that belongs to the delimiter after it.
    pub parts: Vec<&'m [u8]>,
    /// What follows the line of the closing delimiter; `None` if not even that line's CRLF does.
    pub epilogue: Option<&'m [u8]>,
}

impl<'m> Multipart<'m> {
    /// Cuts `body` at the lines that are `--` and `boundary`.
    ///
    /// # Errors
    /// A missing close delimiter, no part at all, a boundary that RFC 2046 does not allow, or a line that starts
    /// with the delimiter and goes on: the RFC lets a reader take that for a delimiter, and many do not.
    pub fn split(body: &'m [u8], boundary: &[u8]) -> Result<Self, MimeError> {
        let shown = || String::from_utf8_lossy(boundary).into_owned();
        if !is_boundary(boundary) {
            return Err(MimeError::BoundaryInvalid { boundary: shown() });
        }
        let mut preamble = None;
        let mut part_start = 0;
        let mut parts = Vec::new();
        for (start, line) in lines(body) {
            let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) else {
                continue;
            };
            let closes = match super::header::trim_blanks_end(rest) {
                b"" => false,
                b"--" => true,
                _ => return Err(MimeError::BoundaryAmbiguous { boundary: shown() }),
            };
            // The line break before a delimiter belongs to it, except where the part has no line at all.
            let before = &body[part_start..start.saturating_sub(2).max(part_start)];
            match preamble {
                None => preamble = Some(before),
                Some(_) => parts.push(before),
            }
            let line_end = start + line.len();
            part_start = (line_end + 2).min(body.len());
            if closes {
                if parts.is_empty() {
                    return Err(MimeError::MultipartEmpty { boundary: shown() });
                }
                let epilogue = body[line_end..].strip_prefix(b"\r\n");
                return Ok(Self {
                    preamble: preamble.unwrap_or_default(),
                    parts,
                    epilogue,
                });
            }
        }
        Err(MimeError::MultipartUnclosed { boundary: shown() })
    }
}

/// 1 to 70 characters of `bchars`, not ending in a space (RFC 2046 section 5.1.1).
fn is_boundary(boundary: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    (1..=70).contains(&boundary.len()) && boundary.iter().all(allowed) && !boundary.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_bytes() {
        let bytes = b"Subject: a\r\n  b\r\nX:y\r\n\r\nbody\r\n";
        let entity = Entity::split(bytes).unwrap();
        assert_eq!(entity.fields.len(), 2);
        assert_eq!(entity.fields[0].raw(), b"Subject: a\r\n  b\r\n");
        assert_eq!(entity.fields[0].value(), b"a  b");
        assert_eq!(entity.fields[1].name(), "X");
        assert_eq!(entity.body, b"body\r\n");
        assert_eq!(Entity::split(b"\r\nbody").unwrap().body, b"body");
        assert_eq!(Entity::split(b"A: b").unwrap().body, b"");
        assert!(Entity::split(b"").unwrap().fields.is_empty());
    }

    #[test]
    fn malformed_header_lines_are_refused() {
        for (bytes, line) in [
            (&b" folded: first\r\n"[..], 1),
            (b"A: b\r\nno colon\r\n\r\n", 2),
            (b"From alice@example.com Mon\r\nA: b\r\n\r\n", 1),
            (b"Subject : blank before colon\r\n\r\n", 1),
            (b": no name\r\n\r\n", 1),
            ("Grüße: x\r\n\r\n".as_bytes(), 1),
            (b"A\0: x\r\n\r\n", 1),
        ] {
            assert_eq!(
                Entity::split(bytes).unwrap_err(),
                MimeError::HeaderLineMalformed { line },
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_field_that_must_be_alone_is_not_guessed() {
        let entity = Entity::split(b"content-type: a/b\r\nContent-Type: c/d\r\n\r\n").unwrap();
        assert_eq!(
            entity.only("Content-Type").unwrap_err(),
            MimeError::DuplicateField { field: "Content-Type" }
        );
        assert!(entity.only("Content-Language").unwrap().is_none());
    }

    #[test]
    fn the_line_break_before_a_delimiter_belongs_to_it() {
        let multipart =
            Multipart::split(b"pre\r\n--b\r\n\r\none\r\n\r\n--b \t\r\n\r\ntwo\r\n--b--\r\nepi", b"b").unwrap();
        assert_eq!(multipart.preamble, b"pre");
        assert_eq!(multipart.parts, [&b"\r\none\r\n"[..], b"\r\ntwo"]);
        assert_eq!(multipart.epilogue, Some(&b"epi"[..]));
        let bare = Multipart::split(b"--b\r\n--b--", b"b").unwrap();
        assert_eq!(
            (bare.preamble, bare.parts.as_slice(), bare.epilogue),
            (&b""[..], &[&b""[..]][..], None)
        );
    }

    #[test]
    fn bad_boundaries_are_refused() {
        let shown = |boundary: &str| boundary.to_owned();
        for (body, boundary, expected) in [
            (
                &b"--b\r\n\r\nx\r\n"[..],
                "b",
                MimeError::MultipartUnclosed { boundary: shown("b") },
            ),
            (
                b"no delimiter",
                "b",
                MimeError::MultipartUnclosed { boundary: shown("b") },
            ),
            (b"", "b", MimeError::MultipartUnclosed { boundary: shown("b") }),
            (b"--b--\r\n", "b", MimeError::MultipartEmpty { boundary: shown("b") }),
            (
                b"--b\r\n\r\n--bc\r\n--b--",
                "b",
                MimeError::BoundaryAmbiguous { boundary: shown("b") },
            ),
            (
                b"--b\r\n\r\n--b--c\r\n--b--",
                "b",
                MimeError::BoundaryAmbiguous { boundary: shown("b") },
            ),
            (
                b"--\r\n\r\n----",
                "",
                MimeError::BoundaryInvalid { boundary: shown("") },
            ),
            (b"--b \r\n", "b ", MimeError::BoundaryInvalid { boundary: shown("b ") }),
            (b"--b;\r\n", "b;", MimeError::BoundaryInvalid { boundary: shown("b;") }),
        ] {
            assert_eq!(
                Multipart::split(body, boundary.as_bytes()).unwrap_err(),
                expected,
                "{boundary:?}"
            );
        }
        assert!(matches!(
            Multipart::split(b"", &[b'x'; 71]),
            Err(MimeError::BoundaryInvalid { .. })
        ));
    }
}
