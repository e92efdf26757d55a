//! Where public keys of domains come from.

use std::fmt;
use std::pin::Pin;

use dns::{Answer, Name, Resolver};

/// Finds the TXT records of a name.
pub trait TextRecords: fmt::Debug + Send + Sync {
    /// The records; none when the name has none or does not exist.
    ///
    /// # Errors
    /// The question was not answered, or the answer must not be used; it may be asked again.
    fn text_records<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<TextRecordSet, LookupFailure>> + Send + 'a>>;
}

/// Each record as one text, its parts joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextRecordSet(pub Vec<Vec<u8>>);

/// No answer came, or none that can be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the DNS did not answer for {name}: {reason}")]
pub struct LookupFailure {
    pub name: String,
    pub reason: String,
}

/// Asks the resolver of the authority. What DNSSEC shows to be wrong is no answer.
#[derive(Debug)]
pub(crate) struct ResolvedTextRecords(pub(crate) Resolver);

impl TextRecords for ResolvedTextRecords {
    fn text_records<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<TextRecordSet, LookupFailure>> + Send + 'a>> {
        Box::pin(async move {
            let failed = |reason: String| LookupFailure {
                name: name.to_owned(),
                reason,
            };
            // A selector that is no name has no records.
            let Ok(asked) = Name::parse(name) else {
                return Ok(TextRecordSet::default());
            };
            match self.0.txt(&asked).await {
                Answer::Secure(found) | Answer::Insecure(found) => Ok(TextRecordSet(
                    found.records.into_iter().map(|record| record.0).collect(),
                )),
                Answer::NoData(_) | Answer::NxDomain(_) => Ok(TextRecordSet::default()),
                Answer::Bogus(bogus) => Err(failed(bogus.to_string())),
                Answer::Failed(failure) => Err(failed(failure.to_string())),
            }
        })
    }
}
