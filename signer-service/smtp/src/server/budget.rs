//! How much memory all messages that are being received may take together.
//!
//! Without it, as many clients as may connect could each send a message of the size that is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shared by all connections of a server.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(octets: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(octets),
        })
    }

    pub(super) fn reserve_nothing(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: self.clone(),
            octets: 0,
        }
    }
}

/// One message's part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    octets: usize,
}

impl Reservation {
    /// Makes sure that `octets` are reserved, or tells that there is no room for them.
    pub(super) fn cover(&mut self, octets: usize) -> bool {
        if octets <= self.octets {
            return true;
        }
        // In steps, so that not every line of a message touches what all connections share.
        let more = (octets - self.octets).next_multiple_of(STEP);
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more))
            .is_ok();
        if taken {
            self.octets += more;
        }
        taken
    }

    pub(super) fn release(&mut self) {
        self.budget.left.fetch_add(self.octets, Ordering::Relaxed);
        self.octets = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

const STEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_another_cannot_get_until_it_is_given_back() {
        let budget = Budget::new(3 * STEP);
        let mut first = budget.reserve_nothing();
        let mut second = budget.reserve_nothing();
        assert!(first.cover(STEP + 1));
        assert!(first.cover(2 * STEP), "it is within the step");
        assert!(second.cover(1));
        assert!(!second.cover(STEP + 1));
        assert!(second.cover(STEP), "what is reserved stays");
        first.release();
        assert!(second.cover(2 * STEP));
        drop(first);
        drop(second);
        assert_eq!(budget.left.load(Ordering::Relaxed), 3 * STEP);
    }
}
