//! Packets: a length of four octets, most significant first, then a command and its data.

use crate::ProtocolError;

/// Cuts a stream of octets into packets.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Where the next packet starts; what lies before it has been handed out.
    start: usize,
}

impl Frames {
    /// Where the octets that arrive are appended.
    ///
    /// Whatever was handed out is dropped first, so the buffer never holds more than one unfinished packet and what
    /// one read brings.
    pub fn receive_buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        &mut self.buffer
    }

    /// The next whole packet, without its length; `None` until more octets arrive.
    ///
    /// # Errors
    /// [`ProtocolError::FrameEmpty`], and [`ProtocolError::FrameTooLong`] as soon as the length has arrived.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, ProtocolError> {
        let rest = &self.buffer[self.start..];
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 {
            return Err(ProtocolError::FrameEmpty);
        }
        if length > LONGEST_FRAME {
            return Err(ProtocolError::FrameTooLong {
                length,
                limit: LONGEST_FRAME,
            });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let frame = self.start + 4..self.start + 4 + length;
        self.start = frame.end;
        Ok(Some(&self.buffer[frame]))
    }

    /// Whether a packet has begun to arrive.
    pub const fn is_within_frame(&self) -> bool {
        self.start < self.buffer.len()
    }
}

/// Appends a packet.
pub fn write(out: &mut Vec<u8>, code: u8, data: &[&[u8]]) {
    let length = 1 + data.iter().map(|piece| piece.len()).sum::<usize>();
    // Whatever is written was bounded by `LONGEST_FRAME`, see `response`.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(code);
    for piece in data {
        out.extend_from_slice(piece);
    }
}

/// Of a packet without its length. Body chunks have at most 65 535 octets in what is negotiated here, but a header
/// field comes in one packet, and administrators raise the limit of 102 400 octets that Postfix has for it.
pub const LONGEST_FRAME: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_however_they_arrive() {
        let mut stream = Vec::new();
        write(&mut stream, b'H', &[b"mail.example", b"\0"]);
        write(&mut stream, b'N', &[]);
        write(&mut stream, b'B', &[&[7; 70_000]]);
        for step in [1, 3, 4, 5, 17, 4096, stream.len()] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in stream.chunks(step) {
                frames.receive_buffer().extend_from_slice(piece);
                while let Some(frame) = frames.next_frame().unwrap() {
                    found.push(frame.to_vec());
                }
            }
            assert_eq!(found.len(), 3, "in pieces of {step}");
            assert_eq!(found[0], b"Hmail.example\0");
            assert_eq!(found[1], b"N");
            assert_eq!(found[2].len(), 70_001);
            assert!(!frames.is_within_frame());
        }
    }

    #[test]
    fn a_packet_that_is_cut_off_is_waited_for() {
        let mut stream = Vec::new();
        write(&mut stream, b'H', &[b"mail.example\0"]);
        for end in 0..stream.len() {
            let mut frames = Frames::default();
            frames.receive_buffer().extend_from_slice(&stream[..end]);
            assert_eq!(frames.next_frame(), Ok(None), "after {end} octets");
            assert_eq!(frames.is_within_frame(), end > 0);
        }
    }

    #[test]
    fn lengths_are_refused_before_anything_is_kept() {
        let mut frames = Frames::default();
        frames.receive_buffer().extend_from_slice(&[0, 0, 0, 0]);
        assert_eq!(frames.next_frame(), Err(ProtocolError::FrameEmpty));
        for length in [u32::MAX, 0x0010_0001] {
            let mut frames = Frames::default();
            frames.receive_buffer().extend_from_slice(&length.to_be_bytes());
            assert!(
                matches!(frames.next_frame(), Err(ProtocolError::FrameTooLong { .. })),
                "{length}"
            );
        }
    }
}
