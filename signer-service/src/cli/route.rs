//! `sealwright gateway route`: where mail for an address would go.

use std::sync::Arc;

use clap::Args;
use policies::time::Clock;

use super::{Data, Failure};
use crate::gateway::{Gateway, GatewayParts};
use crate::routing::explain;

#[derive(Debug, Args)]
pub struct Route {
    #[command(flatten)]
    data: Data,
    /// Whose mail it is.
    #[arg(value_name = "ADDRESS")]
    address: String,
}

pub(super) async fn run(options: &Route, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = Gateway::open(&options.data.folder, GatewayParts::production(clock)).await?;
    let explanation = explain(&gateway.routes, gateway.config(), &options.address).await;
    if options.data.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print!("{explanation}");
    }
    if explanation.has_way() {
        Ok(())
    } else {
        Err(format!("there is no way for mail to {} now", options.address).into())
    }
}
