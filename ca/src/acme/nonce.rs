//! Anti-replay nonces (RFC 8555 section 6.5): made without a trace, used once on all nodes together.
//!
//! A nonce is sixteen random octets, the second at which it ends, and a MAC over both with a key that all nodes on one
//! database share. So handing out nonces, which anybody may ask for, writes nothing; only using one does, after the
//! signature of the request was found good, and until the nonce would have ended anyway.

use hmac::{Hmac, KeyInit, Mac};
use keys::sealing::SealingKey;
use migrations::Pool;
use policies::time::{Span, Timestamp};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::problem::{ErrorType, Outcome, Refusal};
use crate::app::App;
use crate::error::Error;
use crate::store;

/// Makes and checks nonces.
pub(crate) struct NonceKey(Zeroizing<Vec<u8>>);

impl NonceKey {
    /// The key that the nodes share, made by the first of them from `fresh`.
    pub(crate) async fn open(
        db: &Pool,
        sealing: &SealingKey,
        fresh: Zeroizing<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let sealed = sealing.seal(SEALED_AS, fresh.as_slice()).map_err(Error::Sealing)?;
        let stored = db
            .write(move |conn| {
                if let Some(stored) = store::acme_nonces::secret(conn, SECRET)? {
                    return Ok::<_, Error>(stored);
                }
                store::acme_nonces::insert_secret(conn, SECRET, &sealed, now.unix())?;
                Ok(sealed.clone())
            })
            .await;
        let stored = match stored {
            // Another node has just made it.
            Err(error) if is_taken(&error) => db
                .read(|conn| Ok::<_, Error>(store::acme_nonces::secret(conn, SECRET)?))
                .await?
                .ok_or(error)?,
            other => other?,
        };
        Ok(Self(sealing.open(SEALED_AS, &stored).map_err(Error::Sealing)?))
    }

    /// A new nonce.
    pub(crate) fn make(&self, app: &App) -> String {
        let mut octets = app.random::<16>().to_vec();
        octets.extend(app.now().plus(LIFETIME).unix().to_be_bytes());
        let mac = self.mac(&octets);
        octets.extend(mac);
        data_encoding::BASE64URL_NOPAD.encode(&octets)
    }

    /// Whether this authority made the nonce, and when it ends. It may have been used.
    pub(crate) fn check(&self, nonce: Option<&str>, now: Timestamp) -> Outcome<Unused> {
        let nonce = nonce.ok_or_else(|| bad("the protected header has no nonce"))?;
        let octets = (nonce.len() == ENCODED_LENGTH)
            .then(|| data_encoding::BASE64URL_NOPAD.decode(nonce.as_bytes()).ok())
            .flatten()
            .ok_or_else(|| bad("the nonce is not one of this authority"))?;
        let (content, mac) = octets.split_at(CONTENT_LENGTH);
        let is_ours: bool = subtle::ConstantTimeEq::ct_eq(&*self.mac(content), mac).into();
        if !is_ours {
            return Err(bad("the nonce is not one of this authority"));
        }
        // What was split off has the length of an i64 behind the random octets.
        let ends: [u8; 8] = content[16..].try_into().unwrap_or_default();
        let ends = Timestamp::from_unix(i64::from_be_bytes(ends));
        // One from the future was made before a clock was set back; it would outlive its trace.
        if now >= ends || ends > now.plus(LIFETIME) {
            return Err(bad("the nonce has ended"));
        }
        Ok(Unused {
            nonce: nonce.to_owned(),
            ends,
        })
    }

    fn mac(&self, content: &[u8]) -> Vec<u8> {
        match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(mac) => mac.chain_update(content).finalize().into_bytes().to_vec(),
            // HMAC takes keys of any length; an empty MAC equals none.
            Err(_) => Vec::new(),
        }
    }
}

/// A nonce of ours that may not have been used yet.
#[derive(Debug)]
pub(crate) struct Unused {
    nonce: String,
    ends: Timestamp,
}

impl Unused {
    /// Uses it up, on all nodes.
    ///
    /// # Errors
    /// It was used before.
    pub(crate) async fn spend(self, app: &App) -> Outcome<()> {
        let now = app.now().unix();
        let first = app
            .db
            .write(move |conn| {
                store::acme_nonces::forget_ended(conn, now)?;
                Ok::<_, Error>(store::acme_nonces::spend(conn, &self.nonce, self.ends.unix())?)
            })
            .await;
        match first {
            Ok(true) => Ok(()),
            Ok(false) => Err(bad("the nonce was used before")),
            Err(error) if is_taken(&error) => Err(bad("the nonce was used before")),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a row with the same key was there.
pub(crate) fn is_taken(error: &Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error as Diesel};
    matches!(
        error,
        Error::Database(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
    )
}

fn bad(detail: &str) -> Refusal {
    Refusal::new(
        ErrorType::BadNonce,
        format!("{detail}: send the request again with the nonce of this answer"),
    )
}

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceKey(…)")
    }
}

/// Longer than anybody needs between two requests, short enough to keep the table of used nonces small.
pub(crate) const LIFETIME: Span = Span::hours(1);
const CONTENT_LENGTH: usize = 16 + 8;
/// ceil((24 + 32) · 8 / 6).
const ENCODED_LENGTH: usize = 75;
const SECRET: &str = "nonces";
const SEALED_AS: &str = "acme nonce key";
