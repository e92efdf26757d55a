//! Receives the chunks after BDAT commands: here it is counted how long a message is, and not looked for its end.
//!
//! A message in chunks goes on to servers that have only DATA. So what DATA refuses is refused here too, or a bare LF
//! that came in counted octets would smuggle there. Only BODY=BINARYMIME lifts that, which never goes on with DATA.

use super::DataFault;
use crate::server::budget::Reservation;

/// Takes the octets of all chunks of one message. See RFC 3030 section 2.
#[derive(Debug)]
pub(in crate::server) struct ChunkReceiver {
    message: Vec<u8>,
    max_message_size: usize,
    /// Covers `message`, and what is made of it, until the receiver is dropped.
    reservation: Reservation,
    octets: Octets,
    fault: Option<DataFault>,
}

/// Which octets may be in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Octets {
    Lines,
    Any,
}

impl ChunkReceiver {
    pub(in crate::server) fn new(max_message_size: usize, octets: Octets, reservation: Reservation) -> Self {
        Self {
            message: Vec::new(),
            max_message_size,
            reservation,
            octets,
            fault: None,
        }
    }

    /// Announces a chunk, so that one which is too large is not kept up to where it becomes so.
    pub(in crate::server) fn expect(&mut self, chunk_size: u64) {
        let left = self.max_message_size - self.message.len();
        if u64::try_from(left).is_ok_and(|left| chunk_size > left) {
            self.refuse(DataFault::TooLarge);
        }
    }

    /// Takes more octets of the chunk that was announced.
    pub(in crate::server) fn take(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let length = self.message.len() + octets.len();
        if length > self.max_message_size {
            return self.refuse(DataFault::TooLarge);
        }
        if !self.reservation.cover(length) {
            return self.refuse(DataFault::NoMemory);
        }
        if self.octets == Octets::Lines
            && let Some(fault) = fault_in(self.message.last().copied(), octets)
        {
            return self.refuse(fault);
        }
        self.message.extend_from_slice(octets);
    }

    /// Why the message is refused, as far as is known by now.
    pub(in crate::server) fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// The message, after its last chunk. A last line without line end gets one, as it would have with DATA.
    pub(in crate::server) fn finish(&mut self) -> Result<Vec<u8>, DataFault> {
        if self.octets == Octets::Lines && self.fault.is_none() && !self.message.is_empty() {
            match self.message.last() {
                Some(b'\r') => self.refuse(DataFault::BareCarriageReturn),
                Some(b'\n') => {}
                _ => self.take(b"\r\n"),
            }
        }
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(std::mem::take(&mut self.message)),
        }
    }

    fn refuse(&mut self, fault: DataFault) {
        self.fault.get_or_insert(fault);
        self.message = Vec::new();
        self.reservation.release();
    }
}

/// The first octet that cannot be where it is, in a piece after `previous`. A CR at the end is no fault yet.
fn fault_in(previous: Option<u8>, piece: &[u8]) -> Option<DataFault> {
    let mut previous = previous.unwrap_or(b'\n');
    for &byte in piece {
        match (previous, byte) {
            (b'\r', b'\n') => {}
            (b'\r', _) => return Some(DataFault::BareCarriageReturn),
            (_, b'\n') => return Some(DataFault::BareLineFeed),
            (_, 0) => return Some(DataFault::Nul),
            _ => {}
        }
        previous = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::budget::Budget;
    use proptest::prelude::*;

    fn receive(pieces: &[&[u8]], octets: Octets, limit: usize) -> Result<Vec<u8>, DataFault> {
        let mut receiver = ChunkReceiver::new(limit, octets, Budget::new(1 << 20).reserve_nothing());
        for piece in pieces {
            receiver.expect(u64::try_from(piece.len()).expect("a small piece"));
            receiver.take(piece);
        }
        receiver.finish()
    }

    #[test]
    fn messages_arrive() {
        for (pieces, message) in [
            (&[&b""[..]][..], &b""[..]),
            (&[b"a\r\n"], b"a\r\n"),
            (&[b"a"], b"a\r\n"),
            (&[b"a\r", b"", b"\nb\r\n"], b"a\r\nb\r\n"),
            // No dot means anything here.
            (&[b".\r\n.\r\n..\r\n"], b".\r\n.\r\n..\r\n"),
            (&[b"\xff\x7f\r\n"], b"\xff\x7f\r\n"),
        ] {
            assert_eq!(receive(pieces, Octets::Lines, 100).as_deref(), Ok(message));
        }
        let binary = &b"\0\r\n\n.\n\r\r\0"[..];
        assert_eq!(receive(&[binary], Octets::Any, 100).as_deref(), Ok(binary));
    }

    #[test]
    fn what_data_refuses_is_refused() {
        use DataFault::{BareCarriageReturn, BareLineFeed, Nul};
        for (pieces, fault) in [
            (&[&b"a\n.\n"[..]][..], BareLineFeed),
            (&[b"\n"], BareLineFeed),
            (&[b"a", b"\n"], BareLineFeed),
            (&[b"a\r\n", b"\n"], BareLineFeed),
            (&[b"a\r\n.\n"], BareLineFeed),
            (&[b"a\r", b"b"], BareCarriageReturn),
            (&[b"a\r.\r\n"], BareCarriageReturn),
            (&[b"\r\r\n"], BareCarriageReturn),
            (&[b"a\r"], BareCarriageReturn),
            (&[b"a\0"], Nul),
            (&[b"a\r\0\n"], BareCarriageReturn),
        ] {
            assert_eq!(receive(pieces, Octets::Lines, 100), Err(fault), "{pieces:?}");
        }
    }

    #[test]
    fn the_limit_holds_for_all_chunks_together() {
        assert_eq!(
            receive(&[b"12345", b"678\r\n"], Octets::Lines, 10).map(|m| m.len()),
            Ok(10)
        );
        assert_eq!(
            receive(&[b"12345", b"6789\r\n"], Octets::Lines, 10),
            Err(DataFault::TooLarge)
        );
        assert_eq!(
            receive(&[b"123456789"], Octets::Lines, 10),
            Err(DataFault::TooLarge),
            "CRLF counts"
        );
        assert_eq!(receive(&[b"123456789"], Octets::Any, 10).map(|m| m.len()), Ok(9));
        let mut receiver = ChunkReceiver::new(10, Octets::Any, Budget::new(1 << 20).reserve_nothing());
        receiver.expect(u64::MAX);
        assert_eq!(receiver.fault(), Some(DataFault::TooLarge), "before anything has come");
        receiver.take(b"x");
        assert_eq!(receiver.message.capacity(), 0);
        let mut receiver = ChunkReceiver::new(10, Octets::Any, Budget::new(0).reserve_nothing());
        receiver.take(b"x");
        assert_eq!(receiver.finish(), Err(DataFault::NoMemory));
    }

    proptest! {
        /// How it is cut up does not matter, and what gets through could have come with DATA.
        #[test]
        fn pieces_do_not_matter(
            input in prop::collection::vec(prop::sample::select(&b"\r\n\r\n\r\n.\0a"[..]), 0..40),
            piece in 1_usize..10,
        ) {
            let whole = receive(&[&input], Octets::Lines, 30);
            let pieces: Vec<&[u8]> = input.chunks(piece).collect();
            if input.len() <= 28 {
                prop_assert_eq!(&receive(&pieces, Octets::Lines, 30), &whole);
            }
            if let Ok(message) = whole {
                let without_line_ends = String::from_utf8_lossy(&message).replace("\r\n", "");
                prop_assert!(!without_line_ends.contains(['\r', '\n', '\0']));
                prop_assert!(message.is_empty() || message.ends_with(b"\r\n"));
            }
        }
    }
}
