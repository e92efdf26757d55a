//! `sealwright gateway user …`: who may log in.

use std::io::Read as _;

use clap::Subcommand;
use policies::signing::MaySign;
use rand_core::UnwrapErr;
use serde_json::json;
use smtp::auth::{Credentials, Password};

use super::{Data, Failure};
use crate::config::Config;
use crate::users;
use crate::wishes::TrustFields;

#[derive(Debug, Subcommand)]
pub enum User {
    /// Add a user, or change one; the password is read from standard input.
    Add {
        #[command(flatten)]
        data: Data,
        /// The name to log in with.
        #[arg(value_name = "NAME")]
        name: String,
        /// A mailbox, a domain, or .example.com for the domains below it; may be given several times.
        #[arg(long, value_name = "WHOM", required = true)]
        may_sign_for: Vec<String>,
        /// Obey the X-Sealwright- fields of its messages.
        #[arg(long)]
        trust_fields: bool,
    },
    /// List the users.
    List(Data),
    /// Remove a user, who cannot log in any more at once.
    Remove {
        #[command(flatten)]
        data: Data,
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) fn run(command: &User) -> Result<(), Failure> {
    match command {
        User::Add {
            data,
            name,
            may_sign_for,
            trust_fields,
        } => add(data, name, may_sign_for, *trust_fields),
        User::List(data) => list(data),
        User::Remove { data, name } => remove(data, name),
    }
}

fn add(data: &Data, name: &str, may_sign_for: &[String], trust_fields: bool) -> Result<(), Failure> {
    let config = Config::load(&data.folder)?;
    let may_sign_for = may_sign_for
        .iter()
        .map(|text| text.parse().map_err(|error| format!("--may-sign-for {text}: {error}")))
        .collect::<Result<Vec<MaySign>, _>>()?;
    let mut typed = String::new();
    std::io::stdin()
        .lock()
        .take(MOST_TYPED)
        .read_to_string(&mut typed)
        .map_err(|error| format!("the password could not be read from standard input: {error}"))?;
    let typed = typed.trim_end_matches(['\r', '\n']);
    // The name as it will be when somebody logs in with it.
    let name = Credentials::new(name, Password::prepare(typed)?)?.user().to_owned();
    let fields = if trust_fields {
        TrustFields::Obey
    } else {
        TrustFields::Ignore
    };
    let password = Password::prepare(typed)?;
    let mut rng = UnwrapErr(rand::rngs::SysRng);
    users::add(&config.folder, &name, &password, &may_sign_for, fields, &mut rng)?;
    if data.json {
        println!("{}", json!({ "name": name }));
    } else {
        println!("{name} may log in. A gateway that had no users when it was started has to be started again.");
    }
    Ok(())
}

fn list(data: &Data) -> Result<(), Failure> {
    let config = Config::load(&data.folder)?;
    let users = users::list(&config.folder)?;
    if data.json {
        let users: Vec<_> = users
            .into_iter()
            .map(|(name, may_sign_for)| json!({ "name": name, "may_sign_for": may_sign_for }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&users)?);
    } else if users.is_empty() {
        println!("Nobody may log in.");
    } else {
        for (name, may_sign_for) in users {
            println!("{name}  {}", may_sign_for.join(", "));
        }
    }
    Ok(())
}

fn remove(data: &Data, name: &str) -> Result<(), Failure> {
    let config = Config::load(&data.folder)?;
    if !users::remove(&config.folder, name)? {
        return Err(format!("there is no user {name:?}; `sealwright gateway user list` shows who there is").into());
    }
    if data.json {
        println!("{}", json!({ "removed": name }));
    } else {
        println!("{name} may not log in any more.");
    }
    Ok(())
}

/// Longer than any password may be.
const MOST_TYPED: u64 = 4096;
