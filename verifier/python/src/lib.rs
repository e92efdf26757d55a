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
use verifier::Vouches;
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
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (*, trust, signatures_only = Vec::new(), intermediates = Vec::new(), crls = Vec::new(), ocsp_responses = Vec::new(), not_checked = "keep_tier", unknown = "withhold_tier", maximum_message_size = 67_108_864))]
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
    ) -> PyResult<Self> {
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
        Ok(Self { setup })
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
            verified_bytes: verdict.verified_bytes().map(<[u8]>::to_vec),
            report: Report::of(&verdict),
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
    report: Report,
    verified_bytes: Option<Vec<u8>>,
}

#[pymethods]
impl Verdict {
    /// "tier", "signed", "not_verified", "broken" or "not_signed".
    #[getter]
    fn status(&self) -> &str {
        &self.report.status
    }

    /// "V1" to "V4"; there is one exactly when the status is "tier".
    #[getter]
    fn tier(&self) -> Option<&str> {
        self.report.tier.as_deref()
    }

    /// The one line a reader sees. It holds no character that could reorder or break the line.
    #[getter]
    fn label(&self) -> &str {
        &self.report.label
    }

    /// The address in From, if there is exactly one; verified only as far as identity says.
    #[getter(from_address)]
    fn address_in_from(&self) -> Option<&str> {
        self.report.from.as_deref()
    }

    /// Who signed, if the signature is intact and the path verified.
    #[getter]
    fn signer(&self) -> Option<Signer> {
        self.report.signer.as_ref().map(|signer| Signer {
            address: signer.address.clone(),
            name: signer.name.clone(),
            organization: signer.organization.clone(),
            title: signer.title.clone(),
        })
    }

    /// "not_checked", "intact" or "broken".
    #[getter]
    fn integrity(&self) -> &str {
        &self.report.integrity
    }

    /// "not_checked", "verified" or "not_verified".
    #[getter]
    fn path(&self) -> &str {
        &self.report.path
    }

    /// "not_checked", "no_sender", "matches" or "differs".
    #[getter]
    fn identity(&self) -> &str {
        &self.report.identity
    }

    /// What the revocation lists say, such as "good", "revoked" or "not_checked".
    #[getter]
    fn revocation(&self) -> &str {
        &self.report.revocation
    }

    /// Everything that was noticed, the most telling first.
    #[getter]
    fn findings(&self) -> Vec<Finding> {
        let findings = self.report.findings.iter();
        findings
            .map(|finding| Finding {
                code: finding.code.to_owned(),
                severity: finding.severity.clone(),
                detail: finding.detail.clone(),
            })
            .collect()
    }

    /// The signer's certificate in PEM, if the signature is intact.
    #[getter]
    fn certificate(&self) -> Option<&str> {
        self.report.certificate.as_deref()
    }

    /// The MIME entity that was signed, header block and body, if the signature is intact. Show this and nothing else.
    #[getter]
    fn verified_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.verified_bytes.as_deref().map(|bytes| PyBytes::new(py, bytes))
    }

    /// All of it but verified_bytes as one JSON object, the same that `sealwright verify --json` prints.
    fn to_json(&self) -> String {
        self.report.to_json()
    }

    fn __repr__(&self) -> String {
        format!("<sealwright.Verdict '{}'>", self.report.label)
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
    use super::{Finding, Signer, Verdict, Verifier};

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
