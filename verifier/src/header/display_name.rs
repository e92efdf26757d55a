//! The display name as a client shows it: atoms, quoted strings and encoded words (RFC 2047).

use base64ct::{Base64, Encoding};

use super::sender::{FromProblem, Token};

/// Joins a phrase, and says whether all of its encoded words could be read.
///
/// NOTE: dots in an unquoted phrase ("John Q. Public") are obsolete syntax (RFC 5322 section 4.1), yet everywhere. They
/// cannot hide an address, so they are accepted; everything else obsolete is not.
pub(super) fn decode(phrase: &[Token]) -> Result<(String, bool), FromProblem> {
    let mut name = String::new();
    let mut readable = true;
    let mut after_encoded_word = false;
    for token in phrase {
        let (piece, is_encoded_word) = match token {
            Token::Quoted(text) => {
                // Some clients decode encoded words inside quotes although section 5 (3) forbids it.
                let words: Vec<String> = text
                    .split(' ')
                    .map(|word| match encoded_word(word) {
                        EncodedWord::Decoded(decoded) => decoded,
                        EncodedWord::Unreadable | EncodedWord::NotOne => word.to_owned(),
                    })
                    .collect();
                (words.join(" "), false)
            }
            Token::Text { text, space_before } => {
                if text.contains('@') || !(*space_before || name.is_empty()) {
                    return Err(FromProblem::Syntax);
                }
                match encoded_word(text) {
                    EncodedWord::Decoded(decoded) => (decoded, true),
                    EncodedWord::Unreadable => {
                        readable = false;
                        (text.clone(), true)
                    }
                    EncodedWord::NotOne => (text.clone(), false),
                }
            }
            Token::Special(_) => return Err(FromProblem::Syntax),
        };
        // White space between two encoded words is not shown (RFC 2047 section 6.2).
        let joined = after_encoded_word && is_encoded_word;
        if !joined && !name.is_empty() {
            name.push(' ');
        }
        name.push_str(&piece);
        after_encoded_word = is_encoded_word;
    }
    Ok((name.trim().to_owned(), readable))
}

enum EncodedWord {
    NotOne,
    Unreadable,
    Decoded(String),
}

fn encoded_word(text: &str) -> EncodedWord {
    let Some(inner) = text.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?=")) else {
        // One that is glued to other text is decoded by some clients and not by others.
        return if text.contains("=?") && text.contains("?=") {
            EncodedWord::Unreadable
        } else {
            EncodedWord::NotOne
        };
    };
    let mut parts = inner.splitn(3, '?');
    let (Some(charset), Some(encoding), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return EncodedWord::Unreadable;
    };
    if encoded.contains('?') {
        return EncodedWord::Unreadable;
    }
    let octets = match encoding {
        "B" | "b" => Base64::decode_vec(encoded).ok(),
        "Q" | "q" => q_decode(encoded.as_bytes()),
        _ => None,
    };
    let Some(octets) = octets else {
        return EncodedWord::Unreadable;
    };
    // RFC 2231 section 5: the language after an asterisk says nothing about the characters.
    let charset = charset.split('*').next().unwrap_or(charset).to_ascii_lowercase();
    let decoded = match charset.as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(octets).ok(),
        "iso-8859-1" | "latin1" => Some(octets.into_iter().map(char::from).collect()),
        _ => None,
    };
    decoded.map_or(EncodedWord::Unreadable, EncodedWord::Decoded)
}

/// RFC 2047 section 4.2.
fn q_decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'_', _) => {
                octets.push(b' ');
                after
            }
            (b'=', [high, low, after @ ..]) => {
                octets.push(hexadecimal(*high)? << 4 | hexadecimal(*low)?);
                after
            }
            (b'=', _) => return None,
            (byte, _) => {
                octets.push(byte);
                after
            }
        };
    }
    Some(octets)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: (&str, bool)) {
        let phrase: Vec<Token> = words
            .iter()
            .map(|word| Token::Text {
                text: (*word).to_owned(),
                space_before: true,
            })
            .collect();
        assert_eq!(decode(&phrase), Ok((expected.0.to_owned(), expected.1)), "{words:?}");
    }

    #[test]
    fn encoded_words_are_shown_decoded() {
        check(&["=?UTF-8?Q?a_b=C3=BC?="], ("a bü", true));
        check(&["=?utf-8?b?w7w=?=", "=?utf-8?b?w7w=?="], ("üü", true));
        check(&["=?iso-8859-1?q?=FC?=", "x"], ("ü x", true));
        check(&["=?utf-8*de?q?x?="], ("x", true));
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        check(&["=?utf-8?q?=FF?="], ("=?utf-8?q?=FF?=", false));
        check(&["=?utf-8?q?=F?="], ("=?utf-8?q?=F?=", false));
        check(&["=?koi8-r?q?x?="], ("=?koi8-r?q?x?=", false));
        check(&["=?utf-8?x?x?="], ("=?utf-8?x?x?=", false));
        check(&["a=?utf-8?q?x?=b"], ("a=?utf-8?q?x?=b", false));
        check(&["=?utf-8?b?!?="], ("=?utf-8?b?!?=", false));
    }
}
