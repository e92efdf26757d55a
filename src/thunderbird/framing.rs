//! Native messaging: each message is its length in 32 bits of this machine's byte order, and then so much JSON.

use std::io::{self, Read, Write};

/// The most that the host reads at once: a message of 64 MiB (the verifier's own limit) in base64, and a few words.
pub(super) const LARGEST_QUESTION: u32 = 90 * 1024 * 1024;
/// The most that Thunderbird takes from a host; it ends the connection at more.
pub(super) const LARGEST_ANSWER: usize = 1024 * 1024;

/// Why there is no frame. After any of these the connection cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("a question of {length} bytes is larger than {LARGEST_QUESTION}, the most that is read")]
    TooLarge { length: u32 },
    #[error("the connection ended in the middle of a question; Thunderbird was closed, or something else writes here")]
    Truncated,
    #[error("an answer of {length} bytes is larger than {LARGEST_ANSWER}, the most that Thunderbird takes")]
    AnswerTooLarge { length: usize },
    #[error("cannot read or write the connection: {0}")]
    Io(#[from] io::Error),
}

/// The next frame; `None` where the other side has ended in good order.
pub(super) fn read(input: &mut impl Read) -> Result<Option<Vec<u8>>, Problem> {
    let mut prefix = Vec::with_capacity(PREFIX);
    input.by_ref().take(PREFIX as u64).read_to_end(&mut prefix)?;
    if prefix.is_empty() {
        return Ok(None);
    }
    let length = <[u8; PREFIX]>::try_from(prefix.as_slice()).map_err(|_| Problem::Truncated)?;
    let length = u32::from_ne_bytes(length);
    if length > LARGEST_QUESTION {
        return Err(Problem::TooLarge { length });
    }
    // Memory grows with what arrives, not with what was announced.
    let mut frame = Vec::new();
    let read = input.by_ref().take(u64::from(length)).read_to_end(&mut frame)?;
    if u32::try_from(read) != Ok(length) {
        return Err(Problem::Truncated);
    }
    Ok(Some(frame))
}

/// Writes a frame and sees that it leaves.
pub(super) fn write(output: &mut impl Write, frame: &[u8]) -> Result<(), Problem> {
    let too_large = Problem::AnswerTooLarge { length: frame.len() };
    if frame.len() > LARGEST_ANSWER {
        return Err(too_large);
    }
    let length = u32::try_from(frame.len()).map_err(|_| too_large)?;
    output.write_all(&length.to_ne_bytes())?;
    output.write_all(frame)?;
    Ok(output.flush()?)
}

const PREFIX: usize = size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, content).unwrap();
        bytes
    }

    #[test]
    fn frames_are_read_one_after_the_other() {
        let bytes = [framed(b"{}"), framed(b""), framed(b"[1]")].concat();
        let mut input = bytes.as_slice();
        assert_eq!(read(&mut input).unwrap().unwrap(), b"{}");
        assert_eq!(read(&mut input).unwrap().unwrap(), b"");
        assert_eq!(read(&mut input).unwrap().unwrap(), b"[1]");
        assert!(read(&mut input).unwrap().is_none());
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = framed(b"{\"id\":1}");
        for length in 1..bytes.len() {
            assert!(
                matches!(read(&mut &bytes[..length]), Err(Problem::Truncated)),
                "{length} of {} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn an_announced_giant_is_refused_before_it_is_read() {
        for length in [LARGEST_QUESTION + 1, u32::MAX] {
            let mut input = length.to_ne_bytes().to_vec();
            input.extend_from_slice(b"{}");
            assert!(matches!(read(&mut input.as_slice()), Err(Problem::TooLarge { .. })));
        }
        let largest = LARGEST_QUESTION.to_ne_bytes();
        assert!(matches!(read(&mut largest.as_slice()), Err(Problem::Truncated)));
    }

    #[test]
    fn an_answer_that_thunderbird_would_not_take_is_not_begun() {
        let mut output = Vec::new();
        let refused = write(&mut output, &vec![b' '; LARGEST_ANSWER + 1]);
        assert!(matches!(refused, Err(Problem::AnswerTooLarge { .. })));
        assert!(output.is_empty());
        write(&mut output, &vec![b' '; LARGEST_ANSWER]).unwrap();
    }
}
