//! A memory of which certificates were signed by which, for those who verify much mail of the same issuers.
//!
//! That the owner of one key signed one certificate is true for ever, so it need be checked only once. Nothing else is
//! remembered: dates, revocation, constraints, policies and trust are judged anew for each message.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Pairs of certificates of which the first verifiably signed the second.
///
/// May be shared by any number of threads and trust stores. Only links of paths that led to a trust anchor and were
/// valid are kept, so that strangers cannot fill it with certificates of their own making.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// use verifier::{TrustStore, VerifiedLinks};
///
/// // One for the whole process; a link is about fifty bytes.
/// let links = Arc::new(VerifiedLinks::new(NonZeroUsize::new(10_000).unwrap()));
/// let trust = TrustStore::new().remembering(links.clone());
/// assert_eq!((trust.len(), links.used()), (0, 0));
/// ```
#[derive(Debug)]
pub struct VerifiedLinks {
    per_generation: usize,
    generations: Mutex<Generations>,
    used: AtomicU64,
}

/// What is asked for moves to the younger generation; when that is full, the older one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Link>,
    old: HashSet<Link>,
}

/// SHA-256 over both certificates. Each is one DER element, so where the first ends is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Link([u8; 32]);

impl Link {
    pub(crate) fn new(issuer: &[u8], subject: &[u8]) -> Self {
        let mut digest = Sha256::new();
        digest.update(issuer);
        digest.update(subject);
        Self(digest.finalize().into())
    }
}

impl VerifiedLinks {
    /// Remembers at least the `links` that were used last and at most twice as many, at some fifty bytes each.
    #[must_use]
    pub fn new(links: NonZeroUsize) -> Self {
        Self {
            per_generation: links.get(),
            generations: Mutex::default(),
            used: AtomicU64::new(0),
        }
    }

    /// How many links are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many signatures did not have to be checked.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn knows(&self, link: Link) -> bool {
        let mut generations = self.lock();
        let known = if generations.young.contains(&link) {
            true
        } else if generations.old.remove(&link) {
            generations.insert(link, self.per_generation);
            true
        } else {
            false
        };
        drop(generations);
        if known {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
        known
    }

    /// To be called only after the signature was checked.
    pub(crate) fn remember(&self, link: Link) {
        self.lock().insert(link, self.per_generation);
    }

    /// A thread that panicked cannot have left a link that was not checked.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, link: Link, limit: usize) {
        self.old.remove(&link);
        if self.young.len() >= limit && !self.young.contains(&link) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u8) -> Link {
        Link::new(&[number], &[0])
    }

    fn remembering(links: usize) -> VerifiedLinks {
        VerifiedLinks::new(NonZeroUsize::new(links).unwrap())
    }

    #[test]
    fn only_what_was_remembered_is_known() {
        let links = remembering(8);
        assert!(links.is_empty());
        assert!(!links.knows(link(1)));
        links.remember(link(1));
        links.remember(link(1));
        assert!(links.knows(link(1)));
        assert!(!links.knows(link(2)));
        assert_eq!((links.len(), links.used()), (1, 1));
    }

    #[test]
    fn it_stays_within_its_bounds_and_keeps_what_is_used() {
        for limit in [1, 2, 3, 8, 100] {
            let links = remembering(limit);
            for number in 0..=255 {
                links.remember(link(number));
                assert!(links.knows(link(number)));
                assert!(links.len() <= 2 * limit, "{} of {limit}", links.len());
            }
        }
        let links = remembering(8);
        links.remember(link(0));
        for number in 1..=255 {
            links.remember(link(number));
            assert!(links.knows(link(0)), "forgotten after {number}");
        }
        assert!(!links.knows(link(1)));
    }

    #[test]
    fn both_certificates_count_and_so_does_their_order() {
        let one = Link::new(&[0x30, 1, 7], &[0x30, 1, 8]);
        assert_ne!(one, Link::new(&[0x30, 1, 8], &[0x30, 1, 7]));
        assert_ne!(one, Link::new(&[0x30, 1, 7], &[0x30, 1, 9]));
        assert_eq!(one, Link::new(&[0x30, 1, 7], &[0x30, 1, 8]));
    }

    #[test]
    fn threads_share_it() {
        let links = remembering(16);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..=255 {
                        links.remember(link(number));
                        links.knows(link(number));
                    }
                });
            }
        });
        assert!(links.len() <= 32);
    }
}
