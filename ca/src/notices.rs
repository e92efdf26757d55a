//! Notices to the holder of a mailbox that its certificate ends: 30, 14, 7 and 1 days before.
//!
//! A notice is claimed in the database before it is mailed, so that neither a restart nor a second node sends it twice.
//! A certificate that was renewed or revoked needs none.

use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};

use crate::app::App;
use crate::error::Error;
use crate::mail::{self, Notice};
use crate::store;
use crate::store::certificates::CertificateRow;

/// Sends what is due and returns how many notices that were. Of several that are due, only the latest is sent.
///
/// # Errors
/// The mail server did not take a notice: it is sent with the next run, and so are those after it.
pub async fn send_due(app: &App) -> Result<usize, Error> {
    if app.mail.goes_nowhere() {
        return Ok(0);
    }
    let now = app.now();
    let mut sent = 0;
    let mut after: Option<String> = None;
    loop {
        let page_after = after.take();
        let rows = app
            .db
            .read(move |conn| {
                let until = now.plus(Span::days(FIRST)).unix();
                let after = page_after.as_deref();
                Ok::<_, Error>(store::certificates::ending(conn, now.unix(), until, after, PAGE)?)
            })
            .await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id.clone());
        for row in rows {
            sent += usize::from(notify(app, row, now).await?);
        }
    }
    Ok(sent)
}

async fn notify(app: &App, row: CertificateRow, now: Timestamp) -> Result<bool, Error> {
    let not_after = Timestamp::from_unix(row.not_after);
    let left = not_after.since(now);
    let Some(days) = DAYS_BEFORE.into_iter().find(|days| left <= Span::days(*days)) else {
        return Ok(false);
    };
    let id = row.id.clone();
    let claimed = app
        .db
        .write(move |conn| {
            if store::notices::is_claimed(conn, &row.id, days)? || store::certificates::is_renewed(conn, &row)? {
                return Ok::<_, Error>(None);
            }
            store::notices::claim(conn, &row.id, days, now.unix())?;
            Ok(Some(row.clone()))
        })
        .await?;
    let Some(row) = claimed else { return Ok(false) };
    let notice = notice(app, &row, not_after)?;
    if let Err(error) = app.mail.send(notice).await {
        app.db
            .write(move |conn| Ok::<_, Error>(store::notices::release(conn, &id, days)?))
            .await?;
        return Err(error);
    }
    Ok(true)
}

fn notice(app: &App, row: &CertificateRow, not_after: Timestamp) -> Result<Notice, Error> {
    let to = Mailbox::parse(&row.mailbox).map_err(|error| Error::Row {
        kind: "certificate",
        id: row.id.clone(),
        reason: error.to_string(),
    })?;
    let (tier, not_after) = (row.tier.0.to_string(), not_after.to_string());
    let values = [
        ("authority", app.config().name.as_str()),
        ("mailbox", row.mailbox.as_str()),
        ("tier", tier.as_str()),
        ("serial", row.serial.as_str()),
        ("not_after", not_after.as_str()),
    ];
    let escaped: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (*name, mail::escape_html(value)))
        .collect();
    let escaped: Vec<(&str, &str)> = escaped.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(Notice {
        to,
        subject: SUBJECT.to_owned(),
        text: mail::fill(include_str!("notices/expiry.txt"), &values),
        html: mail::fill(include_str!("notices/expiry.html"), &escaped),
    })
}

/// The smallest one that is due is the one that is sent.
const DAYS_BEFORE: [i64; 4] = [1, 7, 14, FIRST];
const FIRST: i64 = 30;
const PAGE: i64 = 200;
const SUBJECT: &str = "Your e-mail certificate ends soon";
