//! `external_linter` in `[issuance]`: a linter of somebody else in the path of every certificate.

use std::time::Duration;

use serde::Deserialize;

/// A program that is run on every certificate before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalLinter {
    pub program: String,
    /// [`ExternalLinter::CERTIFICATE`] stands for the path of the file.
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

impl ExternalLinter {
    /// In the arguments: where the name of the certificate's file belongs.
    pub const CERTIFICATE: &str = "{certificate}";
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExternalLinterSection {
    command: Vec<String>,
    #[serde(default = "default_timeout_seconds")]
    timeout_seconds: u64,
}

impl ExternalLinterSection {
    pub(super) fn check(self) -> Result<ExternalLinter, String> {
        let refuse = |why: &str| {
            Err(format!(
                "external_linter is not usable: {why}; write it like {{ command = [\"lint_cabf_smime_cert\", \"lint\", \"-s\", \
                 \"WARNING\", \"{}\"] }}",
                ExternalLinter::CERTIFICATE
            ))
        };
        let mut command = self.command.into_iter();
        let Some(program) = command.next().filter(|program| !program.is_empty()) else {
            return refuse("its command has no program");
        };
        let arguments: Vec<String> = command.collect();
        if !arguments.iter().any(|argument| argument == ExternalLinter::CERTIFICATE) {
            return refuse("no argument of its command stands for the certificate");
        }
        if !(1..=MOST_SECONDS).contains(&self.timeout_seconds) {
            return refuse("timeout_seconds is not between 1 and 300");
        }
        Ok(ExternalLinter {
            program,
            arguments,
            timeout: Duration::from_secs(self.timeout_seconds),
        })
    }
}

/// pkilint takes two seconds, most of them to start.
const fn default_timeout_seconds() -> u64 {
    30
}

/// Longer than any client of the API waits.
const MOST_SECONDS: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<ExternalLinter, String> {
        let section: ExternalLinterSection = toml::from_str(toml).map_err(|error| error.to_string())?;
        section.check()
    }

    #[test]
    fn a_command_names_a_program_and_the_place_of_the_certificate() {
        let linter = check(r#"command = ["zlint", "-strict", "{certificate}"]"#).unwrap();
        assert_eq!(linter.program, "zlint");
        assert_eq!(linter.arguments, ["-strict", "{certificate}"]);
        assert_eq!(linter.timeout, Duration::from_secs(30));
    }

    #[test]
    fn commands_that_cannot_work_are_refused() {
        for toml in [
            "",
            "command = []",
            r#"command = ["", "{certificate}"]"#,
            r#"command = ["{certificate}"]"#,
            r#"command = ["zlint", "certificate"]"#,
            r#"command = "zlint {certificate}""#,
            "command = [\"zlint\", \"{certificate}\"]\ntimeout_seconds = 0",
            "command = [\"zlint\", \"{certificate}\"]\ntimeout_seconds = 301",
            "command = [\"zlint\", \"{certificate}\"]\nshell = true",
        ] {
            check(toml).unwrap_err();
        }
    }
}
