//! Signs a message with `rsa-sha256` and the canonicalization `relaxed/relaxed`.

use std::sync::Arc;

use der::Encode;
use keys::SigningKey;
use policies::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The key of a domain, and where its public half is published.
pub(crate) struct Signer {
    key: Arc<dyn SigningKey>,
    domain: String,
    selector: String,
}

impl Signer {
    pub(crate) fn new(key: Arc<dyn SigningKey>, domain: &str, selector: &str) -> Self {
        Self {
            key,
            domain: domain.to_owned(),
            selector: selector.to_owned(),
        }
    }

    /// Where the public key has to be in the DNS.
    pub(crate) fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The TXT record that has to be there.
    pub(crate) fn record(&self) -> Result<String, Error> {
        let der = self
            .key
            .public_key()
            .to_der()
            .map_err(Error::encoding("the public key"))?;
        Ok(format!("v=DKIM1; k=rsa; p={}", data_encoding::BASE64.encode(&der)))
    }

    /// The `DKIM-Signature` field for a message, with its line end: to be put before it. Blocks.
    ///
    /// Every field that RFC 8823 section 3.1 names is in `h=`, present or not, so that none can be added later.
    pub(crate) fn sign(&self, header: &[(&str, &str)], body: &str, now: Timestamp) -> Result<String, Error> {
        let body_hash = Sha256::digest(relaxed_body(body).as_bytes());
        let mut unsigned = format!(
            "v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n\td={};\r\n\ts={}; t={};\r\n\th={};\r\n\tbh={};\r\n\tb=",
            self.domain,
            self.selector,
            now.unix(),
            SIGNED_FIELDS.join(":\r\n\t "),
            data_encoding::BASE64.encode(&body_hash),
        );
        let mut input = String::new();
        for name in SIGNED_FIELDS {
            let present = header.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
            if let Some((_, value)) = present {
                input.push_str(&relaxed_field(name, value));
                input.push_str("\r\n");
            }
        }
        // RFC 6376 section 3.7: the field itself comes last, with an empty b= and without a line end.
        input.push_str(&relaxed_field("dkim-signature", &unsigned));
        let signature = self.key.sign(input.as_bytes()).map_err(|source| Error::Key {
            key: "acme-dkim".to_owned(),
            source,
        })?;
        let signature = data_encoding::BASE64.encode(signature.as_bytes());
        for (index, character) in signature.chars().enumerate() {
            if index > 0 && index % 70 == 0 {
                unsigned.push_str("\r\n\t ");
            }
            unsigned.push(character);
        }
        Ok(format!("DKIM-Signature: {unsigned}\r\n"))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.record_name())
    }
}

/// RFC 6376 section 3.4.2: the name in lower case, runs of blanks and folds as one blank, none at the ends.
fn relaxed_field(name: &str, value: &str) -> String {
    let words: Vec<&str> = value
        .split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .collect();
    format!("{}:{}", name.to_ascii_lowercase(), words.join(" "))
}

/// RFC 6376 section 3.4.4: runs of blanks as one, none at line ends, no empty lines at the end.
fn relaxed_body(body: &str) -> String {
    let mut canonical = String::with_capacity(body.len());
    for line in body.split("\r\n") {
        let mut blank = false;
        let line = line.trim_end_matches([' ', '\t']);
        for character in line.chars() {
            match character {
                ' ' | '\t' => blank = true,
                other => {
                    if std::mem::take(&mut blank) {
                        canonical.push(' ');
                    }
                    canonical.push(other);
                }
            }
        }
        canonical.push_str("\r\n");
    }
    while canonical.ends_with("\r\n\r\n") {
        canonical.truncate(canonical.len() - 2);
    }
    match &*canonical {
        "\r\n" => String::new(),
        _ => canonical,
    }
}

/// RFC 8823 section 3.1: those it demands, then those it recommends.
const SIGNED_FIELDS: [&str; 25] = [
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
    "Resent-Date",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "List-Unsubscribe-Post",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6376 section 3.4.5, the example.
    #[test]
    fn canonical_forms_are_those_of_the_standard() {
        assert_eq!(relaxed_field("A", " X\r\n"), "a:X");
        assert_eq!(relaxed_field("B", " Y\t\r\n\tZ  \r\n"), "b:Y Z");
        assert_eq!(relaxed_body(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(relaxed_body(""), "");
        assert_eq!(relaxed_body("\r\n\r\n"), "");
        assert_eq!(relaxed_body("a"), "a\r\n");
    }
}
