//! What the verified content does beyond standing there: it loads, it acts, it looks different elsewhere.
//!
//! The signature covers bytes. Whatever is fetched when a message is opened is not among them, and what a style sheet or
//! a condition hides from one program it shows in another. None of this costs a tier; all of it is said. The reading is
//! as wide as the widest reader's: parts that cannot be read in one way are reported rather than guessed at.

use std::borrow::Cow;

use base64ct::{Base64, Encoding as _};

use crate::content_type::{ContentType, single};
use crate::finding::{Code, Problem};
use crate::header::HeaderBlock;
use crate::lines::starts_with_hyphens;

/// Looks through an entity whose header has been read. The work is bounded by its size times the depth.
pub(crate) fn scan(header: &HeaderBlock<'_>, body: &[u8], problems: &mut Vec<Problem>) {
    let mut seen = Seen::default();
    seen.part(header, body, 0, Unmarked::Text);
    if seen.remote {
        problems.push(
            Code::RemoteContent.because("the message shows content that is loaded and not covered by the signature"),
        );
    }
    if seen.active {
        problems.push(Code::ActiveContent.because("the message has scripts, forms, frames or other parts that act"));
    }
    if seen.conditional {
        problems.push(Code::ConditionalContent.because("the message looks different in different programs"));
    }
    if seen.ambiguous {
        problems.push(Code::AmbiguousContent.because("the message has parts that programs read in different ways"));
    }
}

/// What a part without a Content-Type is (RFC 2046 section 5.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmarked {
    Text,
    /// In a multipart/digest.
    Message,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    remote: bool,
    active: bool,
    conditional: bool,
    ambiguous: bool,
    parts: usize,
}

impl Seen {
    fn part(&mut self, header: &HeaderBlock<'_>, body: &[u8], depth: usize, unmarked: Unmarked) {
        self.parts += 1;
        if depth > MAXIMUM_DEPTH || self.parts > MAXIMUM_PARTS {
            self.ambiguous = true;
            return;
        }
        let Ok(content_type) = ContentType::of(header) else {
            self.ambiguous = true;
            return;
        };
        let Some(content_type) = content_type else {
            // RFC 2045 section 5.2: plain text, but for digests.
            if unmarked == Unmarked::Message {
                self.nested(body, depth, Unmarked::Text);
            }
            return;
        };
        let is_composite =
            content_type.media_type.starts_with("multipart/") || content_type.media_type.starts_with("message/");
        if is_composite && !is_plainly_encoded(header) {
            // RFC 2045 section 6.4 forbids it; some readers undo the encoding, others show what it hides.
            self.ambiguous = true;
        }
        match content_type.media_type.as_str() {
            "text/html" | "application/xhtml+xml" | "image/svg+xml" | "text/xml" | "application/xml" => {
                self.html(header, &content_type, body);
            }
            // It fetches what it shows, each time it is opened.
            "text/x-amp-html" => {
                self.active = true;
                self.html(header, &content_type, body);
            }
            "text/css" => {
                if let Some(sheet) = self.decoded(header, &content_type, body) {
                    self.style(&sheet);
                }
            }
            "message/rfc822" | "message/global" => self.nested(body, depth, Unmarked::Text),
            // RFC 2046 section 5.2.3: the content is elsewhere.
            "message/external-body" => self.remote = true,
            kind if kind.starts_with("multipart/") => match content_type.parameter("boundary") {
                Some(boundary) if !boundary.is_empty() => {
                    let unmarked = if kind == "multipart/digest" {
                        Unmarked::Message
                    } else {
                        Unmarked::Text
                    };
                    self.multipart(body, boundary, depth, unmarked);
                }
                _ => self.ambiguous = true,
            },
            _ => {}
        }
    }

    fn nested(&mut self, entity: &[u8], depth: usize, unmarked: Unmarked) {
        match HeaderBlock::parse(entity) {
            Ok((header, body)) => self.part(&header, body, depth + 1, unmarked),
            Err(_) => self.ambiguous = true,
        }
    }

    /// Parts between lines that begin with the boundary, the way the most lenient readers split.
    fn multipart(&mut self, body: &[u8], boundary: &str, depth: usize, unmarked: Unmarked) {
        let delimiter = format!("--{boundary}");
        let mut start = None;
        let mut closed = false;
        for place in starts_with_hyphens(body) {
            let rest = body.get(place..).unwrap_or_default();
            let Some(after) = rest.strip_prefix(delimiter.as_bytes()) else {
                continue;
            };
            if let Some(start) = start {
                let part = body.get(start..place).unwrap_or_default();
                self.nested(part.strip_suffix(b"\r\n").unwrap_or(part), depth, unmarked);
                if self.parts > MAXIMUM_PARTS {
                    return;
                }
            }
            closed = after.starts_with(b"--");
            let line_end = after.iter().position(|byte| *byte == b'\n');
            start = line_end
                .map(|end| place + delimiter.len() + end + 1)
                .filter(|_| !closed);
            if closed {
                break;
            }
        }
        if !closed {
            self.ambiguous = true;
            if let Some(part) = start.and_then(|start| body.get(start..)) {
                self.nested(part, depth, unmarked);
            }
        }
    }

    fn html(&mut self, header: &HeaderBlock<'_>, content_type: &ContentType, body: &[u8]) {
        if let Some(markup) = self.decoded(header, content_type, body) {
            self.markup(&markup);
        }
    }

    /// Text with its transfer encoding undone; `None`, and ambiguous, if it cannot be.
    fn decoded<'b>(
        &mut self,
        header: &HeaderBlock<'_>,
        content_type: &ContentType,
        body: &'b [u8],
    ) -> Option<Cow<'b, [u8]>> {
        // ASCII means itself in these; in others markup can hide from whoever looks for it.
        let charset = content_type
            .parameter("charset")
            .unwrap_or("us-ascii")
            .to_ascii_lowercase();
        let plain = ["us-ascii", "utf-8", "utf8", "ascii"].contains(&charset.as_str())
            || charset.starts_with("iso-8859-")
            || charset.starts_with("windows-125");
        self.ambiguous |= !plain;
        let Ok(encoding) = single(header, "Content-Transfer-Encoding") else {
            self.ambiguous = true;
            return None;
        };
        let encoding = encoding.unwrap_or_default().to_ascii_lowercase();
        Some(match encoding.as_str() {
            "" | "7bit" | "8bit" | "binary" => Cow::Borrowed(body),
            "quoted-printable" => Cow::Owned(quoted_printable(body)),
            "base64" => {
                let compact: Vec<u8> = body
                    .iter()
                    .copied()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .collect();
                match str::from_utf8(&compact)
                    .ok()
                    .and_then(|text| Base64::decode_vec(text).ok())
                {
                    Some(decoded) => Cow::Owned(decoded),
                    None => {
                        self.ambiguous = true;
                        return None;
                    }
                }
            }
            _ => {
                self.ambiguous = true;
                return None;
            }
        })
    }

    /// Tags with their attributes, and style sheets. Each octet is looked at a fixed number of times.
    fn markup(&mut self, markup: &[u8]) {
        let mut rest = markup;
        while let Some(start) = rest.iter().position(|byte| *byte == b'<') {
            rest = rest.get(start + 1..).unwrap_or_default();
            if let Some(comment) = rest.strip_prefix(b"!--") {
                // Conditional comments are code for one program and nothing for the others.
                self.conditional |= starts_with_word(comment.trim_ascii_start(), b"[if");
                rest = comment;
                continue;
            }
            self.conditional |= starts_with_word(rest, b"![if");
            self.remote |= starts_with_word(rest, b"?xml-stylesheet");
            // A colon stands between a prefix and the name in XML.
            let length = rest
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b':')
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            let name = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
            if name.is_empty() || name.len() > MAXIMUM_NAME {
                continue;
            }
            let name = name.to_ascii_lowercase();
            self.tag(&name);
            rest = attributes(after, |attribute, value| self.attribute(&name, attribute, value));
            if name == b"style" {
                let end = find_ignoring_case(rest, b"</style").unwrap_or(rest.len());
                let (sheet, after) = rest.split_at(end);
                self.style(sheet);
                rest = after;
            }
        }
    }

    fn tag(&mut self, name: &[u8]) {
        const ACTING: [&[u8]; 16] = [
            b"script",
            b"iframe",
            b"frame",
            b"frameset",
            b"object",
            b"embed",
            b"applet",
            b"form",
            b"input",
            b"button",
            b"textarea",
            b"select",
            b"base",
            b"portal",
            b"animate",
            b"set",
        ];
        self.active |= ACTING.contains(&name);
    }

    fn attribute(&mut self, name: &[u8], attribute: &[u8], value: &[u8]) {
        let target = compact(value);
        match attribute {
            b"src" | b"srcset" | b"imagesrcset" | b"background" | b"poster" | b"data" | b"lowsrc" | b"dynsrc"
            | b"longdesc" => {
                self.remote |= is_elsewhere(&target);
            }
            // A link is followed by the reader; these elements follow it themselves. A style sheet may be written out in
            // the address, and load more from there.
            b"href" if name == b"link" => {
                self.remote |= is_elsewhere(&target) || target.starts_with(b"data:");
            }
            b"href" | b"xlink:href" if matches!(name, b"image" | b"use" | b"feimage") => {
                self.remote |= is_elsewhere(&target);
            }
            b"style" => self.style(value),
            b"http-equiv" => self.active |= target == b"refresh",
            event if event.len() > 2 && event.starts_with(b"on") => self.active = true,
            // Presentation attributes of SVG, such as fill and mask.
            _ if find(&target, b"url(").is_some() => self.style(value),
            _ => {}
        }
        self.active |= target.starts_with(b"javascript:") || target.starts_with(b"vbscript:");
    }

    fn style(&mut self, sheet: &[u8]) {
        let sheet = compact(&without_escapes(sheet));
        let mut rest = sheet.as_slice();
        while let Some(start) = find(rest, b"url(") {
            rest = rest.get(start + 4..).unwrap_or_default();
            let target = rest
                .strip_prefix(b"\"")
                .or_else(|| rest.strip_prefix(b"'"))
                .unwrap_or(rest);
            self.remote |= is_elsewhere(target);
        }
        // Both take an address without url() as well.
        self.remote |= find(&sheet, b"@import").is_some() || find(&sheet, b"image-set(").is_some();
        self.active |= find(&sheet, b"expression(").is_some() || find(&sheet, b"-moz-binding").is_some();
        self.conditional |= [&b"@media"[..], b"@supports", b"@container", b"@keyframes"]
            .iter()
            .any(|rule| find(&sheet, rule).is_some());
    }
}

/// Hands over the attributes up to the end of the tag, names in lower case, character references in values undone; what
/// comes after the tag.
fn attributes(mut rest: &[u8], mut take: impl FnMut(&[u8], &[u8])) -> &[u8] {
    loop {
        let skip = rest
            .iter()
            .position(|byte| !(byte.is_ascii_whitespace() || *byte == b'/'))
            .unwrap_or(rest.len());
        rest = rest.get(skip..).unwrap_or_default();
        match rest.first() {
            None => return rest,
            Some(b'>') => return rest.get(1..).unwrap_or_default(),
            Some(_) => {}
        }
        let ends_name = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/');
        // An equals sign in front belongs to the name, as browsers read it.
        let length = rest
            .iter()
            .skip(1)
            .position(ends_name)
            .map_or(rest.len(), |length| length + 1);
        let (name, after) = rest.split_at(length);
        let after = after.trim_ascii_start();
        let mut value: &[u8] = &[];
        rest = after;
        if let Some(assigned) = after.strip_prefix(b"=") {
            let assigned = assigned.trim_ascii_start();
            let quote = assigned.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
            let (start, end) = match quote {
                Some(quote) => {
                    let inside = assigned.get(1..).unwrap_or_default();
                    let end = inside.iter().position(|byte| *byte == quote).unwrap_or(inside.len());
                    (1, end)
                }
                None => {
                    let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
                    (0, assigned.iter().position(ends).unwrap_or(assigned.len()))
                }
            };
            value = assigned.get(start..start + end).unwrap_or_default();
            rest = assigned.get(start + end + start..).unwrap_or_default();
        }
        take(&name.to_ascii_lowercase(), &without_references(value));
    }
}

/// Lower case without white space and control characters, which readers ignore inside of addresses.
fn compact(value: &[u8]) -> Vec<u8> {
    let kept = value
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_control());
    kept.map(u8::to_ascii_lowercase).collect()
}

/// Whether an address leads out of the message: neither empty, nor a part of it, nor written out.
fn is_elsewhere(target: &[u8]) -> bool {
    const INSIDE: [&[u8]; 4] = [b"cid:", b"mid:", b"data:", b"#"];
    !target.is_empty() && !INSIDE.iter().any(|inside| target.starts_with(inside))
}

/// Character references that stand for ASCII (HTML section 13.2.5.80): all numbers, and the names of what matters here.
fn without_references(value: &[u8]) -> Vec<u8> {
    if !value.contains(&b'&') {
        return value.to_vec();
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'&'
            && let Some((octet, after)) = numeric_reference(after).or_else(|| named_reference(after))
        {
            plain.push(octet);
            rest = after;
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

fn numeric_reference(after: &[u8]) -> Option<(u8, &[u8])> {
    let digits = after.strip_prefix(b"#")?;
    let (digits, radix) = match digits.strip_prefix(b"x").or_else(|| digits.strip_prefix(b"X")) {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (digits, 10),
    };
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let length = digits.iter().take_while(|byte| is_digit(byte)).count();
    let (digits, rest) = digits.split_at_checked(length)?;
    // Any number of zeros may stand in front.
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let digits = digits.get(zeros..).filter(|digits| (1..=7).contains(&digits.len()))?;
    let value = u32::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()?;
    let octet = u8::try_from(value).ok().filter(u8::is_ascii)?;
    Some((octet, rest.strip_prefix(b";").unwrap_or(rest)))
}

fn named_reference(after: &[u8]) -> Option<(u8, &[u8])> {
    const NAMES: [(&[u8], u8); 8] = [
        (b"colon;", b':'),
        (b"Tab;", b'\t'),
        (b"NewLine;", b'\n'),
        (b"sol;", b'/'),
        (b"bsol;", b'\\'),
        (b"lpar;", b'('),
        (b"commat;", b'@'),
        (b"amp;", b'&'),
    ];
    NAMES
        .iter()
        .find_map(|(name, octet)| after.strip_prefix(*name).map(|rest| (*octet, rest)))
}

/// CSS escapes undone (CSS Syntax section 4.3.7) and comments left out, as far as ASCII goes.
fn without_escapes(sheet: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(sheet.len());
    let mut rest = sheet;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'/'
            && let Some(comment) = after.strip_prefix(b"*")
        {
            rest = find(comment, b"*/")
                .and_then(|end| comment.get(end + 2..))
                .unwrap_or_default();
        } else if *first == b'\\' {
            let length = after.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let (digits, behind) = after.split_at(length);
            let value = str::from_utf8(digits)
                .ok()
                .and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match value.and_then(|value| u8::try_from(value).ok()) {
                Some(octet) => plain.push(octet.to_ascii_lowercase()),
                None => plain.extend(after.first()),
            }
            // One white space ends the digits and belongs to them.
            rest = match (length, behind) {
                (0, _) => after.get(1..).unwrap_or_default(),
                (_, [b'\r', b'\n', next @ ..]) => next,
                (_, [b' ' | b'\t' | b'\r' | b'\n' | 0x0c, next @ ..]) => next,
                (_, behind) => behind,
            };
        } else {
            plain.push(*first);
        }
    }
    plain
}

/// RFC 2045 section 6.7, leniently: what is no escape stays.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'=' {
            decoded.push(*first);
            continue;
        }
        if let Some(next) = after.strip_prefix(b"\r\n").or_else(|| after.strip_prefix(b"\n")) {
            rest = next;
        } else if let Some(octet) = after
            .get(..2)
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            decoded.push(octet);
            rest = after.get(2..).unwrap_or_default();
        } else {
            decoded.push(b'=');
        }
    }
    decoded
}

fn starts_with_word(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// RFC 2045 section 6.4: the encodings that change nothing.
fn is_plainly_encoded(header: &HeaderBlock<'_>) -> bool {
    let plain = ["7bit", "8bit", "binary"];
    single(header, "Content-Transfer-Encoding").is_ok_and(|encoding| {
        encoding.is_none_or(|encoding| plain.iter().any(|one| encoding.eq_ignore_ascii_case(one)))
    })
}

fn find_ignoring_case(text: &[u8], sought: &[u8]) -> Option<usize> {
    text.windows(sought.len())
        .position(|window| window.eq_ignore_ascii_case(sought))
}

fn find(text: &[u8], sought: &[u8]) -> Option<usize> {
    text.windows(sought.len()).position(|window| window == sought)
}

/// Parts inside of parts. Source: own choice; RFC 2046 sets none, mail programs nest five deep (signed, mixed, related,
/// alternative, attached message).
const MAXIMUM_DEPTH: usize = 16;
/// Parts of a message. Source: own choice; RFC 2046 section 5.1.5 sets none, digests of lists have some hundreds.
const MAXIMUM_PARTS: usize = 2000;
/// Letters of a name in markup. Source: own choice; the longest names that are looked for have 10 ("formaction",
/// "http-equiv"), and longer ones are stepped over.
const MAXIMUM_NAME: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(entity: &str) -> Seen {
        let (header, body) = HeaderBlock::parse(entity.as_bytes()).unwrap();
        let mut seen = Seen::default();
        seen.part(&header, body, 0, Unmarked::Text);
        Seen { parts: 0, ..seen }
    }

    fn of(flags: &str) -> Seen {
        Seen {
            remote: flags.contains('r'),
            active: flags.contains('a'),
            conditional: flags.contains('c'),
            ambiguous: flags.contains('?'),
            parts: 0,
        }
    }

    fn check(markup: &str, flags: &str) {
        let entity = format!("Content-Type: text/html; charset=utf-8\r\n\r\n{markup}");
        assert_eq!(seen(&entity), of(flags), "{markup}");
    }

    #[test]
    fn what_stands_in_the_message_is_not_remarked_on() {
        for markup in [
            "",
            "<p>Hello <a href=\"https://example.org\">link</a></p>",
            "<img src=\"cid:logo\"><img src='data:image/png;base64,AAAA'>",
            "<td style=\"background:url(cid:x)\">",
            "<p>Prices < 5 > 3 and on = off, url(x) and src=http://x</p>",
            "<style>p { color: red }</style>",
            "<!-- a comment with <img src=cid:x> -->",
            "<a href=\"#top\" title=\"on\">",
        ] {
            check(markup, "");
        }
    }

    #[test]
    fn what_is_loaded_is_noticed_however_it_is_written() {
        for markup in [
            "<img src=\"https://example.com/x.png\">",
            "<IMG SRC=//example.com/x>",
            "<img/src='http://example.com'>",
            "<img alt=\">\" src=http://example.com>",
            "<img src=\" ht\ntp://example.com\">",
            "<img src=\"&#104;ttps://example.com\">",
            "<img src=relative.png>",
            "<img srcset=\"https://example.com 2x\">",
            "<body background=http://example.com>",
            "<video poster=http://example.com>",
            "<link rel=stylesheet href=http://example.com>",
            "<div style=\"background:url('http://example.com')\">",
            "<div style=\"background:u\\72 l(http://example.com)\">",
            "<div style=\"background:u/**/rl(http://example.com)\">",
            "<style>@import 'http://example.com'; </style>",
            "<style>@\\69mport 'http://example.com'; </style>",
            "<svg><image xlink:href=\"http://example.com\"/></svg>",
            "<img src=\"http://example.com",
            // A tag inside of a style sheet does not end it.
            "<style>/*<*/@import url(http://example.com)</style>",
            "<style>p { content: '<p>' } div { background: url(http://example.com) }</STYLE >",
            "<style>p { background: \\75 \\72 l(http://example.com) }</style>",
            "<div style=\"background:image-set('http://example.com' 1x)\">",
            "<div style=\"background:i\\6d age-set('http://example.com' 1x)\">",
            "<div style=\"background:url&lpar;http://example.com&#41;\">",
            "<rect fill=\"url(http://example.com#x)\"/>",
            "<link rel=stylesheet href=\"data:text/css,@import 'http://example.com'\">",
            "<link rel=preload as=image imagesrcset=http://example.com>",
            "<svg:image xlink:href=\"http://example.com\"/>",
            "<?xml-stylesheet href='http://example.com'?>",
        ] {
            check(markup, "r");
        }
        // However many attributes stand before the one that counts.
        check(&format!("<img {} src=http://example.com>", "a ".repeat(1000)), "r");
    }

    #[test]
    fn what_acts_is_noticed() {
        for markup in [
            "<script>x</script>",
            "<SCRIPT >",
            "<form action=x>",
            "<input>",
            "<p onclick=x>",
            "<p/onmouseover=x>",
            "<a href=\"java\nscript:x\">",
            "<a href=\"&#x6A;avascript:x\">",
            "<meta http-equiv=refresh content=1>",
            "<base>",
            "<p style=\"width:expression(x)\">",
            "<a href=\"javascript&colon;x\">",
            "<a href=\"java&Tab;script:x\">",
            "<a href=\"&#00000000000000000000000000000000000000106;avascript:x\">",
            "<x:script>",
        ] {
            check(markup, "a");
        }
        check("<iframe src=http://example.com>", "ra");
    }

    #[test]
    fn what_looks_different_elsewhere_is_noticed() {
        check("<!--[if mso]>pay Eve<![endif]-->", "c");
        check("<![if !mso]>pay Bob<![endif]>", "c");
        check("<style>@media print { p { display: none } }</style>", "c");
    }

    #[test]
    fn encodings_are_undone_and_strange_ones_noticed() {
        let html = |fields: &str, body: &str| seen(&format!("Content-Type: text/html{fields}\r\n\r\n{body}"));
        assert_eq!(
            html(
                "\r\nContent-Transfer-Encoding: quoted-printable",
                "<img s=72c=3Dhttp://x>"
            ),
            of("r")
        );
        assert_eq!(
            html(
                "\r\nContent-Transfer-Encoding: quoted-printable",
                "<img sr=\r\nc=3Dhttp://x>"
            ),
            of("r")
        );
        // <img src=//x>
        assert_eq!(
            html("\r\nContent-Transfer-Encoding: base64", "PGltZyBzcmM9\r\nLy94Pg=="),
            of("r")
        );
        assert_eq!(html("\r\nContent-Transfer-Encoding: base64", "***"), of("?"));
        assert_eq!(html("\r\nContent-Transfer-Encoding: uuencode", "x"), of("?"));
        assert_eq!(html("; charset=utf-7", "x"), of("?"));
        assert_eq!(html("; charset=utf-16", "x"), of("?"));
    }

    #[test]
    fn parts_are_looked_through() {
        let mixed = |parts: &str| seen(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}"));
        let remote = "\r\nContent-Type: text/html\r\n\r\n<img src=//x>\r\n";
        assert_eq!(mixed(&format!("--b\r\n\r\ntext\r\n--b{remote}--b--\r\n")), of("r"));
        assert_eq!(mixed(&format!("--b{remote}--b--\r\n")), of("r"));
        // What is not closed is read to its end, and said to be unclear.
        assert_eq!(mixed(&format!("--b{remote}")), of("r?"));
        assert_eq!(mixed("--b\r\nnonsense\r\n--b--"), of("?"));
        // What stands before and behind is not shown.
        assert_eq!(
            mixed("<img src=//x>\r\n--b\r\n\r\ntext\r\n--b--\r\n<img src=//x>"),
            of("")
        );
        let forwarded = format!("--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x{remote}--b--\r\n");
        assert_eq!(mixed(&forwarded), of("r"));
        let amp = "--b\r\nContent-Type: text/x-amp-html\r\n\r\nx\r\n--b--\r\n";
        assert_eq!(mixed(amp), of("a"));
        let sheet = "--b\r\nContent-Type: text/css\r\n\r\n@import 'http://x'\r\n--b--\r\n";
        assert_eq!(mixed(sheet), of("r"));
        // The parts of a digest are messages unless they say something else.
        let digest = format!("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nFrom: x{remote}--b--\r\n");
        assert_eq!(seen(&digest), of("r"));
        let encoded = "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\nLS1i\r\n";
        assert_eq!(seen(encoded), of("?"));
        assert_eq!(
            mixed("--b\r\nContent-Type: message/external-body; access-type=url\r\n\r\n\r\n--b--"),
            of("r")
        );
    }

    #[test]
    fn depth_and_number_of_parts_are_bounded() {
        let mut entity = "Content-Type: text/plain\r\n\r\nx".to_owned();
        for _ in 0..40 {
            entity = format!("Content-Type: message/rfc822\r\n\r\n{entity}");
        }
        assert_eq!(seen(&entity), of("?"));
        let parts = "--b\r\n\r\nx\r\n".repeat(10_000);
        let (header, _) = HeaderBlock::parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n").unwrap();
        let mut seen = Seen::default();
        seen.part(&header, parts.as_bytes(), 0, Unmarked::Text);
        assert!(seen.ambiguous && seen.parts <= MAXIMUM_PARTS + 1, "{seen:?}");
    }
}
