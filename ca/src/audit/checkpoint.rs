//! Signed statements about the head of the log.

use std::sync::Arc;

use keys::{KeyId, KeyStore, SigningKey};

use crate::app::{App, on_blocking_thread};
use crate::error::Error;
use crate::store;
use crate::store::audit::CheckpointRow;

/// The key that signs checkpoints and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct AuditKey {
    pub(super) id: KeyId,
    pub(super) key: Arc<dyn SigningKey>,
}

impl AuditKey {
    /// Opens the key that `init` made.
    pub(crate) fn open(keys: &dyn KeyStore) -> Result<Self, Error> {
        let id = Self::id();
        match keys.open(&id) {
            Ok(key) => Ok(Self { id, key }),
            Err(source) => Err(Error::Key {
                key: id.to_string(),
                source,
            }),
        }
    }

    /// The name of the key in the key store.
    pub(crate) fn id() -> KeyId {
        // A constant of allowed characters and length.
        AUDIT_KEY_ID.parse().expect("a constant key identifier parses")
    }
}

/// Signs the head of the chain, unless that was done already. Returns the row that was signed.
pub async fn checkpoint(app: &App) -> Result<Option<i64>, Error> {
    let (head, newest) = app
        .db
        .read(|conn| Ok::<_, Error>((store::audit::head(conn)?, store::audit::newest_checkpoint(conn)?)))
        .await?;
    let Some(head) = head else { return Ok(None) };
    if newest.is_some_and(|newest| newest.sequence >= head.sequence) {
        return Ok(None);
    }
    let at = app.now().unix();
    let statement = checkpoint_statement(head.sequence, at, &head.hash);
    let audit_key = app.audit_key.clone();
    let signature = on_blocking_thread(move || {
        audit_key.key.sign(&statement).map_err(|source| Error::Key {
            key: audit_key.id.to_string(),
            source,
        })
    })
    .await?;
    let row = CheckpointRow {
        sequence: head.sequence,
        at,
        head_hash: head.hash,
        key_id: app.audit_key.id.to_string(),
        signature: signature.as_bytes().to_vec(),
    };
    app.db
        .write(move |conn| {
            // Another node may have signed the same head in the meantime; one statement is enough.
            let newest = store::audit::newest_checkpoint(conn)?;
            if newest.is_some_and(|newest| newest.sequence >= row.sequence) {
                return Ok::<_, Error>(None);
            }
            store::audit::insert_checkpoint(conn, &row)?;
            Ok(Some(row.sequence))
        })
        .await
}

/// What the signature of a checkpoint covers.
pub(super) fn checkpoint_statement(sequence: i64, at: i64, head_hash: &[u8]) -> Vec<u8> {
    let mut statement = CHECKPOINT_SEPARATOR.to_vec();
    statement.extend_from_slice(&sequence.to_be_bytes());
    statement.extend_from_slice(&at.to_be_bytes());
    statement.extend_from_slice(head_hash);
    statement
}

const AUDIT_KEY_ID: &str = "audit";
const CHECKPOINT_SEPARATOR: &[u8] = b"sealwright audit checkpoint 1\0";
