//! Names of issuers and subjects, compared as RFC 5280 section 7.1 asks.

use const_oid::ObjectIdentifier;

use crate::asn1::{
    self, BMP_STRING, IA5_STRING, Malformed, PRINTABLE_STRING, Reader, Rules, SEQUENCE, SET, TELETEX_STRING,
    UTF8_STRING,
};

/// A Name as it stands in a certificate, and in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DistinguishedName {
    /// RDNSequence, outermost first; each set sorted.
    relative_names: Vec<Vec<Attribute>>,
}

/// One AttributeTypeAndValue.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) kind: ObjectIdentifier,
    /// The tag of the value: which string type it is.
    pub(crate) tag: u8,
    /// The characters, if it is a string that can be read.
    pub(crate) text: Option<String>,
    /// Tells whether two values are the same.
    comparable: Vec<u8>,
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.comparable == other.comparable
    }
}

impl Eq for Attribute {}

impl DistinguishedName {
    /// Reads a Name, raw with its SEQUENCE.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, Malformed> {
        let mut relative_names = Vec::new();
        for set in asn1::whole_sequence(raw)?.all(MAXIMUM_ATTRIBUTES)? {
            if set.tag != SET {
                return Err(Malformed::UnexpectedTag {
                    expected: SET,
                    found: set.tag,
                });
            }
            relative_names.push(relative_name(set.content)?);
        }
        Ok(Self { relative_names })
    }

    /// This name with one more relative name below it, given as the content of its SET.
    pub(crate) fn continued_by(&self, set: &[u8]) -> Result<Self, Malformed> {
        let mut relative_names = self.relative_names.clone();
        relative_names.push(relative_name(set)?);
        Ok(Self { relative_names })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.relative_names.is_empty()
    }

    /// Every attribute, outermost first.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.relative_names.iter().flatten()
    }

    /// Whether this name lies in the subtree of `ancestor` (RFC 5280 section 4.2.1.10, directoryName).
    pub(crate) fn is_within(&self, ancestor: &Self) -> bool {
        self.relative_names.starts_with(&ancestor.relative_names)
    }
}

/// The attributes of one RelativeDistinguishedName, sorted.
fn relative_name(set: &[u8]) -> Result<Vec<Attribute>, Malformed> {
    let mut attributes = Vec::new();
    for pair in Reader::new(set, Rules::Distinguished).all(MAXIMUM_ATTRIBUTES)? {
        attributes.push(Attribute::read(pair)?);
    }
    if attributes.is_empty() {
        return Err(Malformed::Missing { expected: SEQUENCE });
    }
    attributes.sort_by(|left, right| (left.kind, &left.comparable).cmp(&(right.kind, &right.comparable)));
    Ok(attributes)
}

impl Attribute {
    fn read(pair: asn1::Element<'_>) -> Result<Self, Malformed> {
        if pair.tag != SEQUENCE {
            return Err(Malformed::UnexpectedTag {
                expected: SEQUENCE,
                found: pair.tag,
            });
        }
        let mut reader = Reader::new(pair.content, Rules::Distinguished);
        let kind = reader.object_identifier()?;
        let value = reader.any()?;
        reader.finish()?;
        let text = text(value.tag, value.content)?;
        // Strings of different types are the same if their characters are (RFC 5280 section 7.1); other values, if
        // their encoding is. The first byte keeps the two apart.
        let comparable = match &text {
            Some(text) => [&[0], prepared(text).as_bytes()].concat(),
            None => [&[1], value.raw].concat(),
        };
        Ok(Self {
            kind,
            tag: value.tag,
            text,
            comparable,
        })
    }
}

/// The characters of a string type that RFC 5280 allows for names.
pub(crate) fn text(tag: u8, content: &[u8]) -> Result<Option<String>, Malformed> {
    let invalid = Malformed::Value {
        what: "a string in a name",
    };
    match tag {
        UTF8_STRING => String::from_utf8(content.to_vec()).map(Some).map_err(|_| invalid),
        PRINTABLE_STRING | IA5_STRING => {
            if !content.is_ascii() {
                return Err(invalid);
            }
            Ok(Some(content.iter().copied().map(char::from).collect()))
        }
        // What its upper half means was never agreed on; only ASCII is read.
        TELETEX_STRING if content.is_ascii() => Ok(Some(content.iter().copied().map(char::from).collect())),
        BMP_STRING => {
            let (pairs, rest) = content.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(invalid);
            }
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .map(Some)
                .map_err(|_| invalid)
        }
        _ => Ok(None),
    }
}

/// RFC 5280 section 7.1 through RFC 4518: case folded, runs of spaces one, none at the ends.
///
/// NOTE: Unicode normalization (NFKC) is left out. Names that differ in it do not chain, which is the safe side.
fn prepared(text: &str) -> String {
    let words: Vec<String> = text
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

/// Relative names of a name, and attributes of one of those. Source: own choice; the S/MIME BR section 7.1.4.2.2 knows
/// fourteen attributes.
const MAXIMUM_ATTRIBUTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(tag: u8, value: &[u8]) -> DistinguishedName {
        let length = |octets: &[u8]| u8::try_from(octets.len()).unwrap();
        let value = [&[tag, length(value)], value].concat();
        let pair = [&[0x06, 3, 0x55, 4, 3], value.as_slice()].concat();
        let pair = [&[SEQUENCE, length(&pair)], pair.as_slice()].concat();
        let set = [&[SET, length(&pair)], pair.as_slice()].concat();
        DistinguishedName::read(&[&[SEQUENCE, length(&set)], set.as_slice()].concat()).unwrap()
    }

    #[test]
    fn comparison_ignores_case_spaces_and_string_type() {
        let reference = name(UTF8_STRING, b"Good CA");
        for same in [
            name(PRINTABLE_STRING, b"good  ca"),
            name(UTF8_STRING, b" GOOD CA "),
            name(BMP_STRING, b"\0G\0o\0o\0d\0 \0C\0a"),
        ] {
            assert_eq!(same, reference);
        }
        assert_ne!(name(UTF8_STRING, b"GoodCA"), reference);
        // An octet string with the same bytes is no string.
        assert_ne!(name(0x04, b"Good CA"), reference);
    }

    #[test]
    fn strings_must_be_what_their_type_says() {
        assert!(text(UTF8_STRING, b"\xff").is_err());
        assert!(text(PRINTABLE_STRING, b"\xc3\xa4").is_err());
        assert!(text(BMP_STRING, b"\0").is_err());
        assert!(text(BMP_STRING, b"\xd8\x00").is_err());
    }
}
