//! A strict reader of DER, and of the little BER that CMS producers really write (X.690).
//!
//! Everything is borrowed from the input, so that a signature is always checked over the bytes that arrived and
//! never over bytes that were encoded again. Only single-byte tags exist in S/MIME; longer ones are refused.

use const_oid::ObjectIdentifier;
use thiserror::Error;

/// Which encodings are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// X.690 section 10: definite, shortest lengths only.
    Distinguished,
    /// DER plus indefinite lengths of constructed elements (X.690 section 8.1.3.6), which Outlook and streaming
    /// producers use for the outer layers of CMS. Definite lengths must still be the shortest.
    IndefiniteToo,
}

/// Why bytes are not the ASN.1 that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    #[error("the data ends in the middle of an element")]
    Truncated,
    #[error("an element with tag {found:#04x} stands where {expected:#04x} was expected")]
    UnexpectedTag { expected: u8, found: u8 },
    #[error("an element with tag {expected:#04x} is missing")]
    Missing { expected: u8 },
    #[error("bytes follow the end of the structure")]
    TrailingBytes,
    #[error("a length is not written in the shortest form")]
    LengthNotShortest,
    #[error("an indefinite length is used where DER is required")]
    IndefiniteLength,
    #[error("a tag number above 30 is used")]
    LongTag,
    #[error("elements are nested more than {MAXIMUM_DEPTH} deep")]
    TooDeep,
    #[error("more than {limit} elements are listed")]
    TooMany { limit: usize },
    #[error("the value of {what} is not valid")]
    Value { what: &'static str },
}

/// One tag, length and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag, length and value as they stand in the input.
    pub(crate) raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads the elements inside this one by DER.
    pub(crate) fn inside(self) -> Reader<'a> {
        Reader::new(self.content, Rules::Distinguished)
    }
}

/// Takes elements from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    rules: Rules,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8], rules: Rules) -> Self {
        Self { rest: input, rules }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever its tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, Malformed> {
        let (element, rest) = split(self.rest, self.rules, 0)?;
        self.rest = rest;
        Ok(element)
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        match self.rest.first() {
            None => Err(Malformed::Missing { expected: tag }),
            Some(&found) if found != tag => Err(Malformed::UnexpectedTag { expected: tag, found }),
            Some(_) => self.any(),
        }
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Refuses anything that has not been read.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::TrailingBytes)
        }
    }

    /// Every remaining element, at most `limit`.
    pub(crate) fn all(mut self, limit: usize) -> Result<Vec<Element<'a>>, Malformed> {
        let mut elements = Vec::new();
        while !self.is_empty() {
            if elements.len() == limit {
                return Err(Malformed::TooMany { limit });
            }
            elements.push(self.any()?);
        }
        Ok(elements)
    }

    pub(crate) fn sequence(&mut self) -> Result<Self, Malformed> {
        self.constructed(SEQUENCE)
    }

    /// Enters an element with this tag; the same rules apply inside.
    pub(crate) fn constructed(&mut self, tag: u8) -> Result<Self, Malformed> {
        Ok(Self {
            rest: self.expect(tag)?.content,
            rules: self.rules,
        })
    }

    pub(crate) fn object_identifier(&mut self) -> Result<ObjectIdentifier, Malformed> {
        object_identifier(self.expect(OBJECT_IDENTIFIER)?.content)
    }

    /// A small non-negative INTEGER such as a version or a path length.
    pub(crate) fn small_integer(&mut self) -> Result<u32, Malformed> {
        small_integer(self.expect(INTEGER)?.content)
    }

    /// A BIT STRING of whole octets.
    pub(crate) fn bit_string_octets(&mut self) -> Result<&'a [u8], Malformed> {
        match self.expect(BIT_STRING)?.content.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(Malformed::Value {
                what: "a BIT STRING of whole octets",
            }),
        }
    }
}

/// Reads exactly one DER SEQUENCE that fills the whole input.
pub(crate) fn whole_sequence(input: &[u8]) -> Result<Reader<'_>, Malformed> {
    let mut reader = Reader::new(input, Rules::Distinguished);
    let inside = reader.sequence()?;
    reader.finish()?;
    Ok(inside)
}

/// Reads exactly one DER element that fills the whole input and has this tag.
pub(crate) fn whole_element(input: &[u8], tag: u8) -> Result<Element<'_>, Malformed> {
    let mut reader = Reader::new(input, Rules::Distinguished);
    let element = reader.expect(tag)?;
    reader.finish()?;
    Ok(element)
}

pub(crate) fn object_identifier(content: &[u8]) -> Result<ObjectIdentifier, Malformed> {
    ObjectIdentifier::from_bytes(content).map_err(|_| Malformed::Value {
        what: "an OBJECT IDENTIFIER",
    })
}

pub(crate) fn small_integer(content: &[u8]) -> Result<u32, Malformed> {
    let invalid = Malformed::Value {
        what: "a small non-negative INTEGER",
    };
    match content {
        [] => Err(invalid),
        [first, ..] if first & 0x80 != 0 => Err(invalid),
        [0, second, ..] if second & 0x80 == 0 => Err(invalid),
        octets if octets.len() > 5 => Err(invalid),
        octets => {
            let value = octets.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
            u32::try_from(value).map_err(|_| invalid)
        }
    }
}

/// X.690 section 11.1: a DER BOOLEAN is 00 or FF.
pub(crate) fn boolean(content: &[u8]) -> Result<bool, Malformed> {
    match content {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(Malformed::Value { what: "a BOOLEAN" }),
    }
}

/// The named bits that are set in a DER BIT STRING, bit 0 first, as KeyUsage and ReasonFlags use it.
pub(crate) fn named_bits(content: &[u8]) -> Result<u16, Malformed> {
    let invalid = Malformed::Value {
        what: "a BIT STRING of named bits",
    };
    match content {
        [0] => Ok(0),
        [unused @ 0..=7, octets @ ..] if (1..=2).contains(&octets.len()) => {
            // The unused bits must be zero (X.690 section 11.2.1).
            if octets.last().is_some_and(|last| last & ((1_u8 << unused) - 1) != 0) {
                return Err(invalid);
            }
            let mut bits = 0_u16;
            for (index, octet) in octets.iter().enumerate() {
                for bit in 0..8 {
                    if octet & (0x80 >> bit) != 0 {
                        bits |= 1 << (index * 8 + bit);
                    }
                }
            }
            Ok(bits)
        }
        _ => Err(invalid),
    }
}

/// The octets of an OCTET STRING, or of the chunks of a constructed one (X.690 section 8.7.3).
pub(crate) fn octet_string(element: Element<'_>) -> Result<Vec<u8>, Malformed> {
    match element.tag {
        OCTET_STRING => Ok(element.content.to_vec()),
        OCTET_STRING_CONSTRUCTED => {
            let mut reader = Reader::new(element.content, Rules::IndefiniteToo);
            let mut octets = Vec::with_capacity(element.content.len());
            while !reader.is_empty() {
                octets.extend_from_slice(reader.expect(OCTET_STRING)?.content);
            }
            Ok(octets)
        }
        found => Err(Malformed::UnexpectedTag {
            expected: OCTET_STRING,
            found,
        }),
    }
}

fn split(input: &[u8], rules: Rules, depth: usize) -> Result<(Element<'_>, &[u8]), Malformed> {
    #[cfg(test)]
    crate::work::element();
    if depth > MAXIMUM_DEPTH {
        return Err(Malformed::TooDeep);
    }
    let &[tag, first, ..] = input else {
        return Err(Malformed::Truncated);
    };
    if tag & 0x1f == 0x1f {
        return Err(Malformed::LongTag);
    }
    if first == 0x80 {
        if rules == Rules::Distinguished || tag & CONSTRUCTED == 0 {
            return Err(Malformed::IndefiniteLength);
        }
        // The contents reach to the first end-of-contents marker that stands where an element could begin.
        let body = input.get(2..).ok_or(Malformed::Truncated)?;
        let mut rest = body;
        while !rest.starts_with(&[0, 0]) {
            (_, rest) = split(rest, rules, depth + 1)?;
        }
        let length = body.len() - rest.len();
        let content = body.get(..length).ok_or(Malformed::Truncated)?;
        let raw = input.get(..length + 4).ok_or(Malformed::Truncated)?;
        return Ok((
            Element { tag, content, raw },
            rest.get(2..).ok_or(Malformed::Truncated)?,
        ));
    }
    let (header, length) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return Err(Malformed::Truncated);
        }
        let octets = input.get(2..2 + count).ok_or(Malformed::Truncated)?;
        let length = octets
            .iter()
            .fold(0_u64, |length, octet| length << 8 | u64::from(*octet));
        if length < 0x80 || octets.first() == Some(&0) {
            return Err(Malformed::LengthNotShortest);
        }
        (2 + count, usize::try_from(length).map_err(|_| Malformed::Truncated)?)
    };
    let end = header.checked_add(length).ok_or(Malformed::Truncated)?;
    let raw = input.get(..end).ok_or(Malformed::Truncated)?;
    let content = raw.get(header..).ok_or(Malformed::Truncated)?;
    let rest = input.get(end..).ok_or(Malformed::Truncated)?;
    Ok((Element { tag, content, raw }, rest))
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OCTET_STRING_CONSTRUCTED: u8 = 0x24;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Context-specific tags, primitive and constructed.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}
const CONSTRUCTED: u8 = 0x20;
/// Elements inside of elements in the parts that are BER. Source: own choice; CMS nests six deep before the content and
/// the certificates are cut out as DER (RFC 5652 section 5), chunks of the content add two (X.690 section 8.7.3).
const MAXIMUM_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], rules: Rules, expected: Result<&[u8], Malformed>) {
        let mut reader = Reader::new(input, rules);
        let got = reader
            .any()
            .and_then(|element| reader.finish().map(|()| element.content));
        assert_eq!(got, expected, "{input:02x?}");
    }

    #[test]
    fn definite_lengths() {
        check(&[0x04, 0x02, 1, 2], Rules::Distinguished, Ok(&[1, 2]));
        check(&[0x04, 0x02, 1], Rules::Distinguished, Err(Malformed::Truncated));
        check(&[0x04, 0x01, 1, 2], Rules::Distinguished, Err(Malformed::TrailingBytes));
        check(
            &[0x04, 0x81, 0x01, 1],
            Rules::Distinguished,
            Err(Malformed::LengthNotShortest),
        );
        check(
            &[0x04, 0x82, 0x00, 0x81, 1],
            Rules::IndefiniteToo,
            Err(Malformed::LengthNotShortest),
        );
        check(
            &[0x04, 0x85, 0, 0, 0, 0, 1, 1],
            Rules::Distinguished,
            Err(Malformed::Truncated),
        );
        check(
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
            Rules::Distinguished,
            Err(Malformed::Truncated),
        );
        check(&[0x1f, 0x81, 0x00], Rules::Distinguished, Err(Malformed::LongTag));
        check(&[], Rules::Distinguished, Err(Malformed::Truncated));
    }

    #[test]
    fn indefinite_lengths_only_where_ber_is_read() {
        check(
            &[0x30, 0x80, 0x04, 0x01, 7, 0, 0],
            Rules::IndefiniteToo,
            Ok(&[0x04, 0x01, 7]),
        );
        check(
            &[0x30, 0x80, 0x04, 0x01, 7, 0, 0],
            Rules::Distinguished,
            Err(Malformed::IndefiniteLength),
        );
        check(
            &[0x04, 0x80, 0, 0],
            Rules::IndefiniteToo,
            Err(Malformed::IndefiniteLength),
        );
        check(
            &[0x30, 0x80, 0x04, 0x01, 7, 0],
            Rules::IndefiniteToo,
            Err(Malformed::Truncated),
        );
        check(&[0x30, 0x80].repeat(40), Rules::IndefiniteToo, Err(Malformed::TooDeep));
    }

    #[test]
    fn integers_booleans_and_bits_have_one_form() {
        assert_eq!(small_integer(&[0x00, 0x80]), Ok(128));
        for bad in [&[][..], &[0x80], &[0x00, 0x7f], &[1, 2, 3, 4, 5, 6], &[0x00, 0x01]] {
            assert!(small_integer(bad).is_err(), "{bad:02x?}");
        }
        assert!(boolean(&[1]).is_err());
        assert_eq!(named_bits(&[1, 0x06]), Ok(0b110_0000));
        assert!(named_bits(&[2, 0x06]).is_err());
        assert!(named_bits(&[8, 0x00]).is_err());
    }

    #[test]
    fn chunks_are_joined() {
        let mut reader = Reader::new(&[0x24, 0x80, 0x04, 0x01, 7, 0x04, 0x01, 8, 0, 0], Rules::IndefiniteToo);
        assert_eq!(reader.any().and_then(octet_string), Ok(vec![7, 8]));
    }
}
