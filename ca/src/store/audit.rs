//! The table `audit_log` and its `audit_checkpoints`; the tree over it is in [`super::audit_tiles`].

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{audit_checkpoints, audit_log};

use crate::audit::Action;

/// One row of the chain, exactly as hashed.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub(crate) struct AuditRow {
    pub(crate) sequence: i64,
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) details: String,
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl AuditRow {
    /// Every field that its hash covers; what follows from them is left out.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "sequence": self.sequence,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "details": self.details,
            "previous_hash": data_encoding::HEXLOWER.encode(&self.previous_hash),
        })
    }

    /// Reads what [`AuditRow::to_json`] wrote, without its hash.
    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(Self {
            sequence: value["sequence"].as_i64()?,
            at: value["at"].as_i64()?,
            actor: text("actor")?,
            action: text("action")?,
            details: text("details")?,
            previous_hash: data_encoding::HEXLOWER.decode(text("previous_hash")?.as_bytes()).ok()?,
            hash: Vec::new(),
        })
    }
}

/// A signed statement about the hash of one row.
#[derive(Clone, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = audit_checkpoints)]
pub(crate) struct CheckpointRow {
    pub(crate) sequence: i64,
    pub(crate) at: i64,
    pub(crate) head_hash: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) signature: Vec<u8>,
    /// The same statement as a signed note about the Merkle tree.
    pub(crate) note: Option<String>,
}

/// The newest row.
pub(crate) fn head(conn: &mut AnyConnection) -> QueryResult<Option<AuditRow>> {
    audit_log::table
        .select(AuditRow::as_select())
        .order(audit_log::sequence.desc())
        .first(conn)
        .optional()
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &AuditRow) -> QueryResult<()> {
    diesel::insert_into(audit_log::table).values(row).execute(conn)?;
    Ok(())
}

/// Rows after `sequence` in order.
pub(crate) fn page(conn: &mut AnyConnection, after_sequence: i64, limit: i64) -> QueryResult<Vec<AuditRow>> {
    audit_log::table
        .select(AuditRow::as_select())
        .filter(audit_log::sequence.gt(after_sequence))
        .order(audit_log::sequence.asc())
        .limit(limit)
        .load(conn)
}

pub(crate) fn insert_checkpoint(conn: &mut AnyConnection, row: &CheckpointRow) -> QueryResult<()> {
    diesel::insert_into(audit_checkpoints::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn newest_checkpoint(conn: &mut AnyConnection) -> QueryResult<Option<CheckpointRow>> {
    audit_checkpoints::table
        .select(CheckpointRow::as_select())
        .order(audit_checkpoints::sequence.desc())
        .first(conn)
        .optional()
}

/// The oldest checkpoint with a note whose tree has the row `sequence`.
pub(crate) fn note_covering(conn: &mut AnyConnection, sequence: i64) -> QueryResult<Option<CheckpointRow>> {
    audit_checkpoints::table
        .select(CheckpointRow::as_select())
        .filter(audit_checkpoints::note.is_not_null())
        .filter(audit_checkpoints::sequence.ge(sequence))
        .order(audit_checkpoints::sequence.asc())
        .first(conn)
        .optional()
}

/// Checkpoints after `sequence` in order.
pub(crate) fn checkpoints(
    conn: &mut AnyConnection,
    after_sequence: i64,
    limit: i64,
) -> QueryResult<Vec<CheckpointRow>> {
    audit_checkpoints::table
        .select(CheckpointRow::as_select())
        .filter(audit_checkpoints::sequence.gt(after_sequence))
        .order(audit_checkpoints::sequence.asc())
        .limit(limit)
        .load(conn)
}

/// The details of the rows after `sequence` that have one of the actions.
pub(crate) fn details_of(conn: &mut AnyConnection, actions: &[Action], sequence: i64) -> QueryResult<Vec<String>> {
    audit_log::table
        .filter(audit_log::sequence.gt(sequence))
        .filter(
            audit_log::action.eq_any(
                actions
                    .iter()
                    .map(|action| action.as_ref().to_owned())
                    .collect::<Vec<_>>(),
            ),
        )
        .select(audit_log::details)
        .load(conn)
}
