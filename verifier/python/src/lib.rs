//! The verifier as the Python package `sealwright`.
//!
//! `sealwright.pyi` beside `Cargo.toml` has the types; the documentation strings are written here, with examples that
//! the tests run.
#![forbid(unsafe_code)]

use policies::time::Timestamp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt};
use verifier::{Language, Vouches, badge, description};
use verifier_report::{Report, unsettled_revocation};

/// Whom to trust, and what else is at hand; never changes, and may be shared by threads.
///
/// Certificates and revocation lists are given as the bytes of files, in DER or PEM, each with one or more of them.
///
/// * trust: authorities whose certificates may carry a tier. Nobody is trusted without being named here.
/// * signatures_only: authorities believed only about which address owns a key; no tier is shown.
/// * intermediates: certificates of authorities for senders who left them out; not trusted by that.
/// * crls: certificate revocation lists.
/// * ocsp_responses: OCSP responses, each in DER, stapled or fetched by somebody else.
/// * not_checked: "keep_tier" or "withhold_tier" when there was no list for a certificate.
/// * unknown: the same when none of the lists could be used.
/// * maximum_message_size: larger messages are not looked at; in bytes.
/// * language: "en" or "sv", for labels, badges and what explains findings.
///
/// ValueError is raised for what is no certificate, no authority, no list, or no word with a meaning.
///
/// >>> import sealwright
/// >>> verifier = sealwright.Verifier(trust=[])
/// >>> verifier.verify(b"From: alice@example.org\r\n\r\nHi", at=1795305600).label
/// 'NOT SIGNED'
/// >>> sealwright.Verifier(trust=[b"nonsense"])
/// Traceback (most recent call last):
///     ...
/// ValueError: trust[0]: no certificate was found: it has no line "-----BEGIN CERTIFICATE-----"; give one in PEM or DER
#[pyclass(frozen, module = "sealwright")]
#[derive(Debug)]
struct Verifier {
    setup: verifier_report::Verifier,
    language: Language,
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (*, trust, signatures_only = Vec::new(), intermediates = Vec::new(), crls = Vec::new(), ocsp_responses = Vec::new(), not_checked = "keep_tier", unknown = "withhold_tier", maximum_message_size = 67_108_864, language = "en"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        trust: Vec<PyBackedBytes>,
        signatures_only: Vec<PyBackedBytes>,
        intermediates: Vec<PyBackedBytes>,
        crls: Vec<PyBackedBytes>,
        ocsp_responses: Vec<PyBackedBytes>,
        not_checked: &str,
        unknown: &str,
        maximum_message_size: usize,
        language: &str,
    ) -> PyResult<Self> {
        let language = language
            .parse()
            .map_err(|problem| PyValueError::new_err(format!("language: {problem}")))?;
        let mut setup = verifier_report::Verifier::new();
        for (index, anchors) in trust.iter().enumerate() {
            setup
                .trust(anchors, Vouches::Tiers)
                .map_err(|problem| invalid("trust", index, &problem))?;
        }
        for (index, anchors) in signatures_only.iter().enumerate() {
            setup
                .trust(anchors, Vouches::SignaturesOnly)
                .map_err(|problem| invalid("signatures_only", index, &problem))?;
        }
        for (index, certificates) in intermediates.iter().enumerate() {
            setup
                .add_intermediates(certificates)
                .map_err(|problem| invalid("intermediates", index, &problem))?;
        }
        for (index, lists) in crls.iter().enumerate() {
            setup
                .add_crls(lists)
                .map_err(|problem| invalid("crls", index, &problem))?;
        }
        for (index, response) in ocsp_responses.iter().enumerate() {
            setup
                .add_ocsp_response(response)
                .map_err(|problem| invalid("ocsp_responses", index, &problem))?;
        }
        let word = |name, given| {
            unsettled_revocation(given).map_err(|problem| PyValueError::new_err(format!("{name}: {problem}")))
        };
        let policy = setup.policy_mut();
        policy.not_checked = word("not_checked", not_checked)?;
        policy.unknown = word("unknown", unknown)?;
        policy.maximum_message_size = maximum_message_size;
        Ok(Self { setup, language })
    }

    /// Examines a message as it arrived, all header fields and the body, at a point in time.
    ///
    /// The time is an aware datetime or seconds since 1970, and has no default: for mail that has just arrived give
    /// datetime.now(timezone.utc). Whatever is wrong with the message is in the verdict; nothing is raised for it.
    ///
    /// >>> import sealwright
    /// >>> from datetime import datetime, timezone
    /// >>> verifier = sealwright.Verifier(trust=[])
    /// >>> verdict = verifier.verify(b"From: alice@example.org\r\n\r\nHi", at=datetime(2026, 11, 22, tzinfo=timezone.utc))
    /// >>> verdict.status, verdict.tier, verdict.from_address
    /// ('not_signed', None, 'alice@example.org')
    #[pyo3(signature = (message, *, at))]
    fn verify(&self, py: Python<'_>, message: PyBackedBytes, at: &Bound<'_, PyAny>) -> PyResult<Verdict> {
        let at = timestamp(at)?;
        // Other threads of Python go on meanwhile.
        let verdict = py.detach(|| self.setup.verify(&message, at));
        Ok(Verdict {
            verdict,
            language: self.language,
        })
    }
}

/// What is said of a message: separate facts, findings, and one label.
///
/// >>> import sealwright
/// >>> verdict = sealwright.Verifier(trust=[]).verify(b"Subject: no sender\r\n\r\n", at=0)
/// >>> verdict
/// <sealwright.Verdict 'NOT SIGNED'>
/// >>> verdict.from_address is None and verdict.signer is None and verdict.verified_bytes is None
/// True
#[pyclass(frozen, module = "sealwright")]
#[derive(Debug)]
struct Verdict {
    verdict: verifier::Verdict,
    language: Language,
}

#[pymethods]
impl Verdict {
    /// "tier", "signed", "not_verified", "broken" or "not_signed".
    #[getter]
    fn status(&self) -> String {
        self.verdict.status().as_ref().to_owned()
    }

    /// "V1" to "V4"; there is one exactly when the status is "tier".
    #[getter]
    fn tier(&self) -> Option<String> {
        self.verdict.tier().map(|tier| tier.to_string())
    }

    /// The one line a reader sees. It holds no character that could reorder or break the line.
    #[getter]
    fn label(&self) -> String {
        self.verdict.label_in(self.language)
    }

    /// What the label means, in one sentence for those who are no experts.
    #[getter]
    fn description(&self) -> &'static str {
        description(&self.verdict, self.language)
    }

    /// The badge as an SVG document without scripts, styles or references. Show it outside of the message.
    #[getter]
    fn badge(&self) -> String {
        badge(&self.verdict, self.language)
    }

    /// The address in From, if there is exactly one; verified only as far as identity says.
    #[getter(from_address)]
    fn address_in_from(&self) -> Option<&str> {
        self.verdict.from()
    }

    /// Who signed, if the signature is intact and the path verified.
    #[getter]
    fn signer(&self) -> Option<Signer> {
        self.verdict.signer().map(|signer| Signer {
            address: signer.address.clone(),
            name: signer.name.clone(),
            organization: signer.organization.clone(),
            title: signer.title.clone(),
        })
    }

    /// "not_checked", "intact" or "broken".
    #[getter]
    fn integrity(&self) -> String {
        self.verdict.integrity().as_ref().to_owned()
    }

    /// "not_checked", "verified" or "not_verified".
    #[getter]
    fn path(&self) -> String {
        self.verdict.path().as_ref().to_owned()
    }

    /// "not_checked", "no_sender", "matches" or "differs".
    #[getter]
    fn identity(&self) -> String {
        self.verdict.identity().as_ref().to_owned()
    }

    /// What the revocation lists say, such as "good", "revoked" or "not_checked".
    #[getter]
    fn revocation(&self) -> String {
        self.verdict.revocation().as_ref().to_owned()
    }

    /// Whether a layer around the signature was encrypted: "absent", "closed" or "opened". It says nothing about who
    /// wrote the message.
    #[getter]
    fn encryption(&self) -> String {
        self.verdict.encryption().as_ref().to_owned()
    }

    /// How the signature covers header fields: "not_checked", "absent", "wrapped", "clear" or "cipher".
    #[getter]
    fn header_protection(&self) -> String {
        self.verdict.header_protection().as_ref().to_owned()
    }

    /// The header fields that the signature covers, in their order. Show these instead of those outside.
    #[getter]
    fn protected_headers(&self) -> Vec<ProtectedField> {
        let fields = self.verdict.protected_headers().iter();
        fields
            .map(|field| ProtectedField {
                name: field.name.clone(),
                value: field.value.clone(),
                outside: field.outside.as_ref().to_owned(),
                outside_values: field.outside_values.clone(),
            })
            .collect()
    }

    /// Everything that was noticed, the most telling first.
    #[getter]
    fn findings(&self) -> Vec<Finding> {
        let findings = Report::in_language(&self.verdict, self.language).findings;
        findings
            .into_iter()
            .map(|finding| Finding {
                code: finding.code.to_owned(),
                severity: finding.severity,
                detail: finding.detail,
                meaning: finding.meaning.to_owned(),
                importance: finding.importance.to_owned(),
                advice: finding.advice.to_owned(),
            })
            .collect()
    }

    /// The signer's certificate in PEM, if the signature is intact.
    #[getter]
    fn certificate(&self) -> Option<String> {
        Report::of(&self.verdict).certificate
    }

    /// The MIME entity that was signed, header block and body, if the signature is intact. Show this and nothing else.
    #[getter]
    fn verified_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.verdict.verified_bytes().map(|bytes| PyBytes::new(py, bytes))
    }

    /// The verdict on a signed or encrypted layer inside this signature. It changes nothing about this one.
    #[getter]
    fn inner(&self) -> Option<Self> {
        self.verdict.inner().map(|inner| Self {
            verdict: inner.clone(),
            language: self.language,
        })
    }

    /// All of it but verified_bytes and badge as one JSON object, the same that `sealwright verify --json` prints.
    fn to_json(&self) -> String {
        Report::in_language(&self.verdict, self.language).to_json()
    }

    fn __repr__(&self) -> String {
        format!("<sealwright.Verdict '{}'>", self.label())
    }
}

/// Who signed, as far as the verdict vouches for it.
#[pyclass(frozen, get_all, module = "sealwright")]
#[derive(Debug)]
struct Signer {
    /// An address of the certificate: the sender's if it is among them, else the first.
    address: String,
    /// The person, in V2 and V4.
    name: Option<String>,
    /// The organization, in V3 and V4.
    organization: Option<String>,
    /// The title, in V4.
    title: Option<String>,
}

/// One fact about a message: a stable code, a severity ("error", "warning" or "notice") and a sentence for people.
#[pyclass(frozen, get_all, module = "sealwright")]
#[derive(Debug)]
struct Finding {
    /// Stable, kebab-case.
    code: String,
    /// "error", "warning" or "notice".
    severity: String,
    /// One sentence with the data at hand. It may quote the message and is not sanitised for display.
    detail: String,
    /// What is so, in words for those who are no experts; like the two below without anything of the message.
    meaning: String,
    /// Why it matters.
    importance: String,
    /// What to do about it.
    advice: String,
}

/// A header field that the signature covers, beside those of the same name outside.
#[pyclass(frozen, get_all, module = "sealwright")]
#[derive(Debug)]
struct ProtectedField {
    /// The name as written.
    name: String,
    /// The value with its folds undone; encoded words are not decoded, nothing is sanitised.
    value: String,
    /// "same", "hidden" (something else stands outside, as the sender announced) or "differs".
    outside: String,
    /// What stands outside under this name; anybody may have written it.
    outside_values: Vec<String>,
}

#[pymethods]
impl ProtectedField {
    fn __repr__(&self) -> String {
        format!("<sealwright.ProtectedField {} {}>", self.name, self.outside)
    }
}

#[pymethods]
impl Finding {
    fn __repr__(&self) -> String {
        format!("<sealwright.Finding {} {}>", self.severity, self.code)
    }
}

/// Says who signed an S/MIME message, and whose validated identity that is.
///
/// No network, no files, no clock: what is needed is handed in.
#[pymodule]
mod sealwright {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{Finding, ProtectedField, Signer, Verdict, Verifier};

    #[pymodule_init]
    fn initialize(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Seconds since 1970, from an int or an aware datetime.
fn timestamp(at: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    if at.is_instance_of::<PyInt>() {
        return Ok(Timestamp::from_unix(at.extract()?));
    }
    if !at.hasattr("utcoffset")? || !at.hasattr("timestamp")? {
        return Err(PyTypeError::new_err(
            "at: give an aware datetime, or seconds since 1970 as an int",
        ));
    }
    if at.call_method0("utcoffset")?.is_none() {
        return Err(PyValueError::new_err(
            "at: this datetime has no time zone; write datetime.now(timezone.utc) or add tzinfo",
        ));
    }
    let seconds: f64 = at.call_method0("timestamp")?.extract()?;
    // Every datetime (years 1 to 9999) is some 10^11 seconds from 1970 at most, which a double holds exactly.
    let seconds = seconds.floor();
    if seconds.abs() > 1e15 {
        return Err(PyOverflowError::new_err("at: this is no time"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number of at most fifteen digits"
    )]
    let seconds = seconds as i64;
    Ok(Timestamp::from_unix(seconds))
}

fn invalid(argument: &str, index: usize, problem: &verifier_report::InputProblem) -> PyErr {
    PyValueError::new_err(format!("{argument}[{index}]: {problem}"))
}
