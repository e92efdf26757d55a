//! Remembers which recipients have their copy when another copy of the same message has to be sent again.
//!
//! Recipients with different treatments get different bytes, so several transactions at the next hop stand behind one
//! answer. If a later one fails for now, the sender comes back with the whole message; whoever has it already is left
//! out then. Kept in memory only: after a restart such a recipient gets a second copy, and nobody gets none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use policies::time::{Span, Timestamp};
use sha2::{Digest, Sha256};

/// Hashes of message, sender and recipient.
#[derive(Debug, Default)]
pub(crate) struct Delivered(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Delivered {
    pub(crate) fn remember(&self, key: [u8; 32], now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, at| at.plus(REMEMBERED_FOR) > now);
        }
        if known.len() >= MOST_REMEMBERED
            && let Some(oldest) = known.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key)
        {
            known.remove(&oldest);
        }
        known.insert(key, now);
    }

    pub(crate) fn knows(&self, key: &[u8; 32], now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|at| at.plus(REMEMBERED_FOR) > now)
    }
}

/// Stands for one recipient's copy of a message as it came in.
pub(crate) fn key(message: &[u8], reverse_path: &str, recipient: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [message, reverse_path.as_bytes(), recipient.as_bytes()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Mail servers try for five days (RFC 5321 section 4.5.4.1).
const REMEMBERED_FOR: Span = Span::days(5);

/// 50 octets each.
const MOST_REMEMBERED: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_forgotten_after_five_days() {
        let (delivered, start) = (Delivered::default(), Timestamp::from_unix(0));
        let [one, other] = ["b@example.net", "c@example.net"].map(|recipient| key(b"m", "a@example.com", recipient));
        delivered.remember(one, start);
        assert!(delivered.knows(&one, start.plus(Span::days(4))));
        assert!(!delivered.knows(&one, start.plus(Span::days(5))));
        assert!(!delivered.knows(&other, start));
    }

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert_ne!(key(b"ab", "c", "d"), key(b"a", "bc", "d"));
        assert_ne!(key(b"m", "", "ab"), key(b"m", "a", "b"));
    }
}
