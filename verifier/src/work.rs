//! Counts work in tests, so that bounds are shown by counting and not by time.

use std::cell::Cell;

thread_local! {
    static ELEMENTS: Cell<u64> = const { Cell::new(0) };
    static SIGNATURES: Cell<u64> = const { Cell::new(0) };
}

/// ASN.1 elements read and signatures checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) elements: u64,
    pub(crate) signatures: u64,
}

pub(crate) fn element() {
    ELEMENTS.set(ELEMENTS.get() + 1);
}

pub(crate) fn signature() {
    SIGNATURES.set(SIGNATURES.get() + 1);
}

/// What `task` gives, and what it cost on this thread.
pub(crate) fn of<T>(task: impl FnOnce() -> T) -> (T, Work) {
    ELEMENTS.set(0);
    SIGNATURES.set(0);
    let result = task();
    let work = Work {
        elements: ELEMENTS.get(),
        signatures: SIGNATURES.get(),
    };
    (result, work)
}
