//! The directory: the certificates of one address, for those who want to encrypt to it.
//!
//! Whoever has a token may ask, of any account, since a certificate is made to be given away; but only for an address
//! that they know, so that nobody gathers addresses here. Nothing is said about accounts.

use der::Decode;
use policies::mailbox::Mailbox;
use policies::tier::Tier;
use policies::time::Timestamp;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::app::App;
use crate::error::Error;
use crate::store;
use crate::store::certificates::CertificateRow;

/// A certificate that is valid now and whose key is for encryption.
#[derive(Clone, Debug)]
pub struct Found {
    /// As in the certificate's row: the form for comparisons.
    pub mailbox: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    pub tier: Tier,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub der: Vec<u8>,
}

/// The certificates of an address that one can encrypt to now, the newest first.
pub async fn find(app: &App, mailbox: &Mailbox) -> Result<Vec<Found>, Error> {
    let now = app.now().unix();
    let mailbox = mailbox.as_ref().to_owned();
    let rows = app
        .db
        .read(move |conn| {
            Ok::<_, Error>(store::certificates::valid_of_mailbox(
                conn,
                &mailbox,
                now,
                MOST_OF_A_MAILBOX,
            )?)
        })
        .await?;
    Ok(rows.into_iter().filter_map(Found::from_row).collect())
}

/// What one can encrypt to now, of everybody: a page in the order of issuance, and the identifier to go on after.
pub async fn page(app: &App, after: Option<String>) -> Result<(Vec<Found>, Option<String>), Error> {
    let filter = store::certificates::Filter {
        worth: Some((ca_api::CertificateState::Valid, app.now().unix())),
        ..store::certificates::Filter::default()
    };
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::certificates::page(conn, &filter, after.as_deref(), PAGE)?))
        .await?;
    let next = rows.last().map(|row| row.id.clone());
    Ok((rows.into_iter().filter_map(Found::from_row).collect(), next))
}

impl Found {
    /// `None` for a certificate that is only for signatures.
    fn from_row(row: CertificateRow) -> Option<Self> {
        let der = row.certificate?;
        is_for_encryption(&der).then_some(Self {
            mailbox: row.mailbox,
            serial: row.serial,
            tier: row.tier.0,
            not_before: Timestamp::from_unix(row.not_before),
            not_after: Timestamp::from_unix(row.not_after),
            der,
        })
    }

    /// A vCard 4.0 with the key inside (RFC 6350 sections 6.4.2 and 6.8.1), for address books.
    pub fn vcard(&self) -> String {
        let mailbox = vcard_text(&self.mailbox);
        let key = data_encoding::BASE64.encode(&self.der);
        let lines = [
            "BEGIN:VCARD".to_owned(),
            "VERSION:4.0".to_owned(),
            format!("FN:{mailbox}"),
            format!("EMAIL:{mailbox}"),
            format!("KEY:data:application/pkix-cert;base64,{key}"),
            "END:VCARD".to_owned(),
        ];
        lines
            .iter()
            .map(|line| folded(line, "\r\n "))
            .collect::<Vec<_>>()
            .join("\r\n")
            + "\r\n"
    }

    /// An LDIF record (RFC 2849) of an inetOrgPerson (RFC 2798) below `base`, a distinguished name.
    pub fn ldif(&self, base: &str) -> String {
        let mailbox = &self.mailbox;
        let key = data_encoding::BASE64.encode(&self.der);
        let dn = format!("mail={},{base}", escaped_in_dn(mailbox));
        let lines = [
            ldif_line("dn", &dn),
            "objectClass: inetOrgPerson".to_owned(),
            ldif_line("cn", mailbox),
            ldif_line("sn", mailbox),
            ldif_line("mail", mailbox),
            format!("userCertificate;binary:: {key}"),
        ];
        lines
            .iter()
            .map(|line| folded(line, "\n "))
            .collect::<Vec<_>>()
            .join("\n")
            + "\n\n"
    }

    /// An SMIMEA record (RFC 8162 section 3): certificate usage DANE-EE, the whole certificate, no hash.
    ///
    /// `None` when the address cannot stand in a zone, which no certificate of ours has.
    pub fn smimea(&self) -> Option<String> {
        let mailbox = Mailbox::parse(&self.mailbox).ok()?;
        // "the SHA2-256 hash … truncated to 28 octets", of the local part without quotes.
        let digest = Sha256::digest(mailbox.local_part().as_bytes());
        let name = data_encoding::HEXLOWER.encode(digest.get(..28)?);
        let domain = mailbox.domain();
        let data = data_encoding::HEXLOWER.encode(&self.der);
        Some(format!("{name}._smimecert.{domain}. IN SMIMEA 3 0 0 {data}\n"))
    }
}

/// RFC 8550 section 4.4.2: keys for encryption have keyEncipherment or keyAgreement.
fn is_for_encryption(der: &[u8]) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| {
        let usage = certificate.tbs_certificate().get_extension::<KeyUsage>();
        matches!(usage, Ok(Some((_, KeyUsage(usage))))
            if usage.contains(KeyUsages::KeyEncipherment) || usage.contains(KeyUsages::KeyAgreement))
    })
}

/// RFC 6350 section 3.4. Mailboxes have no line breaks.
fn vcard_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | ',' | ';') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// RFC 4514 section 2.4, for a value that begins and ends with neither a space nor a number sign or is escaped there.
fn escaped_in_dn(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, character) in value.char_indices() {
        let is_first_number_sign = at == 0 && character == '#';
        let is_outer_space = character == ' ' && (at == 0 || at + 1 == value.len());
        if is_first_number_sign || is_outer_space || matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=')
        {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// RFC 2849: what is not safe as it stands is written in base64.
fn ldif_line(name: &str, value: &str) -> String {
    let is_safe = value.bytes().all(|octet| (0x20..0x7f).contains(&octet))
        && !value.starts_with([' ', ':', '<'])
        && !value.ends_with(' ');
    match is_safe {
        true => format!("{name}: {value}"),
        false => format!("{name}:: {}", data_encoding::BASE64.encode(value.as_bytes())),
    }
}

/// Lines of at most 75 octets, the break included where it counts; never within a character.
fn folded(line: &str, fold: &str) -> String {
    let mut folded = String::with_capacity(line.len() + line.len() / 37);
    let mut length = 0;
    for character in line.chars() {
        if length + character.len_utf8() > LINE {
            folded.push_str(fold);
            // The space that marks a continuation.
            length = 1;
        }
        folded.push(character);
        length += character.len_utf8();
    }
    folded
}

/// More devices than anybody renews at the same time; keeps an answer below 64 KiB.
const MOST_OF_A_MAILBOX: i64 = 10;
const PAGE: i64 = 200;
/// RFC 6350 section 3.2; LDIF allows more.
const LINE: usize = 75;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mailbox: &str) -> Found {
        Found {
            mailbox: mailbox.to_owned(),
            serial: "40".to_owned(),
            tier: Tier::V1,
            not_before: Timestamp::from_unix(0),
            not_after: Timestamp::from_unix(1),
            der: vec![0xab; 100],
        }
    }

    #[test]
    fn the_name_of_a_record_is_that_of_the_example_in_rfc_8162() {
        let record = found("hugh@example.com").smimea().unwrap();
        let name = "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com.";
        assert!(record.starts_with(&format!("{name} IN SMIMEA 3 0 0 abab")), "{record}");
        assert_eq!(record.lines().count(), 1);
    }

    #[test]
    fn nothing_in_an_address_escapes_from_its_field() {
        let strange = found("a;b,c\\d@example.com");
        let card = strange.vcard();
        assert!(card.contains("EMAIL:a\\;b\\,c\\\\d@example.com\r\n"), "{card}");
        assert!(card.lines().all(|line| line.len() <= 76), "{card}");
        let entry = found("#a+b=c@example.com").ldif("dc=example,dc=com");
        assert!(
            entry.contains("dn: mail=\\#a\\+b\\=c@example.com,dc=example,dc=com\n"),
            "{entry}"
        );
        let entry = found("grüße@example.com").ldif("dc=example");
        assert!(entry.contains("\nmail:: Z3LDvMOfZUBleGFtcGxlLmNvbQ==\n"), "{entry}");
        assert!(entry.is_ascii(), "{entry}");
    }

    #[test]
    fn long_lines_are_folded_between_characters() {
        let line = "ü".repeat(100);
        let folded = folded(&line, "\r\n ");
        assert!(folded.split("\r\n").all(|part| part.len() <= LINE));
        assert_eq!(folded.replace("\r\n ", ""), line);
    }

    #[test]
    fn what_is_no_certificate_is_not_for_encryption() {
        assert!(!is_for_encryption(&[]));
        assert!(!is_for_encryption(&[0x30, 0x00]));
    }
}
