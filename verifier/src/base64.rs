//! base64 as mail has it, in lines (RFC 2045 section 6.8), read in one pass and in one way only.

/// Decodes text in which line ends may stand anywhere and nothing else may.
///
/// `None` unless the padding is complete and the bits that it leaves over are zero (RFC 4648 section 3.5), so that no
/// two texts without line ends mean the same.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text;
    // The values of a quantum that a line end has torn apart, and how many padding characters have come.
    let mut torn: Vec<u8> = Vec::with_capacity(4);
    let mut padding = 0_usize;
    loop {
        if torn.is_empty() && padding == 0 {
            while let Some((quantum, after)) = rest.split_first_chunk::<4>() {
                let values = quantum.map(value);
                if values.iter().fold(0, |all, value| all | value) >= 64 {
                    break;
                }
                decoded.extend_from_slice(&octets(values));
                rest = after;
            }
        }
        let Some((character, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        match (character, value(*character)) {
            (b'\r' | b'\n', _) => {}
            (b'=', _) => padding += 1,
            (_, value) if value < 64 && padding == 0 => torn.push(value),
            _ => return None,
        }
        if let [a, b, c, d] = *torn.as_slice() {
            decoded.extend_from_slice(&octets([a, b, c, d]));
            torn.clear();
        }
    }
    match (torn.as_slice(), padding) {
        ([], 0) => {}
        ([a, b], 2) if b & 0x0f == 0 => decoded.push(a << 2 | b >> 4),
        ([a, b, c], 1) if c & 0x03 == 0 => decoded.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]),
        _ => return None,
    }
    Some(decoded)
}

fn octets([a, b, c, d]: [u8; 4]) -> [u8; 3] {
    [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]
}

/// 0 to 63, or more for what is not of the alphabet.
fn value(character: u8) -> u8 {
    VALUES[usize::from(character)]
}

const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [u8::MAX; 256];
    let mut index = 0_u8;
    while index < 64 {
        #[expect(clippy::as_conversions, reason = "u8 to usize, which From cannot do in a constant")]
        let character = alphabet[index as usize];
        #[expect(clippy::as_conversions, reason = "u8 to usize, which From cannot do in a constant")]
        let place = character as usize;
        values[place] = index;
        index += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&[u8]>) {
        assert_eq!(decode(text.as_bytes()).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn lines_may_end_anywhere() {
        check("", Some(b""));
        check("Zm9v", Some(b"foo"));
        check("Zm9vYg==", Some(b"foob"));
        check("Zm9vYmE=\r\n", Some(b"fooba"));
        check("Z\r\nm9\r\nvY\nmFy\r\n\r\n", Some(b"foobar"));
        check("Zm9vYg=\r\n=", Some(b"foob"));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            "Z",
            "Zm",
            "Zm9",
            "Zm9vY",
            "Zm9vYg",
            "Zm9vYg=",
            "Zm9vYg===",
            "Zm9v=",
            "Zm9v====",
            "=",
            "====",
            "Z===",
            "Zm9vYg==Zm9v",
            "Zm=9",
            "Zm9vYh==",
            "Zm9vYmF=",
            "Zm9v Zm9v",
            "Zm9v\tZm9v",
            "Zm9-",
            "Zm9_",
            "Zm9v\0",
            "Zm9\u{f6}",
            "Zm9v#",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn it_says_what_another_decoder_says(
            text in "[A-Za-z0-9+/]{0,40}(={0,3})",
            bytes: Vec<u8>,
            every in 1..80_usize,
        ) {
            prop_assert_eq!(decode(text.as_bytes()), Base64::decode_vec(&text).ok());
            let lines: Vec<u8> = Base64::encode_string(&bytes)
                .as_bytes()
                .chunks(every)
                .flat_map(|line| [line, b"\r\n"].concat())
                .collect();
            prop_assert_eq!(decode(&lines), Some(bytes));
        }
    }
}
