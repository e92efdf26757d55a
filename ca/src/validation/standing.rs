//! What the evidence and the plan of an account allow for one mailbox.

use policies::evidence::{Evidence, Fact};
use policies::mailbox::Mailbox;
use policies::tier::Tier;

use crate::accounts::Member;
use crate::app::App;
use crate::error::Error;
use crate::plans;
use crate::store;

/// The best tier that could be issued now, and the proofs that may count for the mailbox.
pub async fn of_mailbox(
    app: &App,
    member: Member<'_>,
    mailbox: &Mailbox,
) -> Result<(Option<Tier>, Vec<Evidence>), Error> {
    let now = app.now();
    let account = member.account().clone();
    let (mut evidence, plan) = app
        .db
        .read(move |conn| {
            let evidence = store::evidence::of_account(conn, &account)?;
            Ok::<_, Error>((evidence, plans::of_account(conn, &account, now)?))
        })
        .await?;
    let best = plan.best_tier(mailbox, member.caller().principal_id.as_ref(), &evidence, now);
    evidence.retain(|evidence| evidence.controls(mailbox.domain()) || concerns(evidence.fact(), mailbox));
    Ok((best, evidence))
}

fn concerns(fact: &Fact, mailbox: &Mailbox) -> bool {
    match fact {
        Fact::MailboxControl(proved)
        | Fact::IndividualIdentity { mailbox: proved, .. }
        | Fact::Employment { mailbox: proved, .. } => proved == mailbox,
        Fact::DomainControl(_) => false,
        Fact::OrganizationIdentity(_) | Fact::Authority { .. } => true,
    }
}
