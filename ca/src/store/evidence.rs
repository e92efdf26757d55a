//! The table `evidence`: proofs are inserted and read, never changed; `evidence_withdrawals` and `evidence_retractions` end some early.

use std::collections::BTreeMap;

use diesel::prelude::*;
use migrations::schema::{
    certificate_evidence, evidence, evidence_for_order, evidence_retractions, evidence_withdrawals,
};
use migrations::{AnyConnection, AsText};
use policies::evidence::{Evidence, EvidenceId, EvidenceParts, Fact, FactKind, Method};
use policies::time::Timestamp;

use crate::accounts::AccountId;
use crate::error::Error;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = evidence)]
struct EvidenceRow {
    id: String,
    account_id: String,
    fact_kind: AsText<FactKind>,
    subject: String,
    fact: String,
    method: AsText<Method>,
    br_version: String,
    collected_at: i64,
    recorded_by: String,
    approved_by: String,
    documents: String,
    case_id: Option<String>,
    created_at: i64,
}

/// Stores a proof for an account; `case` is the validation it came from, if it was one of officers.
pub(crate) fn insert(
    conn: &mut AnyConnection,
    account: &AccountId,
    proof: &Evidence,
    case: Option<&str>,
    now: Timestamp,
) -> Result<(), Error> {
    let documents: Vec<String> = proof
        .documents()
        .iter()
        .map(|sha256| data_encoding::HEXLOWER.encode(sha256))
        .collect();
    let row = EvidenceRow {
        id: proof.id().to_string(),
        account_id: account.as_ref().to_owned(),
        fact_kind: AsText(proof.fact().kind()),
        subject: proof.fact().subject(),
        fact: serde_json::json!(proof.fact().fields()).to_string(),
        method: AsText(proof.method()),
        br_version: proof.br_version().to_owned(),
        collected_at: proof.collected_at().unix(),
        recorded_by: proof.recorded_by().to_owned(),
        approved_by: serde_json::json!(proof.approved_by()).to_string(),
        documents: serde_json::json!(documents).to_string(),
        case_id: case.map(str::to_owned),
        created_at: now.unix(),
    };
    diesel::insert_into(evidence::table).values(row).execute(conn)?;
    Ok(())
}

/// Every proof that an account has and nobody withdrew, stale ones too, oldest first. Those that count for one request
/// only are not among them.
pub(crate) fn of_account(conn: &mut AnyConnection, account: &AccountId) -> Result<Vec<Evidence>, Error> {
    load(conn, account, None)
}

/// As [`of_account`], with those that were collected for this very order (BR 3.2.2.4).
pub(crate) fn for_order(conn: &mut AnyConnection, account: &AccountId, order: &str) -> Result<Vec<Evidence>, Error> {
    load(conn, account, Some(order))
}

fn load(conn: &mut AnyConnection, account: &AccountId, order: Option<&str>) -> Result<Vec<Evidence>, Error> {
    let of_this_order: Vec<String> = match order {
        None => Vec::new(),
        Some(order) => evidence_for_order::table
            .filter(evidence_for_order::order_id.eq(order))
            .select(evidence_for_order::evidence_id)
            .load(conn)?,
    };
    let rows: Vec<EvidenceRow> = evidence::table
        .filter(evidence::account_id.eq(account.as_ref().to_owned()))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            evidence_withdrawals::table.filter(evidence_withdrawals::evidence_id.eq(evidence::id)),
        )))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            evidence_retractions::table.filter(evidence_retractions::evidence_id.eq(evidence::id)),
        )))
        .select(EvidenceRow::as_select())
        .order((evidence::collected_at.asc(), evidence::id.asc()))
        .load(conn)?;
    rows.into_iter()
        .filter(|row| !row.method.0.counts_for_one_request() || of_this_order.contains(&row.id))
        .map(EvidenceRow::into_evidence)
        .collect()
}

/// The proofs that a certificate rests on, withdrawn ones too, each with the case it came from if it was one of officers.
pub(crate) fn of_certificate(
    conn: &mut AnyConnection,
    certificate_id: &str,
) -> Result<Vec<(Evidence, Option<String>)>, Error> {
    let rows: Vec<EvidenceRow> = evidence::table
        .filter(
            evidence::id.eq_any(
                certificate_evidence::table
                    .filter(certificate_evidence::certificate_id.eq(certificate_id))
                    .select(certificate_evidence::evidence_id),
            ),
        )
        .select(EvidenceRow::as_select())
        .order(evidence::id.asc())
        .load(conn)?;
    rows.into_iter()
        .map(|row| {
            let case = row.case_id.clone();
            Ok((row.into_evidence()?, case))
        })
        .collect()
}

impl EvidenceRow {
    /// A row that no longer parses stops whoever needs it: half of an account's evidence is not its evidence.
    fn into_evidence(self) -> Result<Evidence, Error> {
        let id = self.id.clone();
        self.parse().map_err(|reason| Error::Row {
            kind: "evidence",
            id,
            reason,
        })
    }

    fn parse(self) -> Result<Evidence, String> {
        let json = |error: serde_json::Error| error.to_string();
        let fields: BTreeMap<String, String> = serde_json::from_str(&self.fact).map_err(json)?;
        let documents: Vec<String> = serde_json::from_str(&self.documents).map_err(json)?;
        let documents = documents
            .iter()
            .map(|text| {
                let bytes = data_encoding::HEXLOWER
                    .decode(text.as_bytes())
                    .map_err(|error| error.to_string())?;
                <[u8; 32]>::try_from(bytes).map_err(|_| format!("{text:?} is not a SHA-256"))
            })
            .collect::<Result<Vec<[u8; 32]>, String>>()?;
        Evidence::new(EvidenceParts {
            id: EvidenceId::new(self.id),
            fact: Fact::from_fields(self.fact_kind.0, &fields).map_err(|error| error.to_string())?,
            method: self.method.0,
            br_version: self.br_version,
            collected_at: Timestamp::from_unix(self.collected_at),
            recorded_by: self.recorded_by,
            approved_by: serde_json::from_str(&self.approved_by).map_err(json)?,
            documents,
        })
        .map_err(|error| error.to_string())
    }
}
