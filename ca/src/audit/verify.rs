//! Reading the whole log, and finding what is not as it was written.

use keys::SigningKey;
use migrations::Pool;

use super::checkpoint::checkpoint_statement;
use super::note::{AuditPublicKey, TreeHead};
use super::tree::{Edge, sequence_of};
use super::{FIRST_SEQUENCE, GENESIS, PAGE, hash};
use crate::app::App;
use crate::error::Error;
use crate::signature;
use crate::store;

/// What a complete check of the log found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub rows: u64,
    pub checkpoints: u64,
    /// The last row that a checkpoint vouches for; later rows are chained, but not signed yet.
    pub signed_up_to: i64,
}

/// Reads the whole log and checks every hash and every checkpoint.
///
/// # Errors
/// [`Error::AuditDamaged`] names the first row that is not as it was written.
pub async fn verify(app: &App) -> Result<Verified, Error> {
    verify_with(&app.db, &*app.audit_key.key, None).await
}

/// As [`verify`], and that the log begins with the rows that it had at a checkpoint which was kept elsewhere
/// ([`AuditPublicKey::open`]): what somebody with the database and the key has written anew does not.
pub async fn verify_against(app: &App, kept: &TreeHead) -> Result<Verified, Error> {
    verify_with(&app.db, &*app.audit_key.key, Some(kept)).await
}

async fn verify_with(db: &Pool, key: &dyn SigningKey, kept: Option<&TreeHead>) -> Result<Verified, Error> {
    let public_key = AuditPublicKey::new(key.public_key().clone())?;
    let mut edge = Edge::default();
    let mut kept = kept.filter(|kept| kept.size > 0);
    let mut verified = Verified {
        rows: 0,
        checkpoints: 0,
        signed_up_to: 0,
    };
    let mut previous_hash = GENESIS;
    let mut sequence = FIRST_SEQUENCE - 1;
    loop {
        // 1. One page of rows, and the checkpoints that speak about them.
        let (rows, checkpoints) = db
            .read(move |conn| {
                let rows = store::audit::page(conn, sequence, PAGE)?;
                let checkpoints = store::audit::checkpoints(conn, sequence, PAGE)?;
                Ok::<_, Error>((rows, checkpoints))
            })
            .await?;
        if rows.is_empty() {
            // 4. A checkpoint about rows that are no longer there.
            let vouched = checkpoints.first().map(|checkpoint| checkpoint.sequence);
            return match vouched.or(kept.map(|kept| sequence_of(kept.size))) {
                None => Ok(verified),
                Some(vouched) => Err(Error::AuditDamaged {
                    sequence: sequence + 1,
                    reason: format!("the row is missing, although a checkpoint vouches for rows up to {vouched}"),
                }),
            };
        }
        let mut checkpoints = checkpoints.into_iter().peekable();
        for row in rows {
            // 2. The chain.
            sequence += 1;
            let damaged = |reason: &str| {
                Err(Error::AuditDamaged {
                    sequence,
                    reason: reason.to_owned(),
                })
            };
            if row.sequence != sequence {
                return damaged("the row is missing");
            }
            if row.previous_hash != previous_hash {
                return damaged("it does not continue the row before it");
            }
            if row.hash != hash(&row) {
                return damaged("its content is not what was hashed");
            }
            previous_hash = hash(&row);
            verified.rows += 1;
            edge.push(&row);
            if let Some(then) = kept.take_if(|kept| kept.size == edge.size())
                && edge.root()? != then.root
            {
                return damaged("the log up to here is not the one that the kept checkpoint is about");
            }
            // 3. The signed statement about this row, if there is one.
            if let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.sequence == sequence) {
                if checkpoint.head_hash != previous_hash {
                    return damaged("a checkpoint vouches for another content");
                }
                let statement = checkpoint_statement(sequence, checkpoint.at, &checkpoint.head_hash);
                let algorithm = key.algorithm().identifier();
                if !signature::is_valid(key.public_key(), &algorithm, &statement, &checkpoint.signature) {
                    return damaged("the signature of its checkpoint is not valid");
                }
                if let Some(note) = &checkpoint.note {
                    match public_key.open(note) {
                        Ok(head) if head.size == edge.size() && head.root == edge.root()? => {}
                        Ok(_) => return damaged("the note of its checkpoint is about another tree"),
                        Err(_) => return damaged("the note of its checkpoint is not signed by the audit key"),
                    }
                }
                verified.checkpoints += 1;
                verified.signed_up_to = sequence;
            }
        }
    }
}
