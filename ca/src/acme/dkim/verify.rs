//! Whether a reply comes from the domain of its sender (RFC 8823 section 3.2, RFC 6376, RFC 8301, RFC 8463).
//!
//! The signature is verified by mail-auth. What is decided here is which signatures count: of the very domain of the
//! sender, over every field that RFC 8823 names and the whole body, with an algorithm and a key that are still good.
//!
//! NOTE: mail-auth asks the clock of the system whether a signature has expired. The clock of the authority is asked
//! before; a signature has to be in force by both.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use mail_auth::common::crypto::Algorithm;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, DnsError, MessageAuthenticator, Parameters, ResolverCache, Txt};
use policies::time::Timestamp;
use serde::Deserialize;

use super::lookup::{LookupFailure, TextRecordSet, TextRecords};
use crate::error::Error;

/// Which of the fields that RFC 8823 section 3.2 names a signature has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyFields {
    /// All of them, also those that the message does not have: what the RFC says.
    #[default]
    All,
    /// Those that the message has. Large mail providers sign no others.
    Present,
}

/// Verifies replies.
pub(crate) struct Verifier {
    text_records: Arc<dyn TextRecords>,
    fields: ReplyFields,
    /// What the RFC wants covered.
    signed: &'static [&'static str],
    authenticator: MessageAuthenticator,
}

/// Why a message is not taken for one of its sender.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAuthentic {
    /// Nothing is known to be wrong; it may be tried again.
    #[error("the DKIM key could not be looked up")]
    Lookup(#[from] LookupFailure),
    #[error("no DKIM signature of {domain} with every header field that RFC 8823 section 3.2 names verifies: {reason}")]
    Signature { domain: String, reason: String },
}

impl Verifier {
    pub(crate) fn new(text_records: Arc<dyn TextRecords>, fields: ReplyFields) -> Result<Self, Error> {
        Self::of(text_records, fields, &SIGNED_FIELDS)
    }

    /// For challenge mails of other authorities (RFC 8823 section 3.1).
    pub(crate) fn of_challenges(text_records: Arc<dyn TextRecords>) -> Result<Self, Error> {
        Self::of(text_records, ReplyFields::All, &SIGNED_FIELDS_OF_CHALLENGES)
    }

    fn of(
        text_records: Arc<dyn TextRecords>,
        fields: ReplyFields,
        signed: &'static [&'static str],
    ) -> Result<Self, Error> {
        // Keys are looked up by us; this resolver has no server and is never asked.
        let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        let authenticator = MessageAuthenticator::new(nowhere, ResolverOpts::default());
        let authenticator = authenticator.map_err(|error| Error::InvalidInput {
            field: "acme",
            reason: error.to_string(),
        })?;
        Ok(Self {
            text_records,
            fields,
            signed,
            authenticator,
        })
    }

    /// Whether the domain has signed the message. `present` are the names of its header fields.
    pub(crate) async fn verify(
        &self,
        message: &[u8],
        domain: &str,
        present: &[&str],
        now: Timestamp,
    ) -> Result<(), NotAuthentic> {
        let not_signed = |reason: &str| NotAuthentic::Signature {
            domain: domain.to_owned(),
            reason: reason.to_owned(),
        };
        // Strict: a signature over a part of the body (l=) is none.
        let parsed = AuthenticatedMessage::parse_with_opts(message, None, true)
            .ok_or_else(|| not_signed("the message has no header"))?;
        if parsed.dkim_headers.len() > MOST_SIGNATURES {
            return Err(not_signed("there are more than ten signatures"));
        }
        let mut why = "there is none";
        let mut keys = Keys(HashMap::new());
        let mut usable = Vec::new();
        for header in &parsed.dkim_headers {
            let signature = &header.header;
            if !signature.d.eq_ignore_ascii_case(domain) {
                continue;
            }
            let covers = |name: &str| signature.h.iter().any(|signed| signed.eq_ignore_ascii_case(name));
            let is_there = |name: &str| present.iter().any(|field| field.eq_ignore_ascii_case(name));
            let missing = self
                .signed
                .iter()
                .any(|name| (self.fields == ReplyFields::All || is_there(name)) && !covers(name));
            let seconds = u64::try_from(now.unix()).unwrap_or(0);
            why = if signature.a == Algorithm::RsaSha1 {
                "SHA-1 is no longer a hash (RFC 8301)"
            } else if missing || signature.h.len() > MOST_FIELDS {
                "a field is not covered"
            } else if signature.x != 0 && signature.x <= seconds {
                "the signature has expired"
            } else if signature.t > seconds.saturating_add(CLOCK_SKEW) {
                "the signature is from the future"
            } else if signature.atps.is_some() {
                "it is a third-party signature"
            } else {
                usable.push(signature);
                "the signature does not fit the message and the key"
            };
        }
        for signature in &usable {
            let name = format!("{}._domainkey.{}", signature.s, signature.d).to_ascii_lowercase();
            let TextRecordSet(records) = self.text_records.text_records(&name).await?;
            // RFC 6376 section 3.6.2.2: more than one record is undefined; we take none then.
            let [record] = &*records else {
                why = "the DNS does not have exactly one key under its selector";
                continue;
            };
            match DomainKey::parse(record) {
                Ok(key) if key.p.public_key_bits() < LEAST_RSA_BITS => why = "the RSA key has less than 1024 bits",
                Ok(key) => {
                    keys.0
                        .insert(format!("{name}.").into_boxed_str(), Txt::DomainKey(Arc::new(key)));
                }
                Err(_) => why = "the key in the DNS cannot be read, or was revoked",
            }
        }
        let parameters = Parameters::new(&parsed).with_txt_cache(&keys);
        let passed = self.authenticator.verify_dkim(parameters).await.iter().any(|output| {
            let signature = output.signature();
            let is_usable =
                signature.is_some_and(|signature| usable.iter().any(|usable| std::ptr::eq(*usable, signature)));
            *output.result() == DkimResult::Pass && is_usable
        });
        match passed {
            true => Ok(()),
            false => Err(not_signed(why)),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The keys that were looked up. Whatever else mail-auth would ask the DNS has no answer.
struct Keys(HashMap<Box<str>, Txt>);

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let unknown = || Txt::Error(mail_auth::Error::Dns(DnsError::Resolver("not asked".to_owned())));
        Some(self.0.get(name).cloned().unwrap_or_else(unknown))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// RFC 8823 section 3.2.
const SIGNED_FIELDS: [&str; 12] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "CC",
    "Subject",
    "Date",
    "In-Reply-To",
    "References",
    "Message-ID",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// RFC 8823 section 3.1.
const SIGNED_FIELDS_OF_CHALLENGES: [&str; 13] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "CC",
    "Subject",
    "Date",
    "In-Reply-To",
    "References",
    "Message-ID",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// RFC 6376 section 6.1 lets a verifier limit how many it looks at.
const MOST_SIGNATURES: usize = 10;
/// More names than anybody signs; each costs a search.
const MOST_FIELDS: usize = 100;
/// RFC 8301 section 3.2.
const LEAST_RSA_BITS: usize = 1024;
/// Five minutes, in seconds.
const CLOCK_SKEW: u64 = 300;
