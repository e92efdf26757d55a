//! The one handle, and how every call that changes it goes.

use std::ffi::{CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use policies::tier::Tier;
use verifier::{Language, Verdict, badge};
use verifier_report::{InputProblem, Report, Verifier};

use crate::SealwrightResult;

/// A verifier with all it trusts, and what it said last. Its inside is nobody else's business.
#[derive(Debug)]
pub struct SealwrightVerifier {
    pub(crate) setup: Verifier,
    pub(crate) language: Language,
    pub(crate) said: Option<Said>,
    pub(crate) error: Option<CString>,
}

impl SealwrightVerifier {
    pub(crate) fn new() -> Self {
        Self {
            setup: Verifier::new(),
            language: Language::English,
            said: None,
            error: None,
        }
    }
}

/// What is said of a message, as C reads it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) json: CString,
    pub(crate) status: CString,
    pub(crate) label: CString,
    /// 1 to 4, or 0 for none.
    pub(crate) tier: c_int,
    /// SVG.
    pub(crate) badge: CString,
    pub(crate) verified_bytes: Option<Vec<u8>>,
}

impl Said {
    pub(crate) fn of(verdict: &Verdict, language: Language) -> Self {
        let report = Report::in_language(verdict, language);
        Self {
            json: text(report.to_json()),
            status: text(report.status),
            label: text(report.label),
            tier: match verdict.tier() {
                None => 0,
                Some(Tier::V1) => 1,
                Some(Tier::V2) => 2,
                Some(Tier::V3) => 3,
                Some(Tier::V4) => 4,
            },
            badge: text(badge(verdict, language)),
            verified_bytes: verdict.verified_bytes().map(<[u8]>::to_vec),
        }
    }
}

/// Why a call was not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    result: SealwrightResult,
    sentence: String,
}

impl Refused {
    pub(crate) fn null(what: &str) -> Self {
        Self {
            result: SealwrightResult::NullPointer,
            sentence: format!("the pointer to {what} is null"),
        }
    }

    pub(crate) fn argument(sentence: String) -> Self {
        Self {
            result: SealwrightResult::InvalidArgument,
            sentence,
        }
    }

    #[cfg(test)]
    pub(crate) fn result(&self) -> SealwrightResult {
        self.result
    }
}

impl From<InputProblem> for Refused {
    fn from(problem: InputProblem) -> Self {
        Self {
            result: SealwrightResult::InvalidInput,
            sentence: problem.to_string(),
        }
    }
}

/// Does `call` with the verifier, forgetting first what it said before: a caller who overlooks a failure must not read
/// the verdict on another message.
pub(crate) fn change(
    verifier: Option<&mut SealwrightVerifier>,
    call: impl FnOnce(&mut SealwrightVerifier) -> Result<(), Refused>,
) -> SealwrightResult {
    let Some(verifier) = verifier else {
        return SealwrightResult::NullPointer;
    };
    verifier.said = None;
    verifier.error = None;
    // Unwind safety: a setup is replaced as a whole or appended to, so it is in order after a panic anywhere, and
    // anything that was said is taken back below.
    let refused = match catch_unwind(AssertUnwindSafe(|| call(verifier))) {
        Ok(Ok(())) => return SealwrightResult::Ok,
        Ok(Err(refused)) => refused,
        Err(panic) => {
            // Dropping what a panic carries may panic in turn.
            std::mem::forget(panic);
            Refused {
                result: SealwrightResult::InternalError,
                sentence: "the verifier has a defect and gave up on this call; please report it with the input"
                    .to_owned(),
            }
        }
    };
    verifier.said = None;
    verifier.error = Some(text(refused.sentence));
    refused.result
}

/// Text for C. A NUL would cut it off, so the sign for a character that cannot be shown takes its place.
fn text(text: String) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stays_inside_and_leaves_nothing_said() {
        let mut verifier = SealwrightVerifier::new();
        let message = b"From: alice@example.org\r\n\r\nHi";
        let verdict = verifier.setup.verify(message, policies::time::Timestamp::from_unix(0));
        let result = change(Some(&mut verifier), |verifier| {
            verifier.said = Some(Said::of(&verdict, Language::Swedish));
            panic!("on purpose");
        });
        assert_eq!(result, SealwrightResult::InternalError);
        assert!(verifier.said.is_none());
        assert!(verifier.error.is_some());
        assert_eq!(change(Some(&mut verifier), |_| Ok(())), SealwrightResult::Ok);
        assert!(verifier.error.is_none());
    }

    #[test]
    fn no_handle_is_no_call() {
        assert_eq!(change(None, |_| panic!("not reached")), SealwrightResult::NullPointer);
    }

    #[test]
    fn a_nul_does_not_hide_what_follows() {
        assert_eq!(text("a\0b".to_owned()).to_str(), Ok("a\u{fffd}b"));
    }
}
