// Every story; included once for each database.

#[path = "audit.rs"]
mod audit;
#[path = "bulk.rs"]
mod bulk;
#[path = "caa.rs"]
mod caa;
#[path = "domains.rs"]
mod domains;
#[path = "evidence.rs"]
mod evidence;
#[path = "evidence_pack.rs"]
mod evidence_pack;
#[path = "external_lint.rs"]
mod external_lint;
#[path = "issuance.rs"]
mod issuance;
#[path = "notices.rs"]
mod notices;
#[path = "orders.rs"]
mod orders;
#[path = "perspectives.rs"]
mod perspectives;
#[path = "plans.rs"]
mod plans;
#[path = "reports.rs"]
mod reports;
#[path = "rosters.rs"]
mod rosters;
#[path = "revocation.rs"]
mod revocation;
#[path = "uses.rs"]
mod uses;
#[path = "shards.rs"]
mod shards;

/// A world on this database, or the end of the test when there is no server for it.
macro_rules! world {
    () => {
        match crate::testing::World::new(super::DATABASE).await {
            Some(world) => world,
            None => return,
        }
    };
}
use world;
