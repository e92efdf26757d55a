//! The verifier as a WebAssembly package for browsers, add-ons and Node.
//!
//! wasm-bindgen writes the JavaScript and the TypeScript declarations from here, with the documentation below.
#![forbid(unsafe_code)]

use js_sys::{Date, JSON, Reflect, Symbol, Uint8Array};
use policies::time::Timestamp;
use wasm_bindgen::prelude::*;

/// Whom to trust, and what else is at hand.
///
/// Certificates and revocation lists are given as the bytes of files, in DER or PEM, each with one or more of them. What
/// cannot be used is thrown back as an `Error` that says why, and nothing of it is taken.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Verifier {
    setup: verifier_report::Verifier,
    language: verifier::Language,
}

#[wasm_bindgen]
impl Verifier {
    /// Trusts nobody.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts certificates of authorities: for `"tiers"`, or for `"signatures_only"`, which is which address owns a key.
    ///
    /// # Errors
    ///
    /// What is no certificate of an authority, or no such word.
    pub fn trust(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] certificates: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "\"tiers\" | \"signatures_only\"")] vouches: &str,
    ) -> Result<(), JsError> {
        let vouches = verifier_report::vouches(vouches)?;
        Ok(self.setup.trust(&bytes(certificates)?, vouches)?)
    }

    /// Keeps certificates of authorities for senders who left them out. They are not trusted by that.
    ///
    /// # Errors
    ///
    /// What holds no certificate.
    #[wasm_bindgen(js_name = addIntermediates)]
    pub fn add_intermediates(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] certificates: &JsValue,
    ) -> Result<(), JsError> {
        Ok(self.setup.add_intermediates(&bytes(certificates)?)?)
    }

    /// Keeps certificate revocation lists.
    ///
    /// # Errors
    ///
    /// What is no revocation list.
    #[wasm_bindgen(js_name = addCrls)]
    pub fn add_crls(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] lists: &JsValue,
    ) -> Result<(), JsError> {
        Ok(self.setup.add_crls(&bytes(lists)?)?)
    }

    /// Keeps an OCSP response in DER, stapled or fetched by somebody else.
    ///
    /// # Errors
    ///
    /// What is no OCSP response.
    #[wasm_bindgen(js_name = addOcspResponse)]
    pub fn add_ocsp_response(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] response: &JsValue,
    ) -> Result<(), JsError> {
        Ok(self.setup.add_ocsp_response(&bytes(response)?)?)
    }

    /// Decides what becomes of a tier when there was no revocation list for a certificate (`notChecked`, without this
    /// call `"keep_tier"`), and when none of the lists could be used (`unknown`, without this call `"withhold_tier"`).
    ///
    /// # Errors
    ///
    /// Any other word.
    #[wasm_bindgen(js_name = setUnsettledRevocation)]
    pub fn set_unsettled_revocation(
        &mut self,
        #[wasm_bindgen(js_name = notChecked, unchecked_param_type = "\"keep_tier\" | \"withhold_tier\"")]
        not_checked: &str,
        #[wasm_bindgen(unchecked_param_type = "\"keep_tier\" | \"withhold_tier\"")] unknown: &str,
    ) -> Result<(), JsError> {
        let not_checked = verifier_report::unsettled_revocation(not_checked)?;
        let unknown = verifier_report::unsettled_revocation(unknown)?;
        let policy = self.setup.policy_mut();
        policy.not_checked = not_checked;
        policy.unknown = unknown;
        Ok(())
    }

    /// Messages of more bytes are not looked at; without this call 64 MiB.
    #[wasm_bindgen(js_name = setMaximumMessageSize)]
    pub fn set_maximum_message_size(&mut self, bytes: usize) {
        self.setup.policy_mut().maximum_message_size = bytes;
    }

    /// Decides in which language labels, badges and what explains findings are written: a tag of BCP 47, `"en"` or
    /// `"sv"`, such as `navigator.language` is one; without this call English.
    ///
    /// # Errors
    ///
    /// A language that is not known.
    #[wasm_bindgen(js_name = setLanguage)]
    pub fn set_language(&mut self, tag: &str) -> Result<(), JsError> {
        self.language = tag.parse::<verifier::Language>()?;
        Ok(())
    }

    /// Examines a message as it arrived, all header fields and the body, at a point in time; for mail that has just
    /// arrived that is `new Date()`. Whatever is wrong with the message is in the verdict; nothing is thrown for it.
    ///
    /// # Errors
    ///
    /// What is no `Uint8Array`, or an invalid Date.
    pub fn verify(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] message: &JsValue,
        at: &Date,
    ) -> Result<Verdict, JsError> {
        let message = bytes(message)?;
        let seconds = (at.get_time() / 1000.0).floor();
        if seconds.is_nan() {
            return Err(JsError::new("at: this Date is invalid"));
        }
        // A Date lies within 8.64e12 seconds of 1970 (ECMA-262 section 21.4.1.1).
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number of at most thirteen digits"
        )]
        let verdict = self.setup.verify(&message, Timestamp::from_unix(seconds as i64));
        Ok(Verdict {
            verdict,
            language: self.language,
        })
    }
}

/// What is said of a message.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Verdict {
    verdict: verifier::Verdict,
    language: verifier::Language,
}

#[wasm_bindgen]
impl Verdict {
    /// The one line a reader sees. It holds no character that could reorder or break the line.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn label(&self) -> String {
        self.verdict.label_in(self.language)
    }

    /// The one word.
    #[wasm_bindgen(getter, unchecked_return_type = "Status")]
    #[must_use]
    pub fn status(&self) -> String {
        self.verdict.status().as_ref().to_owned()
    }

    /// The tier; there is one exactly when the status is `"tier"`.
    #[wasm_bindgen(getter, unchecked_return_type = "Tier | undefined")]
    #[must_use]
    pub fn tier(&self) -> Option<String> {
        self.verdict.tier().map(|tier| tier.to_string())
    }

    /// The badge as an SVG document without scripts, styles or references. Show it outside of the message.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn badge(&self) -> String {
        verifier::badge(&self.verdict, self.language)
    }

    /// All facts and findings.
    ///
    /// # Errors
    ///
    /// None: what was written as JSON can be read as JSON.
    #[wasm_bindgen(getter, unchecked_return_type = "Report")]
    pub fn report(&self) -> Result<JsValue, JsValue> {
        JSON::parse(&self.to_json_text())
    }

    /// The report as text, the same that `sealwright verify --json` prints.
    #[wasm_bindgen(js_name = toJSONText)]
    #[must_use]
    pub fn to_json_text(&self) -> String {
        verifier_report::Report::in_language(&self.verdict, self.language).to_json()
    }

    /// The MIME entity that was signed, header block and body, if the signature is intact. Show this and nothing else.
    #[wasm_bindgen(getter, js_name = verifiedBytes)]
    #[must_use]
    pub fn verified_bytes(&self) -> Option<Vec<u8>> {
        self.verdict.verified_bytes().map(<[u8]>::to_vec)
    }

    /// The verdict on a signed or encrypted layer inside this signature, to be freed by itself. It changes nothing about
    /// this one.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn inner(&self) -> Option<Self> {
        self.verdict.inner().map(|inner| Self {
            verdict: inner.clone(),
            language: self.language,
        })
    }
}

/// The version of this package.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A copy of the bytes. Text in particular is refused: JavaScript would make it bytes of nothing but zeros.
fn bytes(value: &JsValue) -> Result<Vec<u8>, JsError> {
    // Unlike `instanceof`, the tag knows the arrays of other windows and workers as well.
    let tag = Reflect::get(value, &Symbol::to_string_tag())
        .ok()
        .and_then(|tag| tag.as_string());
    if tag.as_deref() != Some("Uint8Array") {
        return Err(JsError::new("give the bytes as a Uint8Array"));
    }
    Ok(Uint8Array::new(value).to_vec())
}

#[wasm_bindgen(typescript_custom_section)]
const REPORT_TYPES: &str = r#"
export type Status = "tier" | "signed" | "not_verified" | "broken" | "not_signed";
export type Tier = "V1" | "V2" | "V3" | "V4";

/** What a verdict says. Keys are only ever added; `detail` is for people and may be worded anew. */
export interface Report {
    status: Status;
    tier: Tier | null;
    /** The one line a reader sees. */
    label: string;
    /** What the label means, in one sentence for those who are no experts. */
    description: string;
    /** The address in From, if there is exactly one; verified only as far as `identity` says. */
    from: string | null;
    /** Who signed, if the signature is intact and the path verified. */
    signer: { address: string; name: string | null; organization: string | null; title: string | null } | null;
    integrity: "not_checked" | "intact" | "broken";
    path: "not_checked" | "verified" | "not_verified";
    identity: "not_checked" | "no_sender" | "matches" | "differs";
    revocation: string;
    /** Whether a layer around the signature was encrypted; it says nothing about who wrote the message. */
    encryption: "absent" | "closed" | "opened";
    /** How the signature covers header fields. */
    header_protection: "not_checked" | "absent" | "wrapped" | "clear" | "cipher";
    /** The header fields that the signature covers, to be shown instead of those outside. */
    protected_headers: ProtectedField[];
    /** How many bytes the signature covers, if it is intact. */
    verified_length: number | null;
    /** Everything that was noticed, the most telling first. */
    findings: Finding[];
    /** The signer's certificate in PEM, if the signature is intact. */
    certificate: string | null;
    /** The report on a signed or encrypted layer inside this signature. */
    inner: Report | null;
}

/** One fact about a message; `meaning`, `importance` and `advice` hold nothing of the message. */
export interface Finding {
    code: string;
    severity: "error" | "warning" | "notice";
    /** May quote the message, and is not sanitised for display. */
    detail: string;
    meaning: string;
    importance: string;
    advice: string;
}

/** A header field that the signature covers, beside those of the same name outside. */
export interface ProtectedField {
    name: string;
    value: string;
    outside: "same" | "hidden" | "differs";
    /** Anybody may have written these. */
    outside_values: string[];
}
"#;
