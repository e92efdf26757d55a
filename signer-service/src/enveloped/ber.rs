//! A reader of the BER that CMS producers write: DER, indefinite lengths and octet strings in pieces (X.690 section 8).

/// One tag, length and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Everything, as it stands in the input.
    pub(super) raw: &'a [u8],
}

impl<'a> Element<'a> {
    pub(super) const fn inside(self) -> Reader<'a> {
        Reader(self.content)
    }

    /// The octets of an octet string, whether in one piece or in several (X.690 section 8.7), whatever its outer tag.
    pub(super) fn octets(self) -> Option<Vec<u8>> {
        let mut octets = Vec::with_capacity(self.content.len());
        self.collect(&mut octets, 0)?;
        Some(octets)
    }

    fn collect(self, octets: &mut Vec<u8>, depth: usize) -> Option<()> {
        if self.tag & CONSTRUCTED == 0 {
            octets.extend_from_slice(self.content);
            return Some(());
        }
        let mut pieces = self.inside();
        while !pieces.is_empty() {
            let piece = pieces.next()?;
            if depth >= MAXIMUM_DEPTH || piece.tag & !CONSTRUCTED != OCTET_STRING {
                return None;
            }
            piece.collect(octets, depth + 1)?;
        }
        Some(())
    }
}

/// Takes elements from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, `None` if there is none that is well-formed.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = split(self.0, 0)?;
        self.0 = rest;
        Some(element)
    }

    /// The next element, which has to have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has this tag; else it stays.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.next()
    }
}

fn split(bytes: &[u8], depth: usize) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = bytes.split_first()?;
    // Tags of several octets occur nowhere in CMS.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, after_length) = after_tag.split_first()?;
    if first == 0x80 {
        return indefinite(tag, bytes, after_length, depth);
    }
    let (length, content) = if first < 0x80 {
        (usize::from(first), after_length)
    } else {
        let count = usize::from(first & 0x7f);
        if count > LENGTH_OCTETS {
            return None;
        }
        let (length, rest) = after_length.split_at_checked(count)?;
        let length = length.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
        (length, rest)
    };
    let (content, rest) = content.split_at_checked(length)?;
    let raw = &bytes[..bytes.len() - rest.len()];
    Some((Element { tag, content, raw }, rest))
}

/// Up to the end-of-contents octets of the same level.
fn indefinite<'a>(tag: u8, bytes: &'a [u8], content: &'a [u8], depth: usize) -> Option<(Element<'a>, &'a [u8])> {
    if tag & CONSTRUCTED == 0 || depth >= MAXIMUM_DEPTH {
        return None;
    }
    let mut rest = content;
    while !rest.starts_with(&[0, 0]) {
        (_, rest) = split(rest, depth + 1)?;
    }
    let length = content.len() - rest.len();
    let rest = &rest[2..];
    let raw = &bytes[..bytes.len() - rest.len()];
    let content = &content[..length];
    Some((Element { tag, content, raw }, rest))
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
const CONSTRUCTED: u8 = 0x20;

/// \[n\], primitive or constructed.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

pub(super) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Messages have less than four gibibytes.
const LENGTH_OCTETS: usize = 4;

/// CMS has some ten levels around its content; each may be read once per level above it.
const MAXIMUM_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_forms_are_read() {
        for (bytes, content) in [
            (&b"\x30\x02\x05\x00"[..], &b"\x05\x00"[..]),
            (b"\x30\x81\x02\x05\x00", b"\x05\x00"),
            (b"\x30\x84\x00\x00\x00\x02\x05\x00", b"\x05\x00"),
            (b"\x30\x80\x05\x00\x00\x00", b"\x05\x00"),
            (b"\x30\x80\x30\x80\x00\x00\x00\x00", b"\x30\x80\x00\x00"),
        ] {
            let mut reader = Reader::new(bytes);
            let element = reader.next().unwrap();
            assert_eq!((element.content, element.raw), (content, bytes));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_is_torn_or_odd_is_refused() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x02\x05",
            b"\x30\x80\x05\x00",
            b"\x30\x80\x05\x00\x00",
            b"\x04\x80\x00\x00",
            b"\x30\x85\x00\x00\x00\x00\x02\x05\x00",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x3f\x20\x00",
        ] {
            assert_eq!(Reader::new(bytes).next(), None, "{bytes:x?}");
        }
        let deep = [&b"\x30\x80".repeat(100)[..], &[0; 200]].concat();
        assert_eq!(Reader::new(&deep).next(), None);
    }

    #[test]
    fn octet_strings_in_pieces_are_put_together() {
        let element = Reader::new(b"\xa0\x80\x04\x02ab\x24\x80\x04\x01c\x00\x00\x00\x00")
            .next()
            .unwrap();
        assert_eq!(element.octets().unwrap(), b"abc");
        let element = Reader::new(b"\x80\x02ab").next().unwrap();
        assert_eq!(element.octets().unwrap(), b"ab");
        let element = Reader::new(b"\xa0\x04\x04\x00\x05\x00").next().unwrap();
        assert_eq!(element.octets(), None, "something else among the pieces");
    }
}
