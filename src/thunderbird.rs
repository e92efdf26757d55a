//! `sealwright thunderbird`: the add-on that shows labels in Thunderbird, and the host that verifies for it.

mod addon;
mod framing;
pub(crate) mod host;
mod install;
mod protocol;
mod settings;
mod zip;

use std::path::PathBuf;
use std::process::ExitCode;

use policies::label::printable;

use self::install::{Places, Wishes};

/// What the add-on calls the host (`verifier/thunderbird/host.js`), and the file name of the manifest.
const HOST_NAME: &str = "sealwright.verifier";
/// The identity of the add-on (`verifier/thunderbird/manifest.json`); the host speaks to no other.
const ADDON_ID: &str = "verifier@sealwright";

/// Subcommands of `sealwright thunderbird`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  sealwright thunderbird install --trust root.pem
  sealwright thunderbird install --trust root.pem --crl-folder ~/crls --profile ~/.thunderbird/abcd.default-esr
  sealwright thunderbird status
  sealwright thunderbird uninstall

The add-on shows tier, label and badge of the message being read, outside of the message. It works offline: the host reads
root certificates and revocation lists from files, and never the network.")]
pub(crate) enum Command {
    /// Set up host and trust for this user, and write the add-on as a file; again to change the trust or after an update
    Install(InstallArguments),
    /// Remove what install wrote
    Uninstall(PlaceArguments),
    /// Say what is set up, and whether it works
    Status(StatusArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArguments {
    /// Where settings, certificates and the add-on lie [default: ~/.local/share/sealwright/thunderbird]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A Thunderbird profile to put the add-on into, or take it out of; Thunderbird must not be running
    #[arg(long, value_name = "FOLDER")]
    profile: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InstallArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// A file of root certificates (PEM or DER) that may vouch for every tier; may be repeated. Replaces those of before
    #[arg(long, value_name = "PEM")]
    trust: Vec<PathBuf>,
    /// A file of root certificates that are believed about addresses alone, so that no tier is shown; may be repeated
    #[arg(long, value_name = "PEM")]
    trust_signatures: Vec<PathBuf>,
    /// A folder of revocation lists (DER or PEM), kept up to date by others; it is read again whenever it changes
    #[arg(long, value_name = "FOLDER")]
    crl_folder: Option<PathBuf>,
    /// What becomes of a tier when nobody handed in a revocation list for a certificate: keep_tier or withhold_tier
    #[arg(long, value_name = "WORD")]
    unchecked: Option<String>,
}

/// Does what was asked for. The exit status is 0 when it worked, 1 when status finds something missing, else 2.
pub(crate) fn run(command: Command) -> ExitCode {
    match obey(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sealwright thunderbird: {}", printable(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn obey(command: Command) -> Result<ExitCode, install::Problem> {
    match command {
        Command::Install(arguments) => {
            let places = places(&arguments.place)?;
            let executable = std::env::current_exe().map_err(install::Problem::Executable)?;
            let wishes = Wishes {
                tiers: arguments.trust,
                signatures: arguments.trust_signatures,
                crl_folder: arguments.crl_folder,
                unchecked: arguments.unchecked,
            };
            install::install(&places, &wishes, &executable)?;
            println!("The host is set up: {}", places.host_manifest().display());
            println!("Its settings: {}", places.settings().display());
            match places.addon_in_profile() {
                Some(addon) => println!(
                    "The add-on is in the profile: {}. Start Thunderbird and click: menu, Sealwright added, Enable.",
                    addon.display()
                ),
                None => println!(
                    "Now click in Thunderbird: menu, Add-ons and Themes, gear, Install Add-on From File, and choose {}",
                    places.addon().display()
                ),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Uninstall(place) => {
            let places = places(&place)?;
            let removed = install::uninstall(&places)?;
            if removed.is_empty() {
                println!("There was nothing to remove.");
            }
            for path in removed {
                println!("Removed {}", path.display());
            }
            if place.profile.is_none() {
                println!(
                    "If the add-on is in Thunderbird, remove it there: menu, Add-ons and Themes, Sealwright, Remove."
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Status(arguments) => {
            let status = install::status(&places(&arguments.place)?);
            if arguments.json {
                println!("{}", serde_json::json!(status));
            } else {
                print!("{status}");
            }
            Ok(ExitCode::from(u8::from(!status.is_working)))
        }
    }
}

fn places(arguments: &PlaceArguments) -> Result<Places, install::Problem> {
    Places::new(
        std::env::home_dir(),
        std::env::var_os("XDG_DATA_HOME").map(PathBuf::from),
        arguments.data.clone(),
        arguments.profile.clone(),
    )
}
