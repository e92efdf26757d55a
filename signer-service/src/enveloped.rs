//! CMS encryption: EnvelopedData (RFC 5652 section 6) and AuthEnvelopedData (RFC 5083 with RFC 5084), written and read.
//!
//! Both are put together by hand on the structures of the `cms` crate, whose builders know neither AES-GCM nor OAEP and
//! agree on keys wrongly. What touches keys is done by the `keys` crate.

mod ber;
mod build;
mod open;

pub use build::{EncryptError, MessageCipher, Recipient, encrypt};
pub use open::{Opened, RecipientId, is_for, open};
