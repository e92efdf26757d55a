//! Receives the message after DATA, octet by octet, with exactly one notion of where it ends.
//!
//! smtp-proto's receiver lets bare CR and LF pass. They are what SMTP smuggling is made of: one program takes
//! `LF . LF` for the end of a message and the next one does not, and what stands behind it becomes a second message
//! with a sender of the attacker's choice, which a signing gateway would then give its label. So one bare CR, bare
//! LF or NUL refuses the whole message, and reading goes on to the only true end, CRLF "." CRLF.

mod chunks;

pub(super) use self::chunks::{ChunkReceiver, Octets};
use super::budget::Reservation;

/// Takes the octets after the 354 reply. See RFC 5321 sections 4.1.1.4 and 4.5.2.
#[derive(Debug)]
pub(super) struct DataReceiver {
    state: State,
    message: Vec<u8>,
    max_message_size: usize,
    /// Covers `message`, and what is made of it, until the receiver is dropped.
    reservation: Reservation,
    fault: Option<DataFault>,
    discarded: usize,
}

/// What came before the end of the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Message(Vec<u8>),
    Refused(DataFault),
    /// The message is already refused and still goes on, beyond any patience: the connection must be closed.
    Endless(DataFault),
}

/// Why the message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataFault {
    BareCarriageReturn,
    BareLineFeed,
    Nul,
    TooLarge,
    /// Not the fault of this message: others take up the memory.
    NoMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    /// After the dot at the start of a line.
    Dot,
    /// After the dot and a CR.
    DotCarriageReturn,
    Text,
    CarriageReturn,
}

impl DataReceiver {
    /// `max_message_size` is in octets, counted as in RFC 1870 section 3: CRLFs count, stuffed dots do not.
    pub(super) fn new(max_message_size: usize, announced: Option<u64>, mut reservation: Reservation) -> Self {
        let announced = announced.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let expected = announced.min(max_message_size).min(MAX_EXPECTED_OCTETS);
        Self {
            state: State::LineStart,
            message: Vec::with_capacity(if reservation.cover(expected) { expected } else { 0 }),
            max_message_size,
            reservation,
            fault: None,
            discarded: 0,
        }
    }

    /// Takes more octets; tells how many of them belonged to the message and, once it has ended, what it was.
    pub(super) fn take(&mut self, input: &[u8]) -> (usize, Option<Received>) {
        let mut index = 0;
        while let Some(&byte) = input.get(index) {
            index += 1;
            match (self.state, byte) {
                (State::LineStart, b'.') => self.state = State::Dot,
                (State::Dot, b'\r') => self.state = State::DotCarriageReturn,
                (State::DotCarriageReturn, b'\n') => {
                    let message = std::mem::take(&mut self.message);
                    let received = self.fault.map_or(Received::Message(message), Received::Refused);
                    return (index, Some(received));
                }
                (State::CarriageReturn, b'\n') => {
                    self.keep(b"\r\n");
                    self.state = State::LineStart;
                }
                (State::CarriageReturn | State::DotCarriageReturn, b'\r') => {
                    self.refuse(DataFault::BareCarriageReturn);
                    self.state = State::CarriageReturn;
                }
                (State::CarriageReturn | State::DotCarriageReturn, _) => {
                    self.refuse(DataFault::BareCarriageReturn);
                    self.state = State::Text;
                    // The octet itself is looked at again, as text.
                    index -= 1;
                }
                (State::LineStart | State::Text, b'\r') => self.state = State::CarriageReturn,
                (State::LineStart | State::Dot | State::Text, b'\n') => {
                    self.refuse(DataFault::BareLineFeed);
                    self.state = State::Text;
                }
                (State::LineStart | State::Dot | State::Text, 0) => {
                    self.refuse(DataFault::Nul);
                    self.state = State::Text;
                }
                // Section 4.5.2: a dot before anything else at the start of a line was put there by the client.
                (State::LineStart | State::Dot | State::Text, _) => {
                    let text = &input[index - 1..];
                    let length = memchr::memchr3(b'\r', b'\n', 0, text).unwrap_or(text.len());
                    self.keep(&text[..length]);
                    self.state = State::Text;
                    index += length - 1;
                }
            }
        }
        match self.fault {
            Some(fault) if self.discarded > self.max_message_size.saturating_add(MIN_PATIENCE_OCTETS) => {
                (index, Some(Received::Endless(fault)))
            }
            _ => (index, None),
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            self.discarded = self.discarded.saturating_add(octets.len());
        } else if self.message.len() + octets.len() > self.max_message_size {
            self.refuse(DataFault::TooLarge);
        } else if !self.reservation.cover(self.message.len() + octets.len()) {
            self.refuse(DataFault::NoMemory);
        } else {
            self.message.extend_from_slice(octets);
        }
    }

    fn refuse(&mut self, fault: DataFault) {
        self.fault.get_or_insert(fault);
        // Faults count too, or a stream of nothing but line feeds would never end.
        self.discarded = self.discarded.saturating_add(1);
        self.message = Vec::new();
        self.reservation.release();
    }
}

/// Never reserve more than this on the word of the client.
const MAX_EXPECTED_OCTETS: usize = 1024 * 1024;
/// A refused message may go on for as long again as a good one, and at least so long.
pub(super) const MIN_PATIENCE_OCTETS: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;
    use proptest::prelude::*;

    fn receive_in_pieces(input: &[u8], limit: usize, piece: usize) -> (Option<Received>, usize) {
        let mut receiver = DataReceiver::new(limit, None, Budget::new(1 << 20).reserve_nothing());
        let mut taken = 0;
        for piece in input.chunks(piece) {
            let (count, received) = receiver.take(piece);
            taken += count;
            if received.is_some() {
                return (received, taken);
            }
        }
        (None, taken)
    }

    #[track_caller]
    fn check(input: &[u8], expected: Option<Received>) {
        for piece in [1, 2, 3, input.len().max(1)] {
            let (received, taken) = receive_in_pieces(input, 1000, piece);
            assert_eq!(received, expected, "in pieces of {piece}");
            assert_eq!(taken, input.len(), "in pieces of {piece}");
        }
    }

    #[track_caller]
    fn check_refused(input: &[u8], fault: DataFault) {
        check(input, Some(Received::Refused(fault)));
    }

    #[test]
    fn messages_arrive() {
        for (input, message) in [
            (&b".\r\n"[..], &b""[..]),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b".a\r\n.\r\n", b"a\r\n"),
            (b"a\r\n.b\r\n..c\r\n.\r\n", b"a\r\nb\r\n.c\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"\xff\x7f\r\n.\r\n", b"\xff\x7f\r\n"),
        ] {
            check(input, Some(Received::Message(message.to_vec())));
        }
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        for input in [
            &b"a\n.\n"[..],
            b"a\r\n.\n",
            b"a\n.\r\n",
            b"a\r.\r",
            b"a\r\n.\r",
            b"a\r.\r\n",
            b"a\r\n.\0\r\n",
            b"a\r\n.\r\0\n",
            b"a\r\n. \r\n",
            b"a\r\n..\r\n",
            b"a.\r\n",
            b"\n.\n",
            b".\n",
            b"\r.\r\n",
            b"a\r\n.\r\r\n",
        ] {
            check(input, None);
        }
    }

    #[test]
    fn smuggling_is_refused_up_to_the_true_end() {
        use DataFault::{BareCarriageReturn, BareLineFeed, Nul};
        for (end, fault) in [
            (&b"\n.\n"[..], BareLineFeed),
            (b"\r\n.\n", BareLineFeed),
            (b"\n.\r\n", BareLineFeed),
            (b"\r.\r", BareCarriageReturn),
            (b"\r.\r\n", BareCarriageReturn),
            (b"\r\n.\r", BareCarriageReturn),
            (b"\r\n.\r\r\n", BareCarriageReturn),
            (b"\r\r\n.\r\n\r", BareCarriageReturn),
            (b"\0\r\n", Nul),
            (b"\r\n.\0\r\n", Nul),
            (b"\r\n\0.\r\n", Nul),
        ] {
            let mut input = [b"Subject: a\r\n\r\nb", end, b"MAIL FROM:<c@d>\r\nDATA\r\n.\r\n"].concat();
            // The variant with a true end in the middle must stop there and leave the rest alone.
            if end == b"\r\r\n.\r\n\r" {
                input.truncate(input.len() - b"\rMAIL FROM:<c@d>\r\nDATA\r\n.\r\n".len());
            }
            check_refused(&input, fault);
        }
    }

    #[test]
    fn a_message_of_the_limit_passes_and_one_octet_more_does_not() {
        let at_limit = [&b".."[..], &[b'x'; 997], b"\r\n.\r\n"].concat();
        let message = [&b"."[..], &[b'x'; 997], b"\r\n"].concat();
        check(&at_limit, Some(Received::Message(message)));
        let over = [&[b'x'; 999][..], b"\r\n.\r\n"].concat();
        check_refused(&over, DataFault::TooLarge);
    }

    #[test]
    fn a_message_that_finds_no_memory_is_refused() {
        let budget = Budget::new(0);
        let mut receiver = DataReceiver::new(1000, Some(1000), budget.reserve_nothing());
        let (_, received) = receiver.take(b"x\r\n.\r\n");
        assert_eq!(received, Some(Received::Refused(DataFault::NoMemory)));
    }

    #[test]
    fn a_message_that_never_ends_is_given_up_and_never_kept() {
        for input in [
            vec![b'x'; 4_000_000],
            vec![b'\n'; 4_000_000],
            vec![0; 4_000_000],
            vec![b'\r'; 4_000_000],
        ] {
            let mut receiver = DataReceiver::new(1000, Some(u64::MAX), Budget::new(1 << 20).reserve_nothing());
            let mut endless = false;
            for piece in input.chunks(1 << 14) {
                endless = matches!(receiver.take(piece), (_, Some(Received::Endless(_))));
                assert!(
                    receiver.message.capacity() <= 1 << 14,
                    "kept {}",
                    receiver.message.capacity()
                );
                if endless {
                    break;
                }
            }
            assert!(endless);
        }
    }

    proptest! {
        /// The two sides of the wire agree: what the client stuffs, the receiver restores, however it is cut up.
        #[test]
        fn stuffing_and_receiving_are_inverse(
            lines in prop::collection::vec("[.]{0,3}[ -~\u{e4}]{0,12}", 0..20),
            piece in 1_usize..40,
        ) {
            let message: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let mut wire = Vec::new();
            crate::client::stuff(&message, true, &mut wire);
            wire.extend_from_slice(b".\r\n");
            let (received, taken) = receive_in_pieces(&wire, 10_000, piece);
            prop_assert_eq!(received, Some(Received::Message(message)));
            prop_assert_eq!(taken, wire.len());
        }

        /// Octets of any kind: the result does not depend on how they are cut up, and a message that gets through
        /// holds neither NUL nor a bare CR or LF.
        #[test]
        fn pieces_do_not_matter(
            input in prop::collection::vec(prop::sample::select(&b"\r\n\r\n.\r\n\0a"[..]), 0..60),
            piece in 1_usize..10,
        ) {
            let whole = receive_in_pieces(&input, 20, 1000);
            prop_assert_eq!(&receive_in_pieces(&input, 20, piece), &whole);
            if let (Some(Received::Message(message)), _) = whole {
                prop_assert!(message.len() <= 20);
                let without_line_ends = String::from_utf8_lossy(&message).replace("\r\n", "");
                prop_assert!(!without_line_ends.contains(['\r', '\n', '\0']));
            }
        }
    }
}
