//! Signed statements about the head of the log.

use std::sync::Arc;

use keys::{KeyId, KeyStore, SigningKey};

use tlog_tiles::check_tree;

use super::note::{self, AuditPublicKey, TreeHead};
use super::tree;
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

    /// What its signatures are checked with.
    pub(crate) fn public_key(&self) -> Result<AuditPublicKey, Error> {
        AuditPublicKey::new(self.key.public_key().clone())
    }

    /// The name of the key in the key store.
    pub(crate) fn id() -> KeyId {
        // A constant of allowed characters and length.
        AUDIT_KEY_ID.parse().expect("a constant key identifier parses")
    }
}

/// Lets the Merkle tree follow the log and signs its head, unless that was done already. Returns the row that was signed.
///
/// # Errors
/// [`Error::AuditDamaged`] when the stored tree no longer begins with the tree that was signed last: then nothing is signed.
pub async fn checkpoint(app: &App) -> Result<Option<i64>, Error> {
    // 1. The tree, page by page, so that no transaction is long.
    let edge = loop {
        let (edge, is_all) = app.db.write(tree::grow).await?;
        if is_all {
            break edge;
        }
    };
    let sequence = tree::sequence_of(edge.size());
    let newest = app
        .db
        .read(|conn| Ok::<_, Error>(store::audit::newest_checkpoint(conn)?))
        .await?;
    if edge.size() == 0 || newest.as_ref().is_some_and(|newest| newest.sequence >= sequence) {
        return Ok(None);
    }
    let root = edge.root()?;
    let key = app.audit_key.public_key()?;

    // 2. What is signed must continue what was signed.
    if let Some(note) = newest.and_then(|newest| newest.note) {
        let damaged = |sequence, reason: &str| Error::AuditDamaged {
            sequence,
            reason: reason.to_owned(),
        };
        let before = key.open(&note).map_err(|_| {
            damaged(
                sequence,
                "the note of the last checkpoint is not signed by the audit key",
            )
        })?;
        let (old, size) = (before.size, edge.size());
        let proof = app.db.read(move |conn| tree::consistency(conn, old, size)).await?;
        check_tree(&proof, size, root, old, before.root).map_err(|_| {
            damaged(
                tree::sequence_of(old),
                "the stored tree no longer begins with the one that was signed",
            )
        })?;
    }

    // 3. Both forms of the statement: ours, which has the time and the chain, and the note, which other programs read.
    let at = app.now().unix();
    let last = app
        .db
        .read(move |conn| Ok::<_, Error>(store::audit::page(conn, sequence - 1, 1)?))
        .await?;
    let Some(last) = last.into_iter().find(|row| row.sequence == sequence) else {
        return Err(Error::AuditDamaged {
            sequence,
            reason: "the row is missing".to_owned(),
        });
    };
    let statement = checkpoint_statement(sequence, at, &last.hash);
    let head = TreeHead {
        origin: origin(app),
        size: edge.size(),
        root,
    };
    let audit_key = app.audit_key.clone();
    let (signature, note) = on_blocking_thread(move || {
        let id = audit_key.id.to_string();
        let note = note::sign(&head, &id, &*audit_key.key)?;
        match audit_key.key.sign(&statement) {
            Ok(signature) => Ok((signature, note)),
            Err(source) => Err(Error::Key { key: id, source }),
        }
    })
    .await?;
    let row = CheckpointRow {
        sequence,
        at,
        head_hash: last.hash,
        key_id: app.audit_key.id.to_string(),
        signature: signature.as_bytes().to_vec(),
        note: Some(note),
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

/// The name of this log in notes: a URL without a scheme, which need not be reachable (c2sp.org/tlog-checkpoint).
pub fn origin(app: &App) -> String {
    format!("{}/audit", app.config.public_url.host())
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
