//! DKIM (RFC 6376) as RFC 8823 asks for it: challenge mails are signed, replies must be.
//!
//! Challenge mails are signed with DKIM rather than S/MIME, which RFC 8823 section 3.1 would allow too: the CMS signer
//! belongs to the gateway, which this crate does not know, and S/MIME would need header protection on top, since the
//! token stands in the subject.

mod lookup;
mod sign;
mod verify;

pub(crate) use lookup::ResolvedTextRecords;
pub use lookup::{LookupFailure, TextRecordSet, TextRecords};
pub(crate) use sign::Signer;
pub use verify::ReplyFields;
pub(crate) use verify::{NotAuthentic, Verifier};
