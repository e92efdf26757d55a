//! What the evidence of an account allows for one mailbox.

use policies::evidence::{Evidence, Fact};
use policies::issuance;
use policies::mailbox::Mailbox;
use policies::tier::Tier;

use crate::accounts::Member;
use crate::app::App;
use crate::error::Error;
use crate::store;

/// The best tier that could be issued now, and the proofs that may count for the mailbox.
pub async fn of_mailbox(
    app: &App,
    member: Member<'_>,
    mailbox: &Mailbox,
) -> Result<(Option<Tier>, Vec<Evidence>), Error> {
    let now = app.now();
    let account = member.account().clone();
    let mut evidence = app
        .db
        .read(move |conn| store::evidence::of_account(conn, &account))
        .await?;
    let best = issuance::best_tier(mailbox, member.caller().principal_id.as_ref(), &evidence, now);
    evidence.retain(|evidence| concerns(evidence.fact(), mailbox));
    Ok((best, evidence))
}

fn concerns(fact: &Fact, mailbox: &Mailbox) -> bool {
    match fact {
        Fact::MailboxControl(proved)
        | Fact::IndividualIdentity { mailbox: proved, .. }
        | Fact::Employment { mailbox: proved, .. } => proved == mailbox,
        Fact::DomainControl(domain) => mailbox.domain().is_same_or_subdomain_of(domain),
        Fact::OrganizationIdentity(_) | Fact::Authority { .. } => true,
    }
}
