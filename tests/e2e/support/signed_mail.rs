//! The two halves of a clear-signed mail, taken apart without any code of the product.

use std::fs;
use std::path::Path;

/// What `gpgsm` and NSS want to see: the signed bytes and the CMS structure.
#[derive(Clone, Debug)]
pub(crate) struct SignedMail {
    /// The first part, exactly as it was signed.
    pub(crate) content: Vec<u8>,
    /// The DER of the second part.
    pub(crate) signature: Vec<u8>,
}

impl SignedMail {
    /// Takes a multipart/signed message apart by plain search for its boundary.
    pub(crate) fn read(path: &Path) -> Self {
        let message = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header_end = find(&message, b"\r\n\r\n").expect("a header ends") + 2;
        let header = String::from_utf8_lossy(&message[..header_end])
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        let content_type = header
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-type: multipart/signed"))
            .unwrap_or_else(|| panic!("{} is multipart/signed: {header}", path.display()));
        let boundary = content_type
            .split("boundary=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a quoted boundary");
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let first =
            header_end + find(&message[header_end..], &delimiter).expect("a first delimiter") + delimiter.len() + 2;
        let first_end = first + find(&message[first..], &delimiter).expect("a second delimiter");
        let second = first_end + delimiter.len() + 2;
        let second_end = second + find(&message[second..], &delimiter).expect("a closing delimiter");
        let part = &message[second..second_end];
        let base64_start = find(part, b"\r\n\r\n").expect("the header of the signature ends") + 4;
        let base64: Vec<u8> = part[base64_start..]
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        Self {
            content: message[first..first_end].to_vec(),
            signature: data_encoding::BASE64.decode(&base64).expect("the signature is base64"),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
