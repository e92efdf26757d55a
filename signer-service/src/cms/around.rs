//! DER built from the inside out around content that may be large and is copied once.

/// What stands before and behind the content so far.
#[derive(Debug, Clone)]
pub(super) struct Around<'c> {
    /// Backwards, since it grows at its front.
    before: Vec<u8>,
    content: &'c [u8],
    behind: Vec<u8>,
}

impl<'c> Around<'c> {
    pub(super) const fn content(content: &'c [u8]) -> Self {
        Self {
            before: Vec::new(),
            content,
            behind: Vec::new(),
        }
    }

    /// Puts all of it into an element with this tag.
    pub(super) fn inside(mut self, tag: u8) -> Self {
        let length = self.before.len() + self.content.len() + self.behind.len();
        // X.690 section 8.1.3: one octet below 128, otherwise the number of octets first.
        let octets = length.to_be_bytes();
        let significant = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
        self.before.extend(significant.iter().rev());
        match significant {
            [] => self.before.push(0),
            [short] if *short < 0x80 => {}
            // A usize has eight octets at most.
            _ => self.before.push(0x80 | u8::try_from(significant.len()).unwrap_or(8)),
        }
        self.before.push(tag);
        self
    }

    /// Puts `element` in front of all of it.
    pub(super) fn preceded_by(mut self, element: &[u8]) -> Self {
        self.before.extend(element.iter().rev());
        self
    }

    /// Puts `element` after all of it.
    pub(super) fn followed_by(mut self, element: &[u8]) -> Self {
        self.behind.extend_from_slice(element);
        self
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.before.len() + self.content.len() + self.behind.len());
        whole.extend(self.before.iter().rev());
        whole.extend_from_slice(self.content);
        whole.extend_from_slice(&self.behind);
        whole
    }
}

pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// Constructed, as both explicit tags and implicit ones of SET OF are.
pub(super) const CONTEXT_0: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use der::asn1::OctetStringRef;
    use der::{Any, Encode as _};

    use super::*;

    #[test]
    fn lengths_are_those_of_der() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 20_000_000] {
            let content = vec![7; length];
            let expected = OctetStringRef::new(&content)
                .and_then(|octets| octets.to_der())
                .unwrap();
            assert!(
                Around::content(&content).inside(OCTET_STRING).into_vec() == expected,
                "{length}"
            );
        }
    }

    #[test]
    fn elements_stand_where_they_were_put() {
        let built = Around::content(b"cc")
            .preceded_by(b"bb")
            .preceded_by(b"aa")
            .followed_by(b"dd")
            .inside(0x04)
            .followed_by(b"!");
        assert_eq!(built.into_vec(), b"\x04\x08aabbccdd!");
        let nested = Around::content(&[5, 0]).inside(SEQUENCE).inside(CONTEXT_0).into_vec();
        assert_eq!(nested, [0xa0, 4, 0x30, 2, 5, 0]);
        assert!(<Any as der::Decode>::from_der(&nested).is_ok());
    }
}
