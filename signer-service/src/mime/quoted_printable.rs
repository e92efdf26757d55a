//! Quoted-printable in the form that relays leave alone, see RFC 2045 section 6.7 and RFC 8551 section 3.1.3.

/// Encodes canonical text; CRLF stays a line break, everything else that a relay could change is encoded.
///
/// Beyond the RFC: blanks before a line break, a leading `.`, a leading `From ` and a leading `--` (which could
/// be taken for a delimiter of an enclosing multipart) are encoded, also at the start of a line made by a soft
/// break, and there is never a soft break at the end.
pub fn encode(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len() + text.len() / 8);
    let mut column = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(b"\r\n") {
            encoded.extend_from_slice(b"\r\n");
            column = 0;
            at += 2;
            continue;
        }
        let byte = rest[0];
        let ends_line = rest.len() == 1 || rest[1..].starts_with(b"\r\n");
        // One column is kept for the "=" of a soft break, unless this byte is the line's last.
        let limit = if ends_line { COLUMNS } else { COLUMNS - 1 };
        if column + width(byte, rest, ends_line, column) > limit {
            encoded.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if width(byte, rest, ends_line, column) == 1 {
            encoded.push(byte);
            column += 1;
        } else {
            encoded.extend_from_slice(&[
                b'=',
                HEXADECIMAL[usize::from(byte >> 4)],
                HEXADECIMAL[usize::from(byte & 0x0f)],
            ]);
            column += 3;
        }
        at += 1;
    }
    encoded
}

/// Decodes; an escape that is not two hexadecimal digits or a soft break is an error (`None`).
///
/// Blanks at a line's end are transport padding and dropped, as RFC 2045 section 6.7 (3) demands.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    for (start, line) in super::canonical::lines(text) {
        let broken = text[start + line.len()..].starts_with(b"\r\n");
        let line = super::header::trim_blanks_end(line);
        let mut at = 0;
        let mut soft = false;
        while at < line.len() {
            match line[at] {
                b'=' if at + 1 == line.len() => {
                    soft = true;
                    at += 1;
                }
                b'=' => {
                    decoded.push(nibble(*line.get(at + 1)?)? << 4 | nibble(*line.get(at + 2)?)?);
                    at += 3;
                }
                byte @ (b'\t' | b' '..=b'~') => {
                    decoded.push(byte);
                    at += 1;
                }
                _ => return None,
            }
        }
        if broken && !soft {
            decoded.extend_from_slice(b"\r\n");
        }
    }
    Some(decoded)
}

/// How many columns `byte`, the first of `rest`, takes at `column`: itself, or an escape of three.
fn width(byte: u8, rest: &[u8], ends_line: bool, column: usize) -> usize {
    let plain = match byte {
        b'=' => false,
        b' ' | b'\t' => !ends_line,
        b'.' => column > 0,
        b'F' => column > 0 || !rest.starts_with(b"From "),
        b'-' => column > 0 || !rest.starts_with(b"--"),
        b'!'..=b'~' => true,
        _ => false,
    };
    if plain { 1 } else { 3 }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        // RFC 2045 section 6.7 (1): robust readers take lower case as well.
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

const COLUMNS: usize = 76;
const HEXADECIMAL: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &[u8], expected: &str) {
        let encoded = encode(text);
        assert_eq!(String::from_utf8(encoded.clone()).unwrap(), expected);
        assert_eq!(decode(&encoded).unwrap(), text);
    }

    #[test]
    fn what_relays_change_is_encoded() {
        check("Grüße\r\n".as_bytes(), "Gr=C3=BC=C3=9Fe\r\n");
        check(b"flowed \r\ntab\t\r\nend ", "flowed=20\r\ntab=09\r\nend=20");
        check(b".\r\n..x\r\na.b", "=2E\r\n=2E.x\r\na.b");
        check(b"From me\r\nFrom", "=46rom me\r\nFrom");
        check(b"-- \r\n--b", "=2D-=20\r\n=2D-b");
        check(b"1=1", "1=3D1");
        check(b"", "");
        check(b"\r\n\r\n", "\r\n\r\n");
    }

    #[test]
    fn soft_breaks_keep_76_columns_and_never_end_the_text() {
        check(&[b'a'; 76], &"a".repeat(76));
        check(&[b'a'; 77], &format!("{}=\r\naa", "a".repeat(75)));
        let dots = encode(&[[b'a'; 75].as_slice(), b".b."].concat());
        assert_eq!(dots, format!("{}=\r\n=2Eb.", "a".repeat(75)).as_bytes());
    }

    #[test]
    fn broken_escapes_are_refused() {
        for broken in [&b"=4"[..], b"=XY", b"=3", b"= 4", b"\xc3", b"\0"] {
            assert_eq!(decode(broken), None, "{broken:?}");
        }
        assert_eq!(decode(b"a=\r\n=").unwrap(), b"a");
        assert_eq!(decode(b"a  \r\nb").unwrap(), b"a\r\nb");
        assert_eq!(decode(b"=e4=E4").unwrap(), [0xe4, 0xe4]);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_fit_for_relays(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>().prop_filter("breaks lines", |byte| !matches!(byte, b'\r' | b'\n')), 0..200), 0..6)) {
            let text = lines.join(&b"\r\n"[..]);
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded).unwrap(), text);
            let fitness = super::super::canonical::Fitness::of(&encoded);
            prop_assert!(!fitness.unfit && !fitness.fragile && !fitness.binary);
            for (_, line) in super::super::canonical::lines(&encoded) {
                prop_assert!(line.len() <= COLUMNS && !line.starts_with(b"--"));
            }
            prop_assert!(!encoded.ends_with(b"=\r\n") && !encoded.ends_with(b"="));
        }
    }
}
