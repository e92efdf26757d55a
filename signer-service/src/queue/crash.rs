//! Points at which a test kills the process, to see that nothing is lost there.
//!
//! In a debug build `SEALWRIGHT_CRASH_AT=NAME:N` aborts the process when it comes to the point NAME for the Nth time. A
//! release build has no such points.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
static SEEN: AtomicU64 = AtomicU64::new(0);

pub(crate) fn point(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("SEALWRIGHT_CRASH_AT").ok()?;
        let (name, number) = text.split_once(':')?;
        Some((name.to_owned(), number.parse().ok()?))
    });
    if let Some((wanted, number)) = wanted
        && wanted == name
        && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *number
    {
        std::process::abort();
    }
}
