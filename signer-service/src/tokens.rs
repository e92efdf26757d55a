//! Tokens of the HTTP API: shown once, kept as a hash, and bound to senders.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use policies::signing::MaySign;
use policies::time::Timestamp;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::gateway::Gateway;
use crate::store::gateway_tokens::{self as store, TokenRow};
use crate::users::Rights;
use crate::wishes::TrustFields;

/// A token that was just made. It is shown to whoever asked for it, and nowhere kept.
pub(crate) struct PlainToken(Zeroizing<String>);

impl PlainToken {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Makes a token for those senders.
pub(crate) async fn add(gateway: &Gateway, name: &str, may_sign_for: &[MaySign]) -> Result<PlainToken, Error> {
    let (id, secret) = gateway.with_rng(random);
    let token = PlainToken(Zeroizing::new(format!("{PREFIX}{id}_{}", *secret)));
    let row = TokenRow {
        id,
        name: name.to_owned(),
        token_hash: hash(&secret),
        may_sign_for: may_sign_for
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        created_at: gateway.clock.now().unix(),
        revoked_at: None,
    };
    gateway
        .db()
        .write(move |conn| store::insert(conn, &row).map_err(Error::from))
        .await?;
    Ok(token)
}

pub(crate) async fn list(gateway: &Gateway) -> Result<Vec<TokenRow>, Error> {
    gateway.db().read(|conn| store::all(conn).map_err(Error::from)).await
}

/// Ends a token at once; false if there is none of that id that still counts.
pub(crate) async fn revoke(gateway: &Gateway, id: &str) -> Result<bool, Error> {
    let (id, now) = (id.to_owned(), gateway.clock.now());
    gateway
        .db()
        .write(move |conn| store::revoke(conn, &id, now).map_err(Error::from))
        .await
}

/// Whose token it is, and for whom it may send. Takes the same time for a wrong secret as for a right one.
pub(crate) async fn find(gateway: &Gateway, token: &str) -> Result<Option<(String, Rights)>, Error> {
    let Some((id, secret)) = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
        return Ok(None);
    };
    if id.len() != ID_LENGTH || secret.len() > LONGEST_SECRET {
        return Ok(None);
    }
    let wanted = id.to_owned();
    let row = gateway
        .db()
        .read(move |conn| store::find(conn, &wanted).map_err(Error::from))
        .await?;
    let Some(row) = row else { return Ok(None) };
    let is_right: bool = hash(secret).ct_eq(&row.token_hash).into();
    if !is_right || row.revoked_at.is_some() {
        return Ok(None);
    }
    let may_sign_for = row
        .may_sign_for
        .split(' ')
        .filter_map(|text| text.parse().ok())
        .collect();
    let rights = Rights {
        may_sign_for,
        // A system that has a token writes its messages itself.
        fields: TrustFields::Obey,
    };
    Ok(Some((row.id, rights)))
}

/// When a token was made, for people.
pub(crate) fn made_at(row: &TokenRow) -> Timestamp {
    Timestamp::from_unix(row.created_at)
}

/// An id that may be shown, and a secret of 256 bits.
fn random(rng: &mut dyn CryptoRng) -> (String, Zeroizing<String>) {
    let (mut id, mut secret) = ([0; ID_LENGTH / 2], Zeroizing::new([0; 32]));
    rng.fill_bytes(&mut id);
    rng.fill_bytes(&mut *secret);
    (HEXLOWER.encode(&id), Zeroizing::new(BASE64URL_NOPAD.encode(&*secret)))
}

/// Nobody can guess 256 bits, so there is nothing that a slow hash would protect.
fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

const PREFIX: &str = "swg_";
const ID_LENGTH: usize = 16;
const LONGEST_SECRET: usize = 100;
