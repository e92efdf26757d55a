//! The messages that the tests build, written to a folder for those who want them: the seeds of the fuzz targets, and
//! the comparison with OpenSSL.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use policies::time::Timestamp;
use verifier::{TrustStore, Verdict};

/// Names the folder; nothing is written without it.
pub(crate) const FOLDER: &str = "SEALWRIGHT_MESSAGES";

pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// One message with all that it was judged by.
pub(crate) fn observe(message: &[u8], trust: &TrustStore, others: [&[Vec<u8>]; 3], at: Timestamp, verdict: &Verdict) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(folder) = folder() else { return };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let write = |ending: &str, content: &[u8]| {
        fs::write(folder.join(format!("{number:05}.{ending}")), content).expect("the folder can be written to");
    };
    let [intermediates, crls, ocsp_responses] = others;
    write("eml", message);
    let anchors: String = trust.anchors().map(|anchor| pem("CERTIFICATE", anchor)).collect();
    let lists: String = crls.iter().map(|list| pem("X509 CRL", list)).collect();
    write("trust.pem", (anchors + &lists).as_bytes());
    let intermediates: String = intermediates.iter().map(|der| pem("CERTIFICATE", der)).collect();
    write("others.pem", intermediates.as_bytes());
    if let Some(response) = ocsp_responses.first() {
        write("ocsp", response);
    }
    let code = verdict.findings().first().map_or("-", |finding| finding.code);
    let facts = format!("{} {code} {} {}", verdict.status().as_ref(), at.unix(), crls.len());
    write("verdict", facts.as_bytes());
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = super::base64(der);
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        base64.replace('\r', "")
    )
}
