//! A connection as lines in and bytes out, with a bounded buffer for each direction.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroize as _;

/// Anything that bytes go over: TCP, TLS over it, or a pipe in memory.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    line: Vec<u8>,
    /// How much of `line` is content.
    content: usize,
    pub(crate) output: Vec<u8>,
}

/// Why there is no line.
#[derive(Debug)]
pub(crate) enum LineError {
    /// The other side has closed the connection.
    Closed,
    /// The line was longer than allowed; it was skipped up to its end, so the next one can be read.
    TooLong,
    /// A line feed without a carriage return before it. Where this line ends is a matter of opinion, so there is
    /// no safe next line.
    BareLineFeed,
    /// The line was so long that skipping it was given up.
    Flood,
    Io(io::Error),
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            input: vec![0; INPUT_OCTETS].into_boxed_slice(),
            start: 0,
            end: 0,
            line: Vec::new(),
            content: 0,
            output: Vec::new(),
        }
    }

    /// Gives the stream back, for a TLS handshake over it. The caller has seen that nothing is [`Self::buffered`].
    pub(crate) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// What has been received and not yet read.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Marks the first `count` octets of [`Self::buffered`] as read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Receives more; only called when nothing is buffered. Zero means that the other side has closed.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        // Reset before the read, not after: a cancelled read then leaves an empty buffer, never a stale one.
        (self.start, self.end) = (0, 0);
        self.end = self.stream.read(&mut self.input).await?;
        Ok(self.end)
    }

    /// Reads one line, without its CRLF, of at most `limit` octets with its CRLF.
    pub(crate) async fn read_line(&mut self, limit: usize) -> Result<&[u8], LineError> {
        self.line.clear();
        self.content = 0;
        let mut skipped = 0;
        loop {
            let buffered = &self.input[self.start..self.end];
            let line_feed = buffered.iter().position(|byte| *byte == b'\n');
            let piece = &buffered[..line_feed.map_or(buffered.len(), |index| index + 1)];
            append(&mut self.line, piece);
            let taken = piece.len();
            self.consume(taken);

            if line_feed.is_some() {
                let Some(content) = self.line.len().checked_sub(2).filter(|end| self.line[*end] == b'\r') else {
                    return Err(LineError::BareLineFeed);
                };
                if skipped + self.line.len() > limit {
                    return Err(LineError::TooLong);
                }
                self.content = content;
                return Ok(&self.line[..content]);
            }
            if skipped + self.line.len() > limit {
                // Only the last octet matters now: whether it is the CR of the end of the line.
                skipped += self.line.len();
                self.line.drain(..self.line.len() - 1);
                skipped -= self.line.len();
                if skipped > MAX_SKIPPED_OCTETS {
                    return Err(LineError::Flood);
                }
            }
            if self.fill().await.map_err(LineError::Io)? == 0 {
                return Err(LineError::Closed);
            }
        }
    }

    /// The line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line[..self.content]
    }

    /// Overwrites what was read and written so far, after a password has come or gone this way.
    pub(crate) fn wipe(&mut self) {
        self.line.zeroize();
        self.content = 0;
        self.input[..self.start].zeroize();
        self.input[self.end..].zeroize();
        if self.output.is_empty() {
            // All of its capacity, which is where the secret is once it was sent.
            self.output.zeroize();
        }
    }

    /// Sends what is in `output`.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        self.stream.flush().await
    }

    /// Ends the connection so that the other side still gets what was sent last: closing a TCP socket with unread
    /// input would reset it and could destroy the farewell on its way.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut drained = 0;
        while drained < MAX_DRAINED_OCTETS {
            match self.fill().await {
                Ok(0) | Err(_) => return,
                Ok(count) => drained += count,
            }
        }
    }
}

/// Extends `line` without leaving a copy of it behind in memory that was given back.
fn append(line: &mut Vec<u8>, piece: &[u8]) {
    if line.capacity() - line.len() < piece.len() {
        let mut larger = Vec::with_capacity((line.len() + piece.len()).next_power_of_two());
        larger.extend_from_slice(line);
        line.zeroize();
        *line = larger;
    }
    line.extend_from_slice(piece);
}

const INPUT_OCTETS: usize = 16 * 1024;
const MAX_SKIPPED_OCTETS: usize = 64 * 1024;
const MAX_DRAINED_OCTETS: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], limit: usize) -> Vec<Result<String, &'static str>> {
        let (mut ours, theirs) = tokio::io::duplex(input.len() + 1);
        ours.write_all(input)
            .await
            .expect("a duplex takes what it has room for");
        drop(ours);
        let mut wire = Wire::new(Box::new(theirs));
        let mut result = Vec::new();
        loop {
            match wire.read_line(limit).await {
                Ok(line) => result.push(Ok(String::from_utf8_lossy(line).into_owned())),
                Err(LineError::TooLong) => result.push(Err("too long")),
                Err(LineError::BareLineFeed) => result.push(Err("bare line feed")),
                Err(LineError::Flood) => {
                    result.push(Err("flood"));
                    return result;
                }
                Err(LineError::Closed | LineError::Io(_)) => return result,
            }
        }
    }

    #[tokio::test]
    async fn only_crlf_ends_a_line() {
        assert_eq!(
            lines(b"one\r\n\r\nthree\r\nfo", 99).await,
            [Ok("one".into()), Ok(String::new()), Ok("three".into())]
        );
        assert_eq!(lines(b"one\n", 99).await, [Err("bare line feed")]);
        assert_eq!(lines(b"\n", 99).await, [Err("bare line feed")]);
        assert_eq!(lines(b"a\rb\r\n", 99).await, [Ok("a\rb".into())]);
    }

    #[tokio::test]
    async fn what_was_read_can_be_wiped() {
        let (mut ours, theirs) = tokio::io::duplex(100);
        let mut wire = Wire::new(Box::new(theirs));
        ours.write_all(b"secr").await.expect("there is room");
        let reading = async { wire.read_line(99).await.map(<[u8]>::to_vec) };
        let writing = async {
            tokio::task::yield_now().await;
            ours.write_all(b"et\r\nnext\r\n").await
        };
        let (line, written) = tokio::join!(reading, writing);
        assert_eq!((line.expect("a line"), written.is_ok()), (b"secret".to_vec(), true));
        wire.wipe();
        assert!(
            wire.input
                .iter()
                .all(|byte| !b"secr".contains(byte) || b"next".contains(byte))
        );
        assert!(
            !wire
                .input
                .windows(2)
                .any(|pair| pair == b"se" || pair == b"cr" || pair == b"et")
        );
        assert_eq!(wire.read_line(99).await.expect("the next line"), b"next");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_once() {
        assert_eq!(
            lines(b"12345678\r\nnext\r\n", 10).await,
            [Ok("12345678".into()), Ok("next".into())]
        );
        assert_eq!(
            lines(b"123456789\r\nnext\r\n", 10).await,
            [Err("too long"), Ok("next".into())]
        );
        let long = [&vec![b'x'; 40_000][..], b"\r\nnext\r\n"].concat();
        assert_eq!(lines(&long, 512).await, [Err("too long"), Ok("next".into())]);
        let long = [&vec![b'x'; 40_000][..], b"\nnext\r\n"].concat();
        assert_eq!(lines(&long, 512).await[0], Err("bare line feed"));
        assert_eq!(lines(&vec![b'x'; 100_000], 512).await, [Err("flood")]);
    }
}
