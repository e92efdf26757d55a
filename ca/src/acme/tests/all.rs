// Every test; included once for each database.

#[path = "challenges.rs"]
mod challenges;
#[path = "directory.rs"]
mod directory;
#[path = "domains.rs"]
mod domains;
#[path = "envelopes.rs"]
mod envelopes;
#[path = "holders.rs"]
mod holders;
#[path = "orders.rs"]
mod orders;
#[path = "receiving.rs"]
mod receiving;
#[path = "renewals.rs"]
mod renewals;
