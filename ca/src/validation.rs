//! How facts are validated: challenges by mail, and cases that officers work on. Both end in evidence.

use std::sync::Arc;

use crate::accounts::AccountId;
use crate::app::App;
use crate::{error, orders};

pub mod case;
pub mod challenge;
pub mod control;
pub mod roster;
pub mod standing;

/// The version of the S/MIME BR that describes the methods used here; kept with every proof (BR 3.2.2).
pub(crate) const BR_VERSION: &str = "1.0.16";

/// New evidence may be what an order waited for. The evidence is committed: an order that cannot be issued now is no
/// reason to tell the person who answered that it failed.
pub(crate) async fn retry_waiting_orders(app: &Arc<App>, account: &AccountId) {
    if let Err(error) = orders::retry(app, account).await {
        tracing::error!(%account, error = error::chain(&error), "could not try the waiting orders of an account again");
    }
}
