//! Keys that may not be certified, whatever their form (BR 6.1.1.3): compromised ones, those of other subscribers, and
//! those on the operator's lists of keys that were generated weakly.
//!
//! A key belongs to the account that it was first certified for: one that turns up in a second account was copied, or
//! generated without randomness. Both are decided in the transaction that records a certificate, so that no path and no
//! two orders at once go around it; when an order is placed they are only asked for early, for a quick answer.

use std::collections::HashSet;
use std::path::Path;

use der::{Decode, Encode};
use migrations::{AnyConnection, Pool};
use policies::public_key::PublicKey;
use policies::time::Timestamp;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::certificate::TbsCertificate;

use crate::accounts::AccountId;
use crate::error::Error;
use crate::revocation::Reason;
use crate::store;
use crate::store::subject_keys::SubjectKeyRow;

/// What the database knows a key by: SHA-256 of its SubjectPublicKeyInfo.
pub(crate) fn spki_sha256(key: &SubjectPublicKeyInfoOwned) -> Result<Vec<u8>, Error> {
    let der = key.to_der().map_err(Error::encoding("the public key"))?;
    Ok(Sha256::digest(&der).to_vec())
}

/// Takes the key for a certificate of the account, inside the transaction that records it.
///
/// # Errors
/// [`Error::KeyCompromised`] and [`Error::KeyOfAnotherSubscriber`].
pub(crate) fn claim(
    conn: &mut AnyConnection,
    spki_sha256: &[u8],
    account: &AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    let row = SubjectKeyRow {
        spki_sha256: spki_sha256.to_vec(),
        account_id: account.as_ref().to_owned(),
        first_claimed_at: now.unix(),
        last_claimed_at: now.unix(),
        compromised_at: None,
        compromised_serial: None,
    };
    store::subject_keys::insert_if_absent(conn, &row)?;
    match store::subject_keys::claim(conn, spki_sha256, account.as_ref(), now.unix())? {
        true => Ok(()),
        false => check(conn, spki_sha256, account),
    }
}

/// Whether a key could be taken now.
///
/// # Errors
/// As [`claim`].
pub(crate) fn check(conn: &mut AnyConnection, spki_sha256: &[u8], account: &AccountId) -> Result<(), Error> {
    match store::subject_keys::find(conn, spki_sha256)? {
        Some(row) if row.compromised_at.is_some() => Err(Error::KeyCompromised {
            serial: row.compromised_serial.unwrap_or_default(),
        }),
        Some(row) if row.account_id != account.as_ref() => Err(Error::KeyOfAnotherSubscriber),
        Some(_) | None => Ok(()),
    }
}

/// Writes down the keys of certificates from before there was a table for them.
pub(crate) async fn backfill(db: &Pool) -> Result<(), Error> {
    loop {
        let filled = db
            .write(|conn| {
                let rows = store::certificates::without_key(conn, BACKFILL_PAGE)?;
                for row in &rows {
                    let tbs = TbsCertificate::from_der(&row.tbs).map_err(Error::encoding("a stored certificate"))?;
                    let hash = spki_sha256(tbs.subject_public_key_info())?;
                    let key = SubjectKeyRow {
                        spki_sha256: hash.clone(),
                        account_id: row.account_id.clone(),
                        first_claimed_at: row.recorded_at,
                        last_claimed_at: row.recorded_at,
                        compromised_at: None,
                        compromised_serial: None,
                    };
                    store::subject_keys::insert_if_absent(conn, &key)?;
                    if row.revocation_reason.as_deref() == Some(Reason::KeyCompromise.as_ref()) {
                        let at = row.revoked_at.unwrap_or(row.recorded_at);
                        store::subject_keys::mark_compromised(conn, &hash, &row.serial, at)?;
                    }
                    store::certificates::set_key(conn, &row.id, &hash)?;
                }
                Ok::<_, Error>(rows.len())
            })
            .await?;
        if filled == 0 {
            return Ok(());
        }
        tracing::info!(certificates = filled, "wrote down the keys of older certificates");
    }
}

/// RSA keys that were generated weakly and show it in a list only, such as Debian's of 2008 (CVE-2008-0166).
///
/// The files have the format of Debian's former package openssl-blacklist: a line for each key with twenty hexadecimal
/// digits, the last eighty bits of the SHA-1 of what `openssl rsa -noout -modulus` prints; lines that begin with `#`
/// are comments. Everybody has the keys, so that SHA-1 hides nothing.
#[derive(Debug, Default)]
pub(crate) struct WeakKeys(HashSet<[u8; LISTED]>);

impl WeakKeys {
    /// Reads the lists that the configuration names.
    pub(crate) fn read<P: AsRef<Path>>(files: &[P]) -> Result<Self, Error> {
        let mut listed = HashSet::new();
        for path in files.iter().map(AsRef::as_ref) {
            let text = std::fs::read_to_string(path).map_err(|source| Error::File {
                action: "read the list of weak keys",
                path: path.to_owned(),
                source,
            })?;
            let before = listed.len();
            for (line, number) in text.lines().zip(1_u64..) {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(line.as_bytes()).ok();
                let entry = octets.and_then(|octets| <[u8; LISTED]>::try_from(octets).ok());
                listed.insert(entry.ok_or_else(|| Error::Configuration {
                    path: path.to_owned(),
                    reason: format!("line {number} is not twenty hexadecimal digits, as openssl-blacklist has them"),
                })?);
            }
            let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
            let keys = listed.len() - before;
            tracing::info!(file = %path.display(), keys, sha256, "read a list of weak keys");
        }
        Ok(Self(listed))
    }

    /// # Errors
    /// [`Error::KeyListedAsWeak`].
    pub(crate) fn check(&self, key: &SubjectPublicKeyInfoOwned) -> Result<(), Error> {
        match PublicKey::read(key) {
            Ok(PublicKey::Rsa { modulus, .. }) if self.0.contains(&listed_as(&modulus)) => Err(Error::KeyListedAsWeak),
            _ => Ok(()),
        }
    }
}

/// What a modulus stands as in the lists.
fn listed_as(modulus: &[u8]) -> [u8; LISTED] {
    let digits = data_encoding::HEXUPPER.encode(modulus);
    let digest = Sha1::digest(format!("Modulus={}\n", digits.trim_start_matches('0')));
    let mut end = [0; LISTED];
    end.copy_from_slice(&digest[digest.len() - LISTED..]);
    end
}

/// Eighty bits.
const LISTED: usize = 10;
/// Keeps one transaction short.
const BACKFILL_PAGE: i64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl rsa -noout -modulus | sha1sum | cut -c21-40`, computed by OpenSSL.
    fn line_of(key: &SubjectPublicKeyInfoOwned) -> String {
        let key = openssl::pkey::PKey::public_key_from_der(&key.to_der().unwrap()).unwrap();
        let modulus = key.rsa().unwrap().n().to_hex_str().unwrap();
        let digest = openssl::sha::sha1(format!("Modulus={modulus}\n").as_bytes());
        data_encoding::HEXLOWER.encode(&digest[10..])
    }

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blacklist.RSA-2048");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn listed_keys_are_refused_and_others_are_not() {
        let (listed, other) = (keys::testing::rsa2048(), keys::testing::rsa3072());
        let text = format!("# RSA-2048\n00000000000000000000\n\n{}\n", line_of(listed.public_key()));
        let (_folder, path) = written(&text);
        let weak = WeakKeys::read(&[path]).unwrap();
        let refusal = weak.check(listed.public_key()).unwrap_err();
        assert!(matches!(refusal, Error::KeyListedAsWeak), "{refusal}");
        weak.check(other.public_key()).unwrap();
        weak.check(keys::testing::p256().public_key()).unwrap();
        WeakKeys::default().check(listed.public_key()).unwrap();
    }

    #[test]
    fn a_list_that_is_none_stops_the_start() {
        for text in ["0", "Modulus=00", "0000000000000000000000", "zzzzzzzzzzzzzzzzzzzz", "ä"] {
            let (_folder, path) = written(&format!("00000000000000000000\n{text}\n"));
            let error = WeakKeys::read(&[path]).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error}");
        }
        let error = WeakKeys::read(&["/nowhere/list"]).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
    }
}
