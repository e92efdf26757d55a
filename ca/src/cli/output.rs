//! Results on standard output: aligned columns for people, JSON for programs.

use std::io::{self, Write};

use ca_api::Certificate;
use serde::Serialize;

use crate::accounts::Account;
use crate::doctor::Check;
use crate::evidence_pack::Outcome;

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

impl Format {
    pub(super) fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    writeln!(stdout)
}

pub(super) fn checks(format: Format, checks: &[Check]) -> io::Result<()> {
    if format == Format::Json {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| {
                serde_json::json!({
                    "name": check.name,
                    "health": check.health.as_ref(),
                    "finding": check.finding,
                })
            })
            .collect();
        return json(&checks);
    }
    let mut table = Table::new(&["CHECK", "HEALTH", "FINDING"]);
    for check in checks {
        table.row([check.name.clone(), check.health.to_string(), check.finding.clone()]);
    }
    table.print()
}

pub(super) fn outcomes(format: Format, outcomes: &[Outcome]) -> io::Result<()> {
    let finding = |outcome: &Outcome| match &outcome.result {
        Ok(text) | Err(text) => text.clone(),
    };
    if format == Format::Json {
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|outcome| {
                serde_json::json!({
                    "about": outcome.about,
                    "good": outcome.result.is_ok(),
                    "finding": finding(outcome),
                })
            })
            .collect();
        return json(&outcomes);
    }
    let mut table = Table::new(&["ABOUT", "RESULT", "FINDING"]);
    for outcome in outcomes {
        let result = if outcome.result.is_ok() { "good" } else { "wrong" };
        table.row([outcome.about.to_owned(), result.to_owned(), finding(outcome)]);
    }
    table.print()
}

pub(super) fn certificates(format: Format, certificates: &[Certificate]) -> io::Result<()> {
    if format == Format::Json {
        return json(&certificates);
    }
    let mut table = Table::new(&["SERIAL", "TIER", "STATE", "MAILBOX", "NOT AFTER"]);
    for certificate in certificates {
        table.row([
            certificate.serial.clone(),
            certificate.tier.to_string(),
            certificate.state.to_string(),
            certificate.mailbox.to_string(),
            certificate.not_after.to_string(),
        ]);
    }
    table.print()
}

/// RFC 4180. A text that a spreadsheet would take for a formula begins with an apostrophe.
pub(super) fn certificates_as_csv(certificates: &[Certificate]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(io::stdout().lock());
    csv.write_record([
        "serial",
        "account",
        "tier",
        "generation",
        "use",
        "state",
        "mailbox",
        "subject",
        "not_before",
        "not_after",
        "revoked_at",
        "revocation_reason",
    ])
    .map_err(io::Error::other)?;
    for certificate in certificates {
        let cells = [
            certificate.serial.clone(),
            certificate.account.clone(),
            certificate.tier.to_string(),
            certificate.generation.to_string(),
            certificate.key_use.to_string(),
            certificate.state.to_string(),
            certificate.mailbox.to_string(),
            certificate.subject.clone(),
            certificate.not_before.to_string(),
            certificate.not_after.to_string(),
            certificate.revoked_at.map(|at| at.to_string()).unwrap_or_default(),
            certificate.revocation_reason.clone().unwrap_or_default(),
        ];
        csv.write_record(cells.map(harmless)).map_err(io::Error::other)?;
    }
    csv.flush()
}

fn harmless(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

pub(super) fn certificate(format: Format, certificate: &Certificate) -> io::Result<()> {
    if format == Format::Json {
        return json(certificate);
    }
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("Serial", certificate.serial.clone());
    line("State", certificate.state.to_string());
    line("Tier", format!("{} ({})", certificate.tier, certificate.generation));
    line("Use", certificate.key_use.to_string());
    line("Mailbox", certificate.mailbox.to_string());
    line("Subject", certificate.subject.clone());
    line("Issuer", certificate.issuer.clone());
    line("Account", certificate.account.clone());
    line("Not before", certificate.not_before.to_string());
    line("Not after", certificate.not_after.to_string());
    if let Some(at) = certificate.revoked_at {
        let reason = certificate.revocation_reason.as_deref().unwrap_or("unspecified");
        line("Revoked", format!("{at} ({reason})"));
    }
    table.print()?;
    match &certificate.chain_pem {
        Some(chain) => write!(io::stdout(), "\n{chain}"),
        None => Ok(()),
    }
}

pub(super) fn accounts(format: Format, accounts: &[Account]) -> io::Result<()> {
    if format == Format::Json {
        let accounts: Vec<_> = accounts
            .iter()
            .map(|account| {
                serde_json::json!({
                    "id": account.id.as_ref(),
                    "name": account.name,
                    "kind": account.kind,
                    "created_at": account.created_at.to_string(),
                })
            })
            .collect();
        return json(&accounts);
    }
    let mut table = Table::new(&["ID", "KIND", "CREATED", "NAME"]);
    for account in accounts {
        table.row([
            account.id.to_string(),
            account.kind.to_string(),
            account.created_at.to_string(),
            account.name.clone(),
        ]);
    }
    table.print()
}

/// Columns as wide as their widest cell; the last one is not padded.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings, or without any.
    pub(super) fn new(headings: &[&str]) -> Self {
        let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
        Self {
            rows: if headings.is_empty() {
                Vec::new()
            } else {
                vec![headings]
            },
        }
    }

    pub(super) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.into());
    }

    pub(super) fn print(&self) -> io::Result<()> {
        io::stdout().lock().write_all(self.to_string().as_bytes())
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                if column + 1 == row.len() {
                    writeln!(f, "{cell}")?;
                } else {
                    write!(f, "{cell:<width$}  ", width = widths[column])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["ID", "NAME", "KIND"]);
        table.row(["a".to_owned(), "Zoë".to_owned(), "individual".to_owned()]);
        table.row(["bcd".to_owned(), "Example".to_owned(), "organization".to_owned()]);
        assert_eq!(
            table.to_string(),
            "ID   NAME     KIND\na    Zoë      individual\nbcd  Example  organization\n"
        );
    }

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        assert_eq!(harmless("=1+1@example.com".to_owned()), "'=1+1@example.com");
        assert_eq!(harmless("+a@example.com".to_owned()), "'+a@example.com");
        assert_eq!(harmless("a=b@example.com".to_owned()), "a=b@example.com");
    }

    #[test]
    fn an_empty_table_is_its_headings() {
        assert_eq!(Table::new(&["ID", "NAME"]).to_string(), "ID  NAME\n");
        assert_eq!(Table::new(&[]).to_string(), "");
    }
}
