//! The CSV file of a roster (RFC 4180): headings, then one employee per row.

use std::collections::BTreeMap;

use crate::error::Error;

/// A row as it was read, before anything in it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRow {
    /// Beginning with 1 for the headings.
    pub(super) line: u64,
    /// Column to text, without those that are empty; or why the row cannot be read.
    pub(super) fields: Result<BTreeMap<String, String>, String>,
}

/// Reads a file. What is wrong with one row is told in that row.
///
/// # Errors
/// The file is too large or too long, has no usable headings, or no rows.
pub(super) fn read(file: &[u8]) -> Result<Vec<FileRow>, Error> {
    let refuse = |reason: String| Error::InvalidInput {
        field: "roster",
        reason,
    };
    if file.len() > LARGEST_ROSTER {
        return Err(refuse(format!("it has more than {LARGEST_ROSTER} octets: split it")));
    }
    // Spreadsheets put a byte order mark in front of UTF-8.
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    // The reader takes a CR for the end of a row and would count its LF to the next one: lines would be off by one.
    let file = unix_lines(file);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(file.as_slice());
    let headings = match reader.headers() {
        Ok(headings) => headings.clone(),
        Err(_) => return Err(refuse("its headings are not UTF-8".to_owned())),
    };
    let headings: Vec<String> = headings.iter().map(str::to_ascii_lowercase).collect();
    for (position, heading) in headings.iter().enumerate() {
        if !COLUMNS.contains(&heading.as_str()) {
            let shown: String = heading.escape_debug().take(60).collect();
            return Err(refuse(format!(
                "it has a column \"{shown}\": the headings are {}",
                COLUMNS.join(", ")
            )));
        }
        if headings[..position].contains(heading) {
            return Err(refuse(format!("it has the column {heading:?} twice")));
        }
    }
    for needed in ["mailbox", "surname"] {
        if !headings.iter().any(|heading| heading == needed) {
            return Err(refuse(format!("it has no column {needed:?}")));
        }
    }

    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let (line, fields) = match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                let fields = match record.len() == headings.len() {
                    true => Ok(headings
                        .iter()
                        .zip(record.iter())
                        .filter(|(_, text)| !text.is_empty())
                        .map(|(heading, text)| (heading.clone(), text.to_owned()))
                        .collect()),
                    false => Err(format!(
                        "it has {} columns and the headings are {}",
                        record.len(),
                        headings.len()
                    )),
                };
                (line, fields)
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                (line, Err("it is not UTF-8".to_owned()))
            }
        };
        if rows.len() == MOST_ROWS {
            return Err(refuse(format!("it has more than {MOST_ROWS} rows: split it")));
        }
        rows.push(FileRow { line, fields });
    }
    if rows.is_empty() {
        return Err(refuse("it has no rows".to_owned()));
    }
    Ok(rows)
}

/// The same with LF where CR LF was.
fn unix_lines(file: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(file.len());
    let mut rest = file.iter().copied().peekable();
    while let Some(octet) = rest.next() {
        if octet != b'\r' || rest.peek() != Some(&b'\n') {
            lines.push(octet);
        }
    }
    lines
}

const COLUMNS: [&str; 4] = ["mailbox", "given_name", "surname", "title"];
/// 2,000 rows of 250 octets, twice.
pub const LARGEST_ROSTER: usize = 1024 * 1024;
const MOST_ROWS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a row by their columns, or a part of its problem.
    type Expected<'a> = Result<&'a [(&'a str, &'a str)], &'a str>;

    fn check(file: &str, expected: &[(u64, Expected<'_>)]) {
        let rows = read(file.as_bytes()).unwrap();
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for (row, (line, fields)) in rows.iter().zip(expected) {
            assert_eq!(row.line, *line);
            match (&row.fields, fields) {
                (Ok(found), Ok(wanted)) => {
                    let found: Vec<_> = found
                        .iter()
                        .map(|(name, text)| (name.as_str(), text.as_str()))
                        .collect();
                    assert_eq!(found, *wanted);
                }
                (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                (found, wanted) => panic!("{found:?}, expected {wanted:?}"),
            }
        }
    }

    fn refused(file: &[u8], because: &str) {
        let error = read(file).unwrap_err();
        assert!(error.to_string().contains(because), "{error}");
    }

    #[test]
    fn rows_are_read_in_any_order_of_columns() {
        check(
            "\u{feff}Surname,mailbox,title\r\n\"Byron, Lady\", ada@example.com ,\r\nHopper,grace@example.com,Admiral\r\n",
            &[
                (2, Ok(&[("mailbox", "ada@example.com"), ("surname", "Byron, Lady")])),
                (
                    3,
                    Ok(&[
                        ("mailbox", "grace@example.com"),
                        ("surname", "Hopper"),
                        ("title", "Admiral"),
                    ]),
                ),
            ],
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_and_the_others_are_read() {
        check(
            "mailbox,surname\na@example.com\nb@example.com,B,C\nc@example.com,C\n",
            &[
                (2, Err("1 columns")),
                (3, Err("3 columns")),
                (4, Ok(&[("mailbox", "c@example.com"), ("surname", "C")])),
            ],
        );
        let rows = read(b"mailbox,surname\na@example.com,\xff\nb@example.com,B\n").unwrap();
        assert!(rows[0].fields.is_err() && rows[1].fields.is_ok(), "{rows:?}");
    }

    #[test]
    fn files_that_are_no_roster_are_refused() {
        refused(b"", "no column");
        refused(b"mailbox,surname\n", "no rows");
        refused(b"mailbox\na@example.com\n", "no column \"surname\"");
        refused(b"mailbox,surname,salary\n", "salary");
        refused(b"mailbox,surname,Mailbox\n", "twice");
        refused(b"mailbox;surname\na;b\n", "mailbox;surname");
        refused(b"\xff\xfe,surname\n", "UTF-8");
        let long = format!("mailbox,surname\n{}", "a@example.com,A\n".repeat(MOST_ROWS + 1));
        refused(long.as_bytes(), "more than 2000 rows");
        refused(&vec![b'a'; LARGEST_ROSTER + 1], "octets");
    }
}
