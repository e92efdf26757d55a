//! DER of structures with secrets in them: every buffer is overwritten when it is dropped.

use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

pub(super) type Der = Zeroizing<Vec<u8>>;

/// A value with a tag of one octet in front (X.690 section 8.1).
pub(super) fn value(tag: u8, content: &[&[u8]]) -> Der {
    let length: usize = content.iter().map(|part| part.len()).sum();
    // A tag, a first octet of the length and at most eight more. If the vector grew, a copy would stay behind.
    let mut der = Zeroizing::new(Vec::with_capacity(length + 10));
    der.push(tag);
    let octets = length.to_be_bytes();
    let significant = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    match (significant, u8::try_from(significant.len())) {
        ([], _) => der.push(0),
        ([short], _) if *short < 0x80 => der.push(*short),
        (long, Ok(count)) => {
            der.push(0x80 | count);
            der.extend_from_slice(long);
        }
        // A length has eight octets at most.
        (_, Err(_)) => {}
    }
    for part in content {
        der.extend_from_slice(part);
    }
    der
}

pub(super) fn sequence(parts: &[&[u8]]) -> Der {
    value(0x30, parts)
}

/// A SET OF one element: several would have to be sorted (X.690 section 11.6).
pub(super) fn set(element: &[u8]) -> Der {
    value(0x31, &[element])
}

pub(super) fn octet_string(octets: &[u8]) -> Der {
    value(0x04, &[octets])
}

/// `[0] EXPLICIT`.
pub(super) fn context_0(inner: &[u8]) -> Der {
    value(0xa0, &[inner])
}

pub(super) fn oid(oid: &str) -> Der {
    // Constants of this module, which the tests below all go through.
    value(0x06, &[ObjectIdentifier::new_unwrap(oid).as_bytes()])
}

pub(super) fn integer(number: u32) -> Der {
    let octets = number.to_be_bytes();
    let mut significant = &octets[..];
    // The shortest form whose first bit, the sign, is zero (X.690 section 8.3.2).
    while let [0, rest @ ..] = significant
        && rest.first().is_some_and(|next| *next < 0x80)
    {
        significant = rest;
    }
    match significant.first() {
        Some(first) if *first >= 0x80 => value(0x02, &[&[0], significant]),
        _ => value(0x02, &[significant]),
    }
}

pub(super) fn null() -> Der {
    value(0x05, &[])
}

/// A BMPString: two octets for each character (X.690 section 8.23.8).
pub(super) fn bmp_string(text: &str) -> Der {
    let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    value(0x1e, &[&octets])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        for (length, head) in [
            (0, &[0x04, 0][..]),
            (127, &[0x04, 127]),
            (128, &[0x04, 0x81, 128]),
            (255, &[0x04, 0x81, 255]),
            (256, &[0x04, 0x82, 1, 0]),
            (70_000, &[0x04, 0x83, 1, 0x11, 0x70]),
        ] {
            let der = octet_string(&vec![7; length]);
            assert_eq!(&der[..head.len()], head);
            assert_eq!(der.len(), head.len() + length);
        }
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        for (number, der) in [
            (0, &[0x02, 1, 0][..]),
            (3, &[0x02, 1, 3]),
            (127, &[0x02, 1, 127]),
            (128, &[0x02, 2, 0, 128]),
            (2048, &[0x02, 2, 8, 0]),
            (100_000, &[0x02, 3, 1, 0x86, 0xa0]),
            (u32::MAX, &[0x02, 5, 0, 255, 255, 255, 255]),
        ] {
            assert_eq!(integer(number).as_slice(), der);
        }
    }
}
