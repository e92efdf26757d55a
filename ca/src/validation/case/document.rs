//! Documents of a case: sealed at rest, opened for officers only.

use policies::time::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{MOST_DOCUMENTS, Visible, hexadecimal, refuse_if_decided};
use crate::accounts::{Caller, Officer};
use crate::app::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::input;
use crate::store;
use crate::store::cases::{DocumentRow, NewDocumentRow};

/// A document without its content.
#[derive(Debug, Clone)]
pub struct Document {
    pub id: String,
    pub name: String,
    pub media_type: String,
    pub sha256: [u8; 32],
    pub added_by: String,
    pub added_at: Timestamp,
}

/// Seals a document and adds it to an open, undecided case that the caller may see.
pub async fn add_document(
    app: &App,
    caller: &Caller,
    case: &str,
    name: &str,
    media_type: &str,
    content: Zeroizing<Vec<u8>>,
) -> Result<Document, Error> {
    let visible = Visible::to(caller)?;
    let name = input::line("name", name, DOCUMENT_NAME_LIMIT)?;
    if name.contains(['/', '\\']) {
        return Err(Error::InvalidInput {
            field: "name",
            reason: "it contains a slash".to_owned(),
        });
    }
    let Some(media_type) = MEDIA_TYPES
        .into_iter()
        .find(|known| media_type.eq_ignore_ascii_case(known))
    else {
        return Err(Error::InvalidInput {
            field: "Content-Type",
            reason: format!("documents are one of {}", MEDIA_TYPES.join(", ")),
        });
    };
    if content.is_empty() || content.len() > LARGEST_DOCUMENT {
        return Err(Error::InvalidInput {
            field: "document",
            reason: format!("it has {} octets; send 1 to {LARGEST_DOCUMENT}", content.len()),
        });
    }
    // Before the content is sealed, which takes a while, and again below, where it counts.
    let wanted = case.to_owned();
    let early = visible.clone();
    let row = app.db.read(move |conn| early.row(conn, &wanted)).await?;

    let now = app.now();
    let id = app.new_id("doc");
    let sha256: [u8; 32] = Sha256::digest(content.as_slice()).into();
    let sealed = app
        .sealing
        .seal(&sealing_context(&row.id, &id), &content)
        .map_err(Error::Sealing)?;
    let document = NewDocumentRow {
        id,
        case_id: row.id,
        account_id: row.account_id,
        name,
        media_type: media_type.to_owned(),
        sha256: sha256.to_vec(),
        sealed,
        added_by: caller.principal_id.to_string(),
        added_at: now.unix(),
    };
    app.db
        .write(move |conn| {
            let row = visible.row(conn, &document.case_id)?;
            refuse_if_decided(conn, &row)?;
            let documents = store::cases::documents(conn, &row.id)?;
            if documents.len() >= MOST_DOCUMENTS {
                return Err(Error::TooMany {
                    what: "documents in this case",
                    limit: MOST_DOCUMENTS,
                    advice: "combine several into one",
                });
            }
            store::cases::insert_document(conn, &document)?;
            store::cases::touch(conn, &row.id, now.unix())?;
            let details = serde_json::json!({
                "case": row.id,
                "document": document.id,
                "sha256": hexadecimal(&document.sha256),
            });
            audit::append(conn, now, &document.added_by, Action::DocumentAdded, &details)?;
            Ok(Document {
                id: document.id.clone(),
                name: document.name.clone(),
                media_type: document.media_type.clone(),
                sha256,
                added_by: document.added_by.clone(),
                added_at: now,
            })
        })
        .await
}

/// The content of a document, for officers. What comes back has the SHA-256 under which it was handed in.
pub async fn read_document(
    app: &App,
    _: Officer<'_>,
    case: &str,
    document: &str,
) -> Result<(Document, Zeroizing<Vec<u8>>), Error> {
    unsealed(app, case, document).await
}

/// [`read_document`] for whoever may read everything on this machine.
pub(crate) async fn unsealed(app: &App, case: &str, document: &str) -> Result<(Document, Zeroizing<Vec<u8>>), Error> {
    let (wanted_case, wanted) = (case.to_owned(), document.to_owned());
    let found = app
        .db
        .read(move |conn| Ok::<_, Error>(store::cases::sealed_document(conn, &wanted_case, &wanted)?))
        .await?;
    let Some((row, sealed)) = found else {
        return Err(Error::NotFound {
            kind: "document",
            id: document.to_owned(),
        });
    };
    let content = app
        .sealing
        .open(&sealing_context(case, &row.id), &sealed)
        .map_err(Error::Sealing)?;
    let document = Document::from_row(row)?;
    if <[u8; 32]>::from(Sha256::digest(content.as_slice())) != document.sha256 {
        return Err(Error::Row {
            kind: "document",
            id: document.id,
            reason: "its content does not have its SHA-256".to_owned(),
        });
    }
    Ok((document, content))
}

impl Document {
    pub(super) fn from_row(row: DocumentRow) -> Result<Self, Error> {
        let sha256 = row.sha256.try_into().map_err(|_| Error::Row {
            kind: "document",
            id: row.id.clone(),
            reason: "its SHA-256 does not have 32 octets".to_owned(),
        })?;
        Ok(Self {
            id: row.id,
            name: row.name,
            media_type: row.media_type,
            sha256,
            added_by: row.added_by,
            added_at: Timestamp::from_unix(row.added_at),
        })
    }
}

/// A document opens only as what it was sealed as: this document of this case.
fn sealing_context(case: &str, document: &str) -> String {
    format!("case-document/{case}/{document}")
}

/// What officers can look at without running anything.
pub const MEDIA_TYPES: [&str; 5] = [
    "application/pdf",
    "image/jpeg",
    "image/png",
    "text/plain",
    "message/rfc822",
];
/// A scanned register extract of many pages fits.
pub const LARGEST_DOCUMENT: usize = 10 * 1024 * 1024;
const DOCUMENT_NAME_LIMIT: usize = 200;
