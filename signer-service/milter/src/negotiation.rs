//! The first exchange: what the mail server offers, and what of it is taken.

use crate::frame;
use crate::{ProtocolError, command::OFFER};

/// What the mail server offers (command `O`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub version: u32,
    /// What a filter may change, see [`action`].
    pub actions: u32,
    /// Which commands and answers a filter may leave out, see [`step`].
    pub steps: u32,
}

/// What holds for the rest of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    version: u32,
    actions: u32,
    steps: u32,
}

impl Offer {
    /// Takes what a filter needs that sees whole messages and changes header fields and bodies.
    ///
    /// Everything else is left out where the mail server knows how to: fewer packets, and far fewer answers to wait
    /// for. Chunks stay at 65 535 octets.
    ///
    /// # Errors
    /// The version is too old, or headers and body may not be changed.
    pub fn accept(self) -> Result<Agreement, ProtocolError> {
        if self.version < 2 {
            return Err(ProtocolError::Version { version: self.version });
        }
        for (needed, missing) in [
            (action::ADD_FIELDS, "add header fields"),
            (action::CHANGE_FIELDS, "change header fields"),
            (action::CHANGE_BODY, "replace the body"),
        ] {
            if self.actions & needed == 0 {
                return Err(ProtocolError::ActionNotOffered { missing });
            }
        }
        Ok(Agreement {
            version: self.version.min(NEWEST_VERSION),
            actions: self.actions
                & (action::ADD_FIELDS | action::CHANGE_FIELDS | action::CHANGE_BODY | action::CHOOSE_MACROS),
            steps: self.steps & WANTED_STEPS,
        })
    }
}

impl Agreement {
    /// Whether the value of a field comes, and is sent, with the blank after its colon.
    ///
    /// Without it the mail server takes one blank away and puts one in front again, and `Name:value` becomes
    /// `Name: value`.
    pub const fn keeps_leading_space(self) -> bool {
        self.steps & step::LEADING_SPACE != 0
    }

    pub(crate) const fn expects_no_reply_to(self, step: u32) -> bool {
        self.steps & step != 0
    }

    /// Appends the answer to the offer.
    pub fn write(self, out: &mut Vec<u8>) {
        let [version, actions, steps] = [self.version, self.actions, self.steps].map(u32::to_be_bytes);
        let mut macros = Vec::new();
        if self.actions & action::CHOOSE_MACROS != 0 {
            // Who has logged in decides what may be signed, so it is asked for whatever the configuration there is.
            for (stage, names) in [(STAGE_MAIL, "{auth_authen}\0"), (STAGE_END_OF_MESSAGE, "i\0")] {
                macros.extend_from_slice(&stage.to_be_bytes());
                macros.extend_from_slice(names.as_bytes());
            }
        }
        frame::write(out, OFFER, &[&version, &actions, &steps, &macros]);
    }
}

/// What a filter may do to a message.
pub mod action {
    pub const ADD_FIELDS: u32 = 0x01;
    pub const CHANGE_BODY: u32 = 0x02;
    pub const CHANGE_FIELDS: u32 = 0x10;
    /// The filter says which macros it wants to see.
    pub const CHOOSE_MACROS: u32 = 0x100;
}

/// What may be left out, and how things are sent.
pub mod step {
    pub const NO_HELO: u32 = 0x02;
    pub const NO_RCPT: u32 = 0x08;
    pub const NO_REPLY_TO_HEADER: u32 = 0x80;
    pub const NO_UNKNOWN: u32 = 0x100;
    pub const NO_DATA: u32 = 0x200;
    pub const NO_REPLY_TO_CONNECT: u32 = 0x1000;
    pub const NO_REPLY_TO_END_OF_HEADER: u32 = 0x4_0000;
    pub const NO_REPLY_TO_BODY: u32 = 0x8_0000;
    pub const LEADING_SPACE: u32 = 0x10_0000;
}

const WANTED_STEPS: u32 = step::NO_HELO
    | step::NO_RCPT
    | step::NO_REPLY_TO_HEADER
    | step::NO_UNKNOWN
    | step::NO_DATA
    | step::NO_REPLY_TO_CONNECT
    | step::NO_REPLY_TO_END_OF_HEADER
    | step::NO_REPLY_TO_BODY
    | step::LEADING_SPACE;

const NEWEST_VERSION: u32 = 6;

const STAGE_MAIL: u32 = 2;
const STAGE_END_OF_MESSAGE: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Offer = Offer {
        version: 6,
        actions: 0x1ff,
        steps: 0x1f_ffff,
    };

    #[test]
    fn what_postfix_offers_is_cut_down() {
        let agreement = EVERYTHING.accept().unwrap();
        assert!(agreement.keeps_leading_space());
        let mut out = Vec::new();
        agreement.write(&mut out);
        assert_eq!(out[..4], 37_u32.to_be_bytes());
        assert_eq!(out[4], b'O');
        assert_eq!(out[5..9], 6_u32.to_be_bytes());
        assert_eq!(out[9..13], 0x113_u32.to_be_bytes());
        assert_eq!(out[13..17], 0x1c_138a_u32.to_be_bytes());
        assert_eq!(&out[17..], b"\0\0\0\x02{auth_authen}\0\0\0\0\x05i\0");
    }

    #[test]
    fn nothing_is_asked_for_that_was_not_offered() {
        let old = Offer {
            version: 2,
            actions: 0x3f,
            steps: 0x7f,
        };
        let agreement = old.accept().unwrap();
        assert!(!agreement.keeps_leading_space());
        let mut out = Vec::new();
        agreement.write(&mut out);
        assert_eq!(
            out,
            [&[0, 0, 0, 13, b'O', 0, 0, 0, 2, 0, 0, 0, 0x13, 0, 0, 0, 0x0a][..]].concat()
        );
        // A later version is answered with the newest that is known here, and chunks do not grow.
        let later = Offer {
            version: 7,
            actions: u32::MAX,
            steps: u32::MAX,
        };
        assert_eq!(later.accept(), EVERYTHING.accept());
    }

    #[test]
    fn a_mail_server_that_offers_too_little_is_refused() {
        assert_eq!(
            Offer {
                version: 1,
                ..EVERYTHING
            }
            .accept(),
            Err(ProtocolError::Version { version: 1 })
        );
        for missing in [action::ADD_FIELDS, action::CHANGE_FIELDS, action::CHANGE_BODY] {
            let offer = Offer {
                actions: EVERYTHING.actions & !missing,
                ..EVERYTHING
            };
            assert!(
                matches!(offer.accept(), Err(ProtocolError::ActionNotOffered { .. })),
                "{missing:#x}"
            );
        }
    }
}
