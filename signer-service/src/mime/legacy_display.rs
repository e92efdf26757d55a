//! Shows hidden header fields at the top of the text, for readers that know nothing of RFC 9788.
//!
//! See RFC 9788 section 5.2.2: Outlook and others show the `[...]` outside and not the subject inside.

use mail_parser::MessageParser;

use super::canonical::canonicalize;
use super::content_type::{Parameter, Parameterized};
use super::entity::{Entity, Field, Multipart};
use super::{base64, header, quoted_printable};

/// The fields to show, as a reader would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LegacyDisplay(Vec<(String, String)>);

impl LegacyDisplay {
    /// Takes up a field that was hidden, if it is one that people see.
    pub(crate) fn hide(&mut self, field: &Field<'_>) {
        if let Some(name) = SHOWN.iter().find(|name| field.is(name)) {
            self.0.push(((*name).to_owned(), decoded(field)));
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entity with the fields at the top of its text, marked with `hp-legacy-display="1"`; `None` where there is no
    /// text that could show them.
    pub(crate) fn added_to(&self, entity: &Entity<'_>) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        self.rewritten(entity, DEPTH)
    }

    fn rewritten(&self, entity: &Entity<'_>, depth: usize) -> Option<Vec<u8>> {
        let media = match entity.only("Content-Type").ok()? {
            Some(field) => Parameterized::parse(&field.value())?,
            None => Parameterized {
                value: "text/plain".to_owned(),
                parameters: Vec::new(),
            },
        };
        match media.value.as_str() {
            "text/plain" | "text/html" => self.text(entity, media),
            "multipart/signed" | "multipart/encrypted" => None,
            value if value.starts_with("multipart/") => self.multipart(entity, &media, depth.checked_sub(1)?),
            _ => None,
        }
    }

    fn multipart(&self, entity: &Entity<'_>, media: &Parameterized, depth: usize) -> Option<Vec<u8>> {
        let boundary = media.parameter("boundary")?;
        let multipart = Multipart::split(entity.body, boundary).ok()?;
        let every = media.value == "multipart/alternative";
        let mut changed = false;
        let mut body = Vec::with_capacity(entity.body.len() + 256);
        for (position, part) in multipart.parts.iter().enumerate() {
            let wanted = (every || position == 0).then(|| Entity::split(part).ok()).flatten();
            let rewritten = wanted.and_then(|part| self.rewritten(&part, depth));
            changed |= rewritten.is_some();
            body.extend_from_slice(&[b"--", boundary, b"\r\n"].concat());
            body.extend_from_slice(rewritten.as_deref().unwrap_or(part));
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(&[b"--", boundary, b"--\r\n"].concat());
        if !changed {
            return None;
        }
        let mut whole: Vec<u8> = entity.fields.iter().flat_map(|field| field.raw()).copied().collect();
        whole.extend_from_slice(b"\r\n");
        whole.extend_from_slice(&body);
        Some(whole)
    }

    fn text(&self, entity: &Entity<'_>, mut media: Parameterized) -> Option<Vec<u8>> {
        if entity
            .only("Content-Disposition")
            .ok()?
            .is_some_and(|field| Parameterized::parse(&field.value()).is_none_or(|value| value.value == "attachment"))
        {
            return None;
        }
        let encoding = entity.only("Content-Transfer-Encoding").ok()?;
        let encoding = encoding.map_or_else(|| b"7bit".to_vec(), |field| field.value().to_ascii_lowercase());
        let decoded = match encoding.as_slice() {
            b"7bit" | b"8bit" | b"binary" => entity.body.to_vec(),
            b"quoted-printable" => quoted_printable::decode(entity.body)?,
            b"base64" => base64::decode(entity.body)?,
            _ => return None,
        };
        let shown = if media.value == "text/html" {
            self.html()
        } else {
            self.plain()
        };
        set_charset(&mut media, &shown, &decoded)?;
        let at = if media.value == "text/html" {
            after_body_tag(&decoded)
        } else {
            0
        };
        media
            .parameters
            .retain(|parameter| parameter.name != "hp-legacy-display");
        media.parameters.push(Parameter {
            name: "hp-legacy-display".to_owned(),
            value: b"1".to_vec(),
        });
        let mut part = Vec::with_capacity(decoded.len() + shown.len() + 512);
        for field in &entity.fields {
            if !field.is("Content-Type") && !field.is("Content-Transfer-Encoding") {
                part.extend_from_slice(field.raw());
            }
        }
        part.extend_from_slice(&header::encode_parameters("Content-Type", &media)?);
        part.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
        let (before, after) = decoded.split_at(at);
        let content = [before, shown.as_bytes(), after].concat();
        part.extend_from_slice(&canonicalize(&content));
        Some(part)
    }

    /// RFC 9788 section 5.2.2.1: the fields, and an empty line.
    fn plain(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text
    }

    /// RFC 9788 section 5.2.2.2.
    fn html(&self) -> String {
        let mut text = "<div class=\"header-protection-legacy-display\">\r\n<pre>".to_owned();
        for (name, value) in &self.0 {
            let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("</pre></div>\r\n");
        text
    }
}

/// The text of a field in one line, its encoded words read (RFC 2047).
fn decoded(field: &Field<'_>) -> String {
    let value = field.value();
    let lone = [b"Subject: ".as_slice(), &value, b"\r\n\r\n"].concat();
    let parsed = MessageParser::new()
        .header_text(mail_parser::HeaderName::Subject)
        .parse(&lone);
    let text = parsed
        .as_ref()
        .and_then(|message| message.subject())
        .unwrap_or_default();
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// Makes sure that the charset can express what is shown; `None` if it cannot.
fn set_charset(media: &mut Parameterized, shown: &str, body: &[u8]) -> Option<()> {
    let charset = media.parameter("charset").unwrap_or(b"us-ascii").to_ascii_lowercase();
    match charset.as_slice() {
        b"utf-8" => Some(()),
        _ if !(charset.starts_with(b"iso-8859-") || charset.starts_with(b"windows-125") || charset == b"us-ascii") => {
            None
        }
        _ if shown.is_ascii() => Some(()),
        // ASCII is UTF-8 already.
        b"us-ascii" if str::from_utf8(body).is_ok() => {
            media.parameters.retain(|parameter| parameter.name != "charset");
            media.parameters.push(Parameter {
                name: "charset".to_owned(),
                value: b"utf-8".to_vec(),
            });
            Some(())
        }
        _ => None,
    }
}

/// Behind `<body …>`, or at the beginning where there is none.
fn after_body_tag(html: &[u8]) -> usize {
    let start = html
        .windows(5)
        .position(|window| window.eq_ignore_ascii_case(b"<body"))
        .filter(|start| matches!(html.get(start + 5), Some(b'>' | b' ' | b'\t' | b'\r' | b'\n')));
    start
        .and_then(|start| {
            html[start..]
                .iter()
                .position(|byte| *byte == b'>')
                .map(|end| start + end + 1)
        })
        .unwrap_or(0)
}

/// Fields that people see.
const SHOWN: [&str; 7] = ["Subject", "From", "To", "Cc", "Date", "Keywords", "Comments"];

/// Text stands in multipart/alternative in multipart/related in multipart/mixed, seldom one deeper.
const DEPTH: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(subject: &str, entity: &str) -> Option<String> {
        let field = format!("Subject: {subject}\r\n");
        let field = Entity::split(field.as_bytes()).unwrap().fields[0];
        let mut display = LegacyDisplay::default();
        display.hide(&field);
        let entity = entity.replace('\n', "\r\n");
        let added = display.added_to(&Entity::split(entity.as_bytes()).unwrap())?;
        Some(String::from_utf8(added).unwrap().replace("\r\n", "\n"))
    }

    #[test]
    fn the_subject_stands_on_top_of_the_text() {
        assert_eq!(
            shown("Layoffs", "Content-Type: text/plain; charset=utf-8\n\nHello\n").unwrap(),
            "Content-Type: text/plain;\n charset=\"utf-8\";\n hp-legacy-display=\"1\"\nContent-Transfer-Encoding: 8bit\n\nSubject: Layoffs\n\nHello\n"
        );
        let german = shown("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "\nHello\n").unwrap();
        assert!(
            german.contains("charset=\"utf-8\"") && german.ends_with("\n\nSubject: Grüße\n\nHello\n"),
            "{german}"
        );
        let encoded = shown("x", "Content-Transfer-Encoding: base64\n\nSGVsbG8K\n").unwrap();
        assert!(encoded.ends_with("8bit\n\nSubject: x\n\nHello\n"), "{encoded}");
    }

    #[test]
    fn html_is_told_in_html() {
        let html = shown(
            "a < b",
            "Content-Type: text/html; charset=utf-8\n\n<html><BODY class=\"x\"><p>Hi</p></BODY></html>\n",
        )
        .unwrap();
        assert!(
            html.contains("<BODY class=\"x\"><div class=\"header-protection-legacy-display\">\n<pre>Subject: a &lt; b\n</pre></div>\n<p>Hi"),
            "{html}"
        );
    }

    #[test]
    fn the_main_text_is_found_and_attachments_are_left_alone() {
        let mixed = "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/alternative; boundary=a\n\n--a\n\none\n--a\nContent-Type: text/html\n\n<p>one</p>\n--a--\n--m\nContent-Type: text/plain\n\ntwo\n--m--\n";
        let shown = shown("S", mixed).unwrap();
        assert_eq!(shown.matches("hp-legacy-display=\"1\"").count(), 2);
        assert!(shown.contains("Subject: S\n\none\n"));
        assert!(shown.contains("Content-Type: text/plain\n\ntwo\n"), "{shown}");
    }

    #[test]
    fn what_cannot_show_it_is_left_alone() {
        for entity in [
            "Content-Type: application/pdf\n\nx\n",
            "Content-Type: text/plain; charset=utf-16\n\nx\n",
            "Content-Type: text/plain\nContent-Disposition: attachment\n\nx\n",
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n",
            "Content-Type: multipart/mixed\n\nno boundary\n",
            "Content-Transfer-Encoding: x-uuencode\n\nx\n",
            "Content-Type: nonsense; ;=\n\nx\n",
        ] {
            assert_eq!(shown("S", entity), None, "{entity}");
        }
        assert_eq!(
            shown(
                "=?utf-8?Q?=E2=82=AC?=",
                "Content-Type: text/plain; charset=iso-8859-1\n\nx\n"
            ),
            None
        );
    }
}
