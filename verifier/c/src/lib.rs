//! The verifier for C and everything that calls C: one opaque handle, JSON out.
//!
//! `include/sealwright_verifier.h` is the documentation of the functions for those who call them; cbindgen writes it
//! from here. Three rules hold for all of them: no pointer is followed before it is known not to be null, no panic
//! crosses into C, and what a function returns belongs to the handle.
#![warn(missing_docs, clippy::as_conversions)]

mod handle;
mod pointer;

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use policies::time::Timestamp;
use verifier::{Language, UnsettledRevocation, Vouches};

pub use crate::handle::SealwrightVerifier;
use crate::handle::{Refused, Said, change};

#[cfg(panic = "abort")]
compile_error!(
    "build this library with panic = \"unwind\": with \"abort\" a panic would end the program that embeds it"
);

/// What came of a call.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealwrightResult {
    /// It was done.
    Ok = 0,
    /// A pointer was null that must not be.
    NullPointer = 1,
    /// A number has no meaning there, or a length exceeds what memory can hold.
    InvalidArgument = 2,
    /// The certificates, revocation lists or OCSP responses cannot be used; sealwright_error says why. None of them was taken.
    InvalidInput = 3,
    /// A defect of this library. The handle can be used further, but please report it.
    InternalError = 4,
}

/// What an anchor's certificates are believed about.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealwrightVouches {
    /// Identities: its certificates may carry a tier.
    Tiers = 1,
    /// Only that an address owns a key: signatures verify, no tier is shown.
    SignaturesOnly = 2,
}

/// Whether a tier may be shown although revocation could not be settled. Revoked certificates never keep one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealwrightUnsettledRevocation {
    /// The tier stays, with a warning among the findings.
    KeepTier = 1,
    /// The status is "signed" at best.
    WithholdTier = 2,
}

/// A language of labels, badges and what explains findings.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealwrightLanguage {
    /// English.
    English = 1,
    /// Swedish.
    Swedish = 2,
}

/// The version of this library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn sealwright_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Makes a verifier that trusts nobody. Give it back with sealwright_free.
///
/// A verifier may be used by one thread at a time; several verifiers need not know of each other. Null if it cannot be
/// made.
#[unsafe(no_mangle)]
pub extern "C" fn sealwright_new() -> *mut SealwrightVerifier {
    catch_unwind(SealwrightVerifier::new).map_or(ptr::null_mut(), |verifier| Box::into_raw(Box::new(verifier)))
}

/// Ends a verifier and everything it has returned. Null is allowed.
///
/// # Safety
///
/// `verifier` is null, or came from sealwright_new and was not given back before. No other call is using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_free(verifier: *mut SealwrightVerifier) {
    if verifier.is_null() {
        return;
    }
    // SAFETY: it is not null, and the caller promises that sealwright_new made it with Box::into_raw and that this is the
    // only time it is given back.
    let verifier = unsafe { Box::from_raw(verifier) };
    // Nothing in it can panic when dropped; if it did, there is nothing a caller could do.
    let _: Result<(), _> = catch_unwind(AssertUnwindSafe(|| drop(verifier)));
}

/// Trusts every certificate in `certificates` (DER, or PEM with one or more). `vouches` is a SealwrightVouches.
///
/// Either all of them are trusted or none.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `certificates` is null or points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_trust(
    verifier: *mut SealwrightVerifier,
    certificates: *const u8,
    length: usize,
    vouches: c_int,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    // SAFETY: the caller promises it of the bytes, which live for the whole call.
    let certificates = unsafe { pointer::bytes(certificates, length) };
    change(verifier, |verifier| {
        let vouches = match vouches {
            1 => Vouches::Tiers,
            2 => Vouches::SignaturesOnly,
            other => return Err(Refused::argument(format!("{other} is no SealwrightVouches"))),
        };
        Ok(verifier.setup.trust(certificates?, vouches)?)
    })
}

/// Keeps certificates of authorities (DER, or PEM with one or more) for senders who left them out. They are not trusted
/// by that.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `certificates` is null or points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_add_intermediates(
    verifier: *mut SealwrightVerifier,
    certificates: *const u8,
    length: usize,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    // SAFETY: the caller promises it of the bytes, which live for the whole call.
    let certificates = unsafe { pointer::bytes(certificates, length) };
    change(verifier, |verifier| {
        Ok(verifier.setup.add_intermediates(certificates?)?)
    })
}

/// Keeps certificate revocation lists (DER, or PEM with one or more).
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `lists` is null or points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_add_crls(
    verifier: *mut SealwrightVerifier,
    lists: *const u8,
    length: usize,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    // SAFETY: the caller promises it of the bytes, which live for the whole call.
    let lists = unsafe { pointer::bytes(lists, length) };
    change(verifier, |verifier| Ok(verifier.setup.add_crls(lists?)?))
}

/// Keeps an OCSP response in DER, stapled or fetched by somebody else.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `response` is null or points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_add_ocsp_response(
    verifier: *mut SealwrightVerifier,
    response: *const u8,
    length: usize,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    // SAFETY: the caller promises it of the bytes, which live for the whole call.
    let response = unsafe { pointer::bytes(response, length) };
    change(verifier, |verifier| Ok(verifier.setup.add_ocsp_response(response?)?))
}

/// Decides what becomes of a tier when no revocation list was handed in for a certificate (`not_checked`) and when none
/// of those handed in could be used (`unknown`), each a SealwrightUnsettledRevocation.
///
/// Without this call they are KEEP_TIER and WITHHOLD_TIER.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_set_unsettled_revocation(
    verifier: *mut SealwrightVerifier,
    not_checked: c_int,
    unknown: c_int,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    change(verifier, |verifier| {
        let meaning = |number| match number {
            1 => Ok(UnsettledRevocation::KeepTier),
            2 => Ok(UnsettledRevocation::WithholdTier),
            other => Err(Refused::argument(format!(
                "{other} is no SealwrightUnsettledRevocation"
            ))),
        };
        let (not_checked, unknown) = (meaning(not_checked)?, meaning(unknown)?);
        let policy = verifier.setup.policy_mut();
        policy.not_checked = not_checked;
        policy.unknown = unknown;
        Ok(())
    })
}

/// Messages of more than `size` bytes are not looked at. Without this call it is 64 MiB.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_set_maximum_message_size(
    verifier: *mut SealwrightVerifier,
    size: usize,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    change(verifier, |verifier| {
        verifier.setup.policy_mut().maximum_message_size = size;
        Ok(())
    })
}

/// Decides in which language labels, badges and what explains findings are written from now on: a SealwrightLanguage.
///
/// Without this call it is English.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_set_language(
    verifier: *mut SealwrightVerifier,
    language: c_int,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    change(verifier, |verifier| {
        verifier.language = match language {
            1 => Language::English,
            2 => Language::Swedish,
            other => return Err(Refused::argument(format!("{other} is no SealwrightLanguage"))),
        };
        Ok(())
    })
}

/// Examines a message as it arrived (all header fields and the body), at a point in time in seconds since 1970.
///
/// The result is Ok whatever is wrong with the message: what there is to say of it is read with the functions below.
/// They say nothing after any other result.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `message` is null or points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_verify(
    verifier: *mut SealwrightVerifier,
    message: *const u8,
    length: usize,
    at: i64,
) -> SealwrightResult {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_mut() };
    // SAFETY: the caller promises it of the bytes, which live for the whole call.
    let message = unsafe { pointer::bytes(message, length) };
    change(verifier, |verifier| {
        let verdict = verifier.setup.verify(message?, Timestamp::from_unix(at));
        verifier.said = Some(Said::of(&verdict, verifier.language));
        Ok(())
    })
}

/// What there is to say of the message, as one JSON object in UTF-8; null unless the last call was a sealwright_verify
/// that returned Ok.
///
/// This pointer and those below are valid until the next call with this verifier that is not one of sealwright_json,
/// sealwright_status, sealwright_label, sealwright_tier, sealwright_badge, sealwright_verified_bytes and
/// sealwright_error.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_json(verifier: *const SealwrightVerifier) -> *const c_char {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    said(verifier).map_or(ptr::null(), |said| said.json.as_ptr())
}

/// The status: "tier", "signed", "not_verified", "broken" or "not_signed"; null when there is nothing to say.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_status(verifier: *const SealwrightVerifier) -> *const c_char {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    said(verifier).map_or(ptr::null(), |said| said.status.as_ptr())
}

/// The one line a reader sees, in UTF-8; null when there is nothing to say.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_label(verifier: *const SealwrightVerifier) -> *const c_char {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    said(verifier).map_or(ptr::null(), |said| said.label.as_ptr())
}

/// The tier, 1 to 4, and 0 for none and when there is nothing to say.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_tier(verifier: *const SealwrightVerifier) -> c_int {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    said(verifier).map_or(0, |said| said.tier)
}

/// The badge, an SVG document in UTF-8 without scripts, styles or references; null when there is nothing to say. Show it
/// outside of the message.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_badge(verifier: *const SealwrightVerifier) -> *const c_char {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    said(verifier).map_or(ptr::null(), |said| said.badge.as_ptr())
}

/// The MIME entity that was signed, header block and body, and its length; null and 0 unless the signature is intact.
/// Show this and nothing else. A signed entity of no bytes gives a pointer that is not null and the length 0.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new; `length` is null or points to a size_t that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_verified_bytes(
    verifier: *const SealwrightVerifier,
    length: *mut usize,
) -> *const u8 {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    let bytes = said(verifier).and_then(|said| said.verified_bytes.as_deref());
    if length.is_null() {
        // Bytes of unknown length are of no use, and must not be taken for text that ends with a NUL.
        return ptr::null();
    }
    // SAFETY: it is not null, and the caller promises that it can be written.
    unsafe { length.write(bytes.map_or(0, <[u8]>::len)) };
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

/// Why the last call did not return Ok, as a sentence in UTF-8; null if it did.
///
/// # Safety
///
/// `verifier` is null or came from sealwright_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sealwright_error(verifier: *const SealwrightVerifier) -> *const c_char {
    // SAFETY: the caller promises it of the handle.
    let verifier = unsafe { verifier.as_ref() };
    verifier
        .and_then(|verifier| verifier.error.as_deref())
        .map_or(ptr::null(), CStr::as_ptr)
}

fn said(verifier: Option<&SealwrightVerifier>) -> Option<&Said> {
    verifier.and_then(|verifier| verifier.said.as_ref())
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};
