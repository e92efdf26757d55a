//! The table `[[dkim]]`: with what the mail of which domain is signed last.

use serde::Deserialize;

use super::host::is_host_name;
use crate::dkim::Selector;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DkimFile {
    domain: String,
    #[serde(default = "default_selector")]
    selector: String,
}

impl DkimFile {
    pub(super) fn check(self) -> Result<Selector, String> {
        let domain = self
            .domain
            .parse()
            .map_err(|error| format!("[[dkim]] domain {:?}: {error}", self.domain))?;
        if !is_selector(&self.selector) {
            return Err(format!(
                "[[dkim]] selector {:?} is not a name of letters, digits and hyphens",
                self.selector
            ));
        }
        Ok(Selector {
            domain,
            selector: self.selector,
        })
    }
}

fn default_selector() -> String {
    "sealwright".to_owned()
}

/// RFC 6376 section 3.1: labels of a DNS name.
pub(crate) fn is_selector(text: &str) -> bool {
    is_host_name(text) && text.len() <= 63
}
