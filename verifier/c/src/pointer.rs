//! Bytes that C hands over.

use std::slice;

use crate::handle::Refused;

/// The `length` bytes at `pointer`. Null is refused, but for no bytes at all.
///
/// # Safety
///
/// `pointer` is null, or points to `length` bytes that can be read and are not written to for as long as `'a`.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Result<&'a [u8], Refused> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Refused::null("the bytes"));
    }
    // No object in memory is larger; a negative length that was cast to size_t ends here.
    if isize::try_from(length).is_err() {
        return Err(Refused::argument(format!("no memory holds {length} bytes")));
    }
    // SAFETY: it is not null, bytes have no alignment, the length does not exceed isize::MAX, and the caller promises
    // that so many bytes are readable and stay as they are.
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::SealwrightResult;

    fn check(pointer: *const u8, length: usize, expected: Result<&[u8], SealwrightResult>) {
        // SAFETY: the pointers below are null, or point to as many bytes, or are refused for their length.
        let found = unsafe { bytes(pointer, length) };
        assert_eq!(found.map_err(|refused| refused.result()), expected);
    }

    #[test]
    fn only_what_can_be_memory_is_read() {
        let memory = b"abc";
        check(memory.as_ptr(), 3, Ok(b"abc"));
        check(memory.as_ptr(), 0, Ok(b""));
        check(ptr::null(), 0, Ok(b""));
        check(ptr::null(), 3, Err(SealwrightResult::NullPointer));
        check(memory.as_ptr(), usize::MAX, Err(SealwrightResult::InvalidArgument));
        check(
            memory.as_ptr(),
            usize::MAX / 2 + 1,
            Err(SealwrightResult::InvalidArgument),
        );
    }
}
