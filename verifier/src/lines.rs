//! Questions about line ends, asked of many octets at a time.
//!
//! A message is mostly body, and these go over all of it. They are written without early exits inside a block, which
//! lets the compiler compare as many octets at once as the processor can.

/// Whether a CR or LF stands anywhere but in CRLF.
pub(crate) fn has_bare_line_ends(bytes: &[u8]) -> bool {
    if bytes.first() == Some(&b'\n') || bytes.last() == Some(&b'\r') {
        return true;
    }
    let after = bytes.get(1..).unwrap_or_default();
    let mut blocks = bytes.chunks(BLOCK).zip(after.chunks(BLOCK));
    blocks.any(|(left, right)| {
        let bare = left.iter().zip(right).fold(0, |bare, (left, right)| {
            bare | (u8::from(*left == b'\r') ^ u8::from(*right == b'\n'))
        });
        bare != 0
    })
}

/// Where lines begin that start with two hyphens, in ascending order. Lines end in LF.
pub(crate) fn starts_with_hyphens(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let second = bytes.get(1..).unwrap_or_default();
    let third = bytes.get(2..).unwrap_or_default();
    let blocks = bytes
        .chunks(BLOCK)
        .zip(second.chunks(BLOCK))
        .zip(third.chunks(BLOCK))
        .enumerate();
    let after_line_ends = blocks
        .filter(|(_, ((first, second), third))| {
            let triples = first.iter().zip(*second).zip(*third);
            triples.fold(0, |any, triple| any | u8::from(is_start(triple))) != 0
        })
        .flat_map(|(number, ((first, second), third))| {
            let triples = first.iter().zip(second).zip(third).enumerate();
            triples.filter_map(move |(place, triple)| is_start(triple).then_some(number * BLOCK + place + 1))
        });
    let at_the_start = bytes.starts_with(b"--").then_some(0);
    at_the_start.into_iter().chain(after_line_ends)
}

/// A line end and two hyphens.
fn is_start(((first, second), third): ((&u8, &u8), &u8)) -> bool {
    (*first == b'\n') & (*second == b'-') & (*third == b'-')
}

/// Large enough that asking whether a block is of interest costs nothing, small enough to stay close to the processor.
const BLOCK: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_bare(bytes: &[u8], expected: bool) {
        assert_eq!(has_bare_line_ends(bytes), expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn bare_line_ends_are_found_wherever_blocks_meet() {
        for (bytes, bare) in [
            (&b""[..], false),
            (b"a", false),
            (b"a\r\nb", false),
            (b"\r\n", false),
            (b"\r\n\r\n", false),
            (b"\n", true),
            (b"\r", true),
            (b"a\nb", true),
            (b"a\rb", true),
            (b"a\r", true),
            (b"\na", true),
            (b"a\r\r\n", true),
            (b"a\r\n\n", true),
        ] {
            check_bare(bytes, bare);
        }
        for place in 0..3 * BLOCK {
            let mut bytes = vec![b'x'; 3 * BLOCK + 2];
            bytes[place] = b'\r';
            check_bare(&bytes, true);
            bytes[place + 1] = b'\n';
            check_bare(&bytes, false);
            bytes[place] = b'x';
            check_bare(&bytes, true);
        }
    }

    #[test]
    fn hyphens_are_found_wherever_blocks_meet() {
        let found = |bytes: &[u8]| starts_with_hyphens(bytes).collect::<Vec<_>>();
        for place in 0..3 * BLOCK {
            let mut bytes = vec![b'x'; 3 * BLOCK + 2];
            bytes[place..place + 2].fill(b'-');
            if place == 0 {
                assert_eq!(found(&bytes), [0]);
            } else {
                assert!(found(&bytes).is_empty());
                bytes[place - 1] = b'\n';
                assert_eq!(found(&bytes), [place]);
            }
        }
    }

    proptest! {
        #[test]
        fn they_say_what_looking_at_one_octet_after_the_other_says(
            text in "[\r\nx-]{0,40}",
            before in 0..2 * BLOCK,
        ) {
            let bytes = [vec![b'x'; before].as_slice(), text.as_bytes()].concat();
            let is_bare = |place: usize| match bytes[place] {
                b'\r' => bytes.get(place + 1) != Some(&b'\n'),
                b'\n' => place == 0 || bytes[place - 1] != b'\r',
                _ => false,
            };
            prop_assert_eq!(has_bare_line_ends(&bytes), (0..bytes.len()).any(is_bare));
            let starts: Vec<usize> = (0..bytes.len())
                .filter(|place| *place == 0 || bytes[place - 1] == b'\n')
                .filter(|place| bytes[*place..].starts_with(b"--"))
                .collect();
            prop_assert_eq!(starts_with_hyphens(&bytes).collect::<Vec<_>>(), starts);
        }
    }
}
