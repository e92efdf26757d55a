//! `publicly_trusted`, `[primary_perspective]` and `[[perspective]]`: from which networks domains are looked at.

use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::perspective::{Location, Registry};
use serde::Deserialize;

use super::{ApiUrl, Caa, Dns, Website};

/// Who trusts the authority, and so which rules it has to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Everybody, through the programs that people use: the BR hold without exception.
    Publicly,
    /// Those who decided to.
    Privately,
}

/// Who looks at domains besides this authority itself.
#[derive(Clone, Debug)]
pub struct Perspectives {
    pub trusted: Trusted,
    /// How long a remote perspective may take; one that takes longer has no vote.
    pub patience: Duration,
    pub remote: Vec<RemotePerspective>,
}

/// `sealwright ca perspective serve` on another network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePerspective {
    /// How it calls itself, and how it stands in the records.
    pub name: String,
    /// `https://host[:port]`.
    pub url: ApiUrl,
    /// In whose service region it is, and the DNS resolver that it asks (TLS BR 3.2.2.9).
    pub registry: Registry,
    pub location: Location,
    /// The secret that both sides share.
    pub token_file: PathBuf,
    /// Its TLS certificate, if not one that this system trusts.
    pub trust_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrimarySection {
    location: String,
    patience_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PerspectiveSection {
    name: String,
    url: String,
    registry: String,
    location: String,
    token_file: PathBuf,
    trust_file: Option<PathBuf>,
}

/// Checks the perspectives, each alone and against each other.
pub(super) fn check(
    publicly_trusted: bool,
    primary: Option<PrimarySection>,
    sections: Vec<PerspectiveSection>,
    folder: &Path,
) -> Result<Perspectives, String> {
    let trusted = match publicly_trusted {
        true => Trusted::Publicly,
        false => Trusted::Privately,
    };
    let location = |whose: &str, text: &str| {
        text.parse::<Location>()
            .map_err(|error| format!("the location {text:?} of {whose} is not usable: {error}"))
    };
    let patience = match primary.as_ref().and_then(|primary| primary.patience_seconds) {
        None => MOST_PATIENCE,
        Some(seconds) if (1..=MOST_PATIENCE).contains(&seconds) => seconds,
        Some(_) => {
            return Err(format!(
                "primary_perspective.patience_seconds must be 1 to {MOST_PATIENCE}"
            ));
        }
    };
    let primary = primary
        .map(|primary| location("[primary_perspective]", &primary.location))
        .transpose()?;
    if primary.is_none() && !sections.is_empty() {
        return Err(
            "[[perspective]] needs a section [primary_perspective] with the location of this authority, such as \
             \"50.11, 8.68\": remote perspectives have to be 500 km from it and from each other (TLS BR 3.2.2.9)"
                .to_owned(),
        );
    }
    if sections.len() > MOST {
        return Err(format!("there are more than {MOST} sections [[perspective]]"));
    }
    let mut remote: Vec<RemotePerspective> = Vec::new();
    for section in sections {
        let name = name(&section.name)?;
        let whose = format!("perspective {name:?}");
        let perspective = RemotePerspective {
            url: ApiUrl::parse(&section.url).map_err(|_| {
                format!(
                    "the url {:?} of {whose} is not usable; write it like \"https://perspective.example.com:8441\" (TLS \
                     BR 3.2.2.9 wants an authenticated and encrypted channel)",
                    section.url
                )
            })?,
            registry: section
                .registry
                .parse()
                .map_err(|error| format!("the registry {:?} of {whose} is not usable: {error}", section.registry))?,
            location: location(&whose, &section.location)?,
            token_file: folder.join(section.token_file),
            trust_file: section.trust_file.map(|file| folder.join(file)),
            name,
        };
        for other in &remote {
            if other.name == perspective.name || other.url == perspective.url {
                return Err(format!(
                    "two sections [[perspective]] have the name or the url of {whose}"
                ));
            }
        }
        let others = remote.iter().map(|other| (other.name.as_str(), other.location));
        for (other, place) in others.chain(primary.map(|place| ("this authority", place))) {
            if !place.is_distinct_from(perspective.location) {
                return Err(format!(
                    "{whose} is {:.0} km from {other}: perspectives are distinct when at least 500 km are between them \
                     (TLS BR 3.2.2.9)",
                    place.distance(perspective.location)
                ));
            }
        }
        remote.push(perspective);
    }
    Ok(Perspectives {
        trusted,
        patience: Duration::from_secs(patience),
        remote,
    })
}

impl Perspectives {
    /// What nobody may do whom everybody trusts.
    pub(super) fn forbid(&self, caa: &Caa, dns: &Dns, website: &Website) -> Result<(), String> {
        if self.trusted == Trusted::Privately {
            return Ok(());
        }
        let refuse = |key: &str, why: &str| {
            Err(format!(
                "publicly_trusted = true does not go together with {key}: {why}; remove one of them"
            ))
        };
        if matches!(caa, Caa::Off { .. }) {
            return refuse("[caa] check = \"off\"", "every domain has to be asked (BR 4.2.2.1)");
        }
        if dns.trust_anchor.is_some() {
            return refuse(
                "[dns] trust_anchor",
                "answers have to be validated from the root of IANA (BR 4.2.2.1)",
            );
        }
        if *website != Website::default() {
            return refuse(
                "[website] danger_…",
                "files have to be fetched from port 80 (TLS BR 3.2.2.4.18)",
            );
        }
        Ok(())
    }
}

/// A name that is safe in a file name, in the log and on a terminal.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_name = (1..=40).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "the perspective name {text:?} is not usable: write 1 to 40 of the characters a to z, 0 to 9 and hyphens"
        )),
    }
}

/// Longer than a perspective works (18 s), shorter than a request to us may take (25 s).
const MOST_PATIENCE: u64 = 20;
/// Each is asked with every look.
const MOST: usize = 16;
