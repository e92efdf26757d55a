//! MIME on byte slices: what is signed is written here, and nothing else is touched.
//!
//! A message goes through [`canonical`] (CRLF), [`entity`] (header and body, multipart walk), [`seven_bit`]
//! (what a relay may change on its way is encoded before it is signed) and [`signed`] (the multipart/signed
//! writer). Everything is a pure function of its arguments; work that a sender can multiply draws on a [`Budget`].

pub mod canonical;
pub mod confidentiality;
pub mod content_type;
pub mod entity;
pub mod header;
pub mod quoted_printable;
pub mod seven_bit;
pub mod signed;
pub mod strip;

pub(crate) mod base64;
mod legacy_display;

/// Why a message is not rewritten, and so not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MimeError {
    #[error("line {line} of a header is not a header field; every header line must read \"Name: value\"")]
    HeaderLineMalformed { line: usize },
    #[error("the header field {field} contains a NUL byte; remove it")]
    NulInHeader { field: String },
    #[error("the header field {field} appears more than once in one entity; send it once")]
    DuplicateField { field: &'static str },
    #[error("the header field {field} has a line of more than {MAXIMUM_LINE} octets that cannot be folded")]
    HeaderLineTooLong { field: String },
    #[error(
        "the header field {field} contains raw 8-bit text that has no encoded form; send the message with SMTPUTF8 or encode it"
    )]
    HeaderNotAscii { field: String },
    #[error(
        "the Content-Type of a part cannot be understood and its content would have to be re-encoded; correct the Content-Type"
    )]
    ContentTypeMalformed,
    #[error("a multipart part names no boundary")]
    BoundaryMissing,
    #[error("the multipart boundary {boundary:?} is not allowed by RFC 2046 section 5.1.1")]
    BoundaryInvalid { boundary: String },
    #[error(
        "a line starts with the multipart boundary {boundary:?} but goes on with other text; readers disagree about such lines, so choose another boundary"
    )]
    BoundaryAmbiguous { boundary: String },
    #[error("the multipart with boundary {boundary:?} has no closing delimiter; the message is cut off")]
    MultipartUnclosed { boundary: String },
    #[error("the multipart with boundary {boundary:?} contains no part")]
    MultipartEmpty { boundary: String },
    #[error("a {media_type} part has Content-Transfer-Encoding {encoding}, which RFC 2045 section 6.4 forbids")]
    ContainerEncoded { media_type: String, encoding: String },
    #[error("parts are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("the message has more than {limit} parts")]
    TooManyParts { limit: usize },
    #[error("the message would grow beyond {limit} octets when encoded for transport")]
    TooLarge { limit: usize },
    #[error(
        "an attached signed or encrypted part contains 8-bit text or lines of more than {MAXIMUM_LINE} octets; it cannot be made fit for mail without breaking it, so attach it as a file"
    )]
    ProtectedPartNotSevenBit,
    #[error("a {media_type} part contains 8-bit text or overlong lines and may not be encoded")]
    PartNotEncodable { media_type: String },
    #[error("a part has the unknown Content-Transfer-Encoding {encoding:?} and is not fit for mail as it stands")]
    EncodingUnknown { encoding: String },
    #[error("a part says it is {encoding} but does not decode")]
    EncodingBroken { encoding: &'static str },
    #[error(
        "the rewritten message is not fit for mail at octet {offset}; this is a fault of the gateway, please report it"
    )]
    NotTransportable { offset: usize },
}

/// What one message may cost: draws down as parts are opened and bytes are written.
#[derive(Debug, Clone)]
pub struct Budget {
    depth: usize,
    parts: usize,
    octets: usize,
    limits: Limits,
}

/// The limits of a [`Budget`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of nesting, multiparts and attached messages alike.
    pub depth: usize,
    /// Entities in the whole message.
    pub parts: usize,
    /// Octets of the rewritten entity.
    pub octets: usize,
}

impl Limits {
    /// Enough for any mail seen in practice: Dovecot reads 100 levels, but nobody writes more than about ten;
    /// 1 000 parts is a digest of a busy day.
    pub const fn for_messages_up_to(octets: usize) -> Self {
        // Quoted-printable triples a byte and adds a soft break every 25 of them.
        Self {
            depth: 32,
            parts: 1000,
            octets: octets.saturating_mul(4),
        }
    }
}

impl Budget {
    pub const fn new(limits: Limits) -> Self {
        Self {
            depth: limits.depth,
            parts: limits.parts,
            octets: limits.octets,
            limits,
        }
    }

    fn enter(&mut self) -> Result<(), MimeError> {
        self.depth = self.depth.checked_sub(1).ok_or(MimeError::TooDeep {
            limit: self.limits.depth,
        })?;
        self.parts = self.parts.checked_sub(1).ok_or(MimeError::TooManyParts {
            limit: self.limits.parts,
        })?;
        Ok(())
    }

    const fn leave(&mut self) {
        self.depth += 1;
    }

    fn spend(&mut self, octets: usize) -> Result<(), MimeError> {
        self.octets = self.octets.checked_sub(octets).ok_or(MimeError::TooLarge {
            limit: self.limits.octets,
        })?;
        Ok(())
    }
}

/// The longest line SMTP carries, without its CRLF, see [RFC 5321 section 4.5.3.1.6].
///
/// [RFC 5321 section 4.5.3.1.6]: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.6
pub const MAXIMUM_LINE: usize = 998;
