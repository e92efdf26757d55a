//! Certificates and revocation lists as people have them: DER, or PEM with one block or many.

use base64ct::{Base64, Encoding as _};
use thiserror::Error;

/// Which structure is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An X.509 certificate.
    Certificate,
    /// An X.509 certificate revocation list.
    RevocationList,
}

impl Kind {
    /// The label of its PEM blocks (RFC 7468 sections 5 and 6).
    const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::RevocationList => "X509 CRL",
        }
    }
}

/// Why an input yields no structure in DER.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotDer {
    /// Not text, and no SEQUENCE either.
    #[error("it is neither PEM nor DER")]
    Neither,
    /// Text without a block of the kind looked for.
    #[error("it has no line \"-----BEGIN {label}-----\"")]
    NoBlock {
        /// The label looked for.
        label: &'static str,
    },
    /// A block that does not end.
    #[error("a block has no line \"-----END {label}-----\"")]
    Unfinished {
        /// The label looked for.
        label: &'static str,
    },
    /// A block whose content is damaged.
    #[error("a block is not base64 ({0})")]
    NotBase64(#[source] base64ct::Error),
}

/// The DER structures of an input that is DER itself, or PEM with at least one block of this kind.
///
/// What is in the structures is not looked at. Blocks of other kinds and text between blocks are passed over.
///
/// # Errors
///
/// [`NotDer`] if there is none, or one of them is damaged.
pub fn structures(input: &[u8], kind: Kind) -> Result<Vec<Vec<u8>>, NotDer> {
    // A DER certificate or CRL is a SEQUENCE.
    if input.first() == Some(&0x30) {
        return Ok(vec![input.to_vec()]);
    }
    let text = str::from_utf8(input).map_err(|_| NotDer::Neither)?;
    let label = kind.label();
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, block)) = rest.split_once(&begin) {
        let (body, after) = block.split_once(&end).ok_or(NotDer::Unfinished { label })?;
        let base64: String = body.split_ascii_whitespace().collect();
        found.push(Base64::decode_vec(&base64).map_err(NotDer::NotBase64)?);
        rest = after;
    }
    if found.is_empty() {
        return Err(NotDer::NoBlock { label });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: Result<&[&[u8]], NotDer>) {
        let found = structures(input, Kind::Certificate);
        assert_eq!(
            found,
            expected.map(|all| all.iter().map(|one| one.to_vec()).collect()),
            "{input:?}"
        );
    }

    #[test]
    fn der_and_every_block_of_pem_are_taken() {
        check(b"0\x03abc", Ok(&[b"0\x03abc"]));
        let one = "before\n-----BEGIN CERTIFICATE-----\r\nMAMB\r\nAf8=\r\n-----END CERTIFICATE-----\r\n";
        check(one.as_bytes(), Ok(&[&[0x30, 3, 1, 1, 0xff]]));
        let other = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        check(
            [one, other, one].concat().as_bytes(),
            Ok(&[&[0x30, 3, 1, 1, 0xff], &[0x30, 3, 1, 1, 0xff]]),
        );
        assert_eq!(
            structures(other.as_bytes(), Kind::RevocationList),
            Ok(vec![vec![0x30, 0]])
        );
    }

    #[test]
    fn what_is_damaged_or_something_else_is_refused() {
        let label = "CERTIFICATE";
        check(b"", Err(NotDer::NoBlock { label }));
        check(b"hello", Err(NotDer::NoBlock { label }));
        check(b"\xff\xfe", Err(NotDer::Neither));
        check(
            b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
            Err(NotDer::NoBlock { label }),
        );
        check(
            b"-----BEGIN CERTIFICATE-----\nMAA=\n",
            Err(NotDer::Unfinished { label }),
        );
        for content in ["M\u{e4}A=", "MAA", "M", "MAA=MAA="] {
            let block = format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
            assert!(
                matches!(
                    structures(block.as_bytes(), Kind::Certificate),
                    Err(NotDer::NotBase64(_))
                ),
                "{content}"
            );
        }
    }
}
