//! `sealwright gateway keys …`: the key that seals the keys of mailboxes.

use clap::Subcommand;
use keys::SoftwareKeyStore;
use serde_json::json;

use super::{Data, Failure};
use crate::config::Config;
use crate::gateway::sealing_key;

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Replace the sealing key and seal every key anew. The gateway may go on working meanwhile.
    ///
    /// Where the sealing key comes by a descriptor (keys.sealing_key_descriptor), hand in the new one on a line before the
    /// old one, to this command and to a gateway that is started anew; leave the old one out afterwards.
    Rotate(Data),
}

pub(super) fn run(command: &Keys) -> Result<(), Failure> {
    let Keys::Rotate(data) = command;
    let config = Config::load(&data.folder)?;
    let store = SoftwareKeyStore::open(&config.keys.folder, sealing_key(&config)?)?;
    let count = store.rotate_sealing_key(&config.folder)?;
    if data.json {
        println!("{}", json!({ "sealed_anew": count }));
    } else {
        println!(
            "{count} files are sealed by a new key. Back up {} again.",
            config.keys.sealing_key
        );
    }
    Ok(())
}
