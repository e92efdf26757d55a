//! `/v1/mailboxes/{mailbox}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use policies::evidence::Evidence;
use policies::mailbox::Mailbox;

use crate::accounts::Caller;
use crate::app::App;
use crate::error::Error;
use crate::http::problem::HttpProblem;
use crate::validation::standing;

pub(super) async fn show_mailbox(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(mailbox): Path<String>,
) -> Result<Json<ca_api::MailboxStanding>, HttpProblem> {
    let member = caller.as_member("see the evidence of an account")?;
    let mailbox = Mailbox::parse(&mailbox).map_err(|error| Error::InvalidInput {
        field: "mailbox",
        reason: error.to_string(),
    })?;
    let (best_tier, evidence) = standing::of_mailbox(&app, member, &mailbox).await?;
    let evidence = evidence.iter().map(on_the_wire).collect();
    Ok(Json(ca_api::MailboxStanding {
        mailbox,
        best_tier,
        evidence,
    }))
}

fn on_the_wire(evidence: &Evidence) -> ca_api::EvidenceSummary {
    ca_api::EvidenceSummary {
        id: evidence.id().to_string(),
        fact: evidence.fact().kind().to_string(),
        subject: evidence.fact().subject(),
        method: evidence.method().to_string(),
        section: evidence.method().section().to_owned(),
        collected_at: evidence.collected_at(),
        counts_until: evidence.counts_until(),
    }
}
