//! Proofs that a row is in the log, for somebody who has a checkpoint and no access to the log (c2sp.org/tlog-proof).

use std::fmt::Write as _;

use tlog_tiles::check_record;
use tlog_tiles::tlog::{Hash, record_hash};

use super::note::{AuditPublicKey, TreeHead};
use super::{canonical, checkpoint, tree};
use crate::app::App;
use crate::error::Error;
use crate::store;
use crate::store::audit::AuditRow;

/// The newest checkpoint as a signed note; one is signed first when rows came since.
pub async fn newest_note(app: &App) -> Result<Option<String>, Error> {
    checkpoint(app).await?;
    let newest = app
        .db
        .read(|conn| Ok::<_, Error>(store::audit::newest_checkpoint(conn)?))
        .await?;
    Ok(newest.and_then(|newest| newest.note))
}

/// Proves that a row is in the log, in the format of c2sp.org/tlog-proof.
///
/// # Errors
/// [`Error::NotFound`] when there is no such row; [`Error::AuditDamaged`] when the stored tree does not prove it.
pub async fn prove(app: &App, sequence: i64) -> Result<String, Error> {
    Ok(prove_row(app, sequence).await?.text())
}

pub(crate) async fn prove_row(app: &App, sequence: i64) -> Result<RowProof, Error> {
    let no_row = || Error::NotFound {
        kind: "row of the audit log",
        id: sequence.to_string(),
    };
    if sequence < super::FIRST_SEQUENCE {
        return Err(no_row());
    }
    let covering = |app: &App| {
        let db = app.db.clone();
        async move {
            db.read(move |conn| Ok::<_, Error>(store::audit::note_covering(conn, sequence)?))
                .await
        }
    };
    let checkpoint_row = match covering(app).await? {
        Some(row) => row,
        None => {
            checkpoint(app).await?;
            covering(app).await?.ok_or_else(no_row)?
        }
    };
    let note = checkpoint_row.note.ok_or_else(no_row)?;
    let key = app.audit_key.public_key()?;
    let head = key.open(&note)?;
    let size = head.size;
    let (row, hashes) = app
        .db
        .read(move |conn| {
            let row = store::audit::page(conn, sequence - 1, 1)?;
            Ok::<_, Error>((row, tree::inclusion(conn, sequence, size)?))
        })
        .await?;
    let row = row
        .into_iter()
        .find(|row| row.sequence == sequence)
        .ok_or_else(no_row)?;
    let proof = RowProof {
        // `tree::inclusion` has refused what is below the first row.
        index: u64::try_from(sequence - super::FIRST_SEQUENCE).unwrap_or(0),
        hashes,
        note,
    };
    match proof.check(&row, &key) {
        Ok(_) => Ok(proof),
        Err(_) => Err(Error::AuditDamaged {
            sequence,
            reason: "the stored tree does not prove it".to_owned(),
        }),
    }
}

/// That the row with one index is in the log that a note is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowProof {
    index: u64,
    hashes: Vec<Hash>,
    note: String,
}

impl RowProof {
    /// As c2sp.org/tlog-proof writes it.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.index);
        for hash in &self.hashes {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{hash}");
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// Reads what [`RowProof::text`] wrote, without judging it.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = |what| Error::AuditNote { what };
        let (head, note) = text.split_once("\n\n").ok_or(refused("the proof has no checkpoint"))?;
        let mut lines = head.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(refused("it is not a proof of c2sp.org/tlog-proof@v1"));
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|index| index.parse().ok())
            .ok_or(refused("the proof names no index"))?;
        let hashes: Vec<Hash> = lines
            .take(MOST_HASHES + 1)
            .map(Hash::parse_hash)
            .collect::<Result<_, _>>()
            .map_err(|_| refused("a line of the proof is not a hash"))?;
        if hashes.len() > MOST_HASHES {
            return Err(refused("the proof has more than 64 hashes"));
        }
        Ok(Self {
            index,
            hashes,
            note: note.to_owned(),
        })
    }

    /// Whether the row is where the proof says, in the log of the note.
    ///
    /// # Errors
    /// [`Error::AuditNote`] with what does not fit.
    pub(crate) fn check(&self, row: &AuditRow, key: &AuditPublicKey) -> Result<TreeHead, Error> {
        let refused = |what| Error::AuditNote { what };
        let head = key.open(&self.note)?;
        if self.index >= head.size || tree::sequence_of(self.index + 1) != row.sequence {
            return Err(refused("the proof is about another row"));
        }
        check_record(
            &self.hashes,
            head.size,
            head.root,
            self.index,
            record_hash(&canonical(row)),
        )
        .map_err(|_| refused("the hashes do not lead from the row to the root of the checkpoint"))?;
        Ok(head)
    }
}

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree has at most 2^63 rows, and a proof one hash per level.
const MOST_HASHES: usize = 64;
