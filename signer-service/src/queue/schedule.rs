//! When a message is tried again, and when no longer. No clock, no randomness of its own.

use policies::time::{Span, Timestamp};
use rand_core::CryptoRng;

/// The waits between attempts and the end of all trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// After the first, second, … attempt; the last one repeats.
    pub waits: Vec<Span>,
    /// A message that is older is given up after the next attempt that fails.
    pub give_up_after: Span,
    /// When the sender is told that it takes longer; never if there is none.
    pub notice_after: Option<Span>,
}

/// What follows an attempt that failed for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    TryAt(Timestamp),
    GiveUp,
}

impl Default for Schedule {
    /// RFC 5321 section 4.5.4.1: half an hour between attempts as a rule, sooner at first, for four to five days.
    fn default() -> Self {
        Self {
            waits: [5, 15, 30, 60, 120, 240].map(Span::minutes).to_vec(),
            give_up_after: Span::days(5),
            notice_after: Some(Span::hours(4)),
        }
    }
}

impl Schedule {
    /// What follows attempt number `attempts` (from 1) at a message that came at `received`.
    ///
    /// The wait is stretched or shortened by up to a fifth, so that what failed together does not come back together.
    /// A message is never given up before it was tried as often as the list has waits: a clock that jumps by a week
    /// must not bounce mail that was tried once.
    pub fn after(&self, attempts: i64, received: Timestamp, now: Timestamp, rng: &mut dyn CryptoRng) -> Next {
        let tried = usize::try_from(attempts).unwrap_or(usize::MAX);
        if received.plus(self.give_up_after) <= now && tried > self.waits.len() {
            return Next::GiveUp;
        }
        let index = tried.saturating_sub(1).min(self.waits.len().saturating_sub(1));
        let wait = self.waits.get(index).map_or(0, |wait| wait.as_seconds());
        Next::TryAt(now.plus(Span::seconds(wait + jitter(wait / 5, rng))))
    }

    /// Whether the sender is to be told of the delay now.
    pub fn wants_notice(&self, received: Timestamp, now: Timestamp) -> bool {
        self.notice_after.is_some_and(|after| received.plus(after) <= now)
    }
}

/// Between −`most` and `most`.
fn jitter(most: i64, rng: &mut dyn CryptoRng) -> i64 {
    let mut octets = [0; 4];
    rng.fill_bytes(&mut octets);
    let range = 2 * most + 1;
    i64::from(u32::from_le_bytes(octets)).rem_euclid(range.max(1)) - most
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        let (schedule, received) = (Schedule::default(), Timestamp::from_unix(1_000_000));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for (attempts, minutes) in [(1, 5), (2, 15), (3, 30), (6, 240), (20, 240)] {
            for _ in 0..50 {
                let Next::TryAt(at) = schedule.after(attempts, received, received, &mut rng) else {
                    panic!("given up at once");
                };
                let wait = at.unix() - received.unix();
                assert!((minutes * 48..=minutes * 72).contains(&wait), "{attempts}: {wait}");
                seen.insert(wait);
            }
        }
        assert!(seen.len() > 100, "{} different waits", seen.len());
    }

    #[test]
    fn five_days_of_trying_are_not_endless_and_not_one_attempt() {
        let (schedule, received) = (Schedule::default(), Timestamp::from_unix(0));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut now, mut attempts) = (received, 0);
        loop {
            attempts += 1;
            match schedule.after(attempts, received, now, &mut rng) {
                Next::TryAt(at) => now = at,
                Next::GiveUp => break,
            }
        }
        assert!((30..45).contains(&attempts), "{attempts}");
        assert!(now >= received.plus(Span::days(5)) && now < received.plus(Span::days(6)));
        let week = received.plus(Span::days(7));
        assert!(matches!(schedule.after(1, received, week, &mut rng), Next::TryAt(_)));
        assert!(matches!(schedule.after(6, received, week, &mut rng), Next::TryAt(_)));
        assert_eq!(schedule.after(7, received, week, &mut rng), Next::GiveUp);
    }

    #[test]
    fn a_clock_that_goes_back_delays_nothing() {
        let (schedule, received) = (Schedule::default(), Timestamp::from_unix(1_000_000));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let earlier = Timestamp::from_unix(0);
        let Next::TryAt(at) = schedule.after(1, received, earlier, &mut rng) else {
            panic!("given up");
        };
        assert!(at.unix() <= 360);
        assert!(!schedule.wants_notice(received, earlier));
    }
}
