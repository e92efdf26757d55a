//! Other people's software, asked for its opinion.
//!
//! A peer that is not installed is reported by name and skipped; on CI that is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::signed_mail::SignedMail;

/// Whether `program` can be run. When it cannot: a failure on CI, else a line that names what is skipped.
pub(crate) fn present(program: &str) -> bool {
    let found = if program.contains('/') {
        Path::new(program).exists()
    } else {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
    };
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "the peer {program} is missing, and on CI none may be"
        );
        eprintln!("SKIPPED: the peer {program} is not installed; scripts/setup test installs it");
    }
    found
}

/// The path of pkilint's linter, from the environment or from the PATH.
pub(crate) fn pkilint() -> String {
    std::env::var("SEALWRIGHT_PKILINT").unwrap_or_else(|_| "lint_cabf_smime_cert".to_owned())
}

/// What a peer said of a signed mail.
#[derive(Debug)]
pub(crate) struct Opinion {
    /// Whether it holds the signature and the path for good.
    pub(crate) good: bool,
    /// Its own words, for the message of a failed assertion.
    pub(crate) words: String,
}

/// `openssl cms -verify` of a whole message file, with the PEM CRLs of every issuer of the path.
pub(crate) fn openssl(message: &Path, root: &Path, crls: &[PathBuf]) -> Opinion {
    // The command reads CRLs from the file of trusted certificates.
    let trusted = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let pems: Vec<Vec<u8>> = std::iter::once(root)
        .chain(crls.iter().map(PathBuf::as_path))
        .map(|file| fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
        .collect();
    fs::write(trusted.path(), pems.concat()).expect("the file is written");
    let mut command = Command::new("openssl");
    command.args(["cms", "-verify", "-in"]).arg(message);
    command.arg("-CAfile").arg(trusted.path()).arg("-no-CApath");
    command.args(["-purpose", "smimesign", "-x509_strict", "-out", "/dev/null"]);
    if !crls.is_empty() {
        command.arg("-crl_check_all");
    }
    let output = run(&mut command);
    Opinion {
        good: output.status.success(),
        words: words(&output),
    }
}

/// gpgsm with a home folder of its own that trusts one root.
#[derive(Debug)]
pub(crate) struct Gpgsm {
    home: tempfile::TempDir,
}

impl Gpgsm {
    /// Trusts the root and knows the intermediate certificates (PEM files).
    pub(crate) fn trusting(root: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::Builder::new()
            .prefix("gpgsm")
            .tempdir_in("/tmp")
            .expect("a temporary folder can be made");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).expect("its mode can be set");
        let fingerprint = run(Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha1", "-in"])
            .arg(root));
        let fingerprint = String::from_utf8_lossy(&fingerprint.stdout);
        let fingerprint = fingerprint
            .trim()
            .rsplit('=')
            .next()
            .expect("openssl prints name=value")
            .to_owned();
        fs::write(home.path().join("trustlist.txt"), format!("{fingerprint} S relax\n"))
            .expect("trustlist.txt is written");
        fs::write(home.path().join("gpgsm.conf"), "disable-crl-checks\ndisable-dirmngr\n")
            .expect("gpgsm.conf is written");
        let gpgsm = Self { home };
        let imported = run(gpgsm.command().arg("--import").arg(root));
        assert!(
            imported.status.success(),
            "gpgsm imports the root: {}",
            words(&imported)
        );
        gpgsm
    }

    /// `gpgsm --verify` of the two halves of a clear-signed mail.
    pub(crate) fn verify(&self, mail: &SignedMail) -> Opinion {
        let signature = self.home.path().join("signature.der");
        let content = self.home.path().join("content");
        fs::write(&signature, &mail.signature).expect("the signature is written");
        fs::write(&content, &mail.content).expect("the content is written");
        let output = run(self
            .command()
            .args(["--status-fd", "1", "--verify"])
            .arg(&signature)
            .arg(&content));
        let status = String::from_utf8_lossy(&output.stdout);
        Opinion {
            good: status.contains("[GNUPG:] GOODSIG") && status.contains("[GNUPG:] TRUST_FULLY"),
            words: words(&output),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpgsm");
        command.arg("--homedir").arg(self.home.path()).arg("--batch");
        command
    }
}

impl Drop for Gpgsm {
    fn drop(&mut self) {
        // The agent that gpgsm started would outlive the folder.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

/// NSS with a certificate database of its own that trusts one root for mail.
#[derive(Debug)]
pub(crate) struct Nss {
    home: tempfile::TempDir,
}

impl Nss {
    /// Trusts the root for e-mail and nothing else.
    pub(crate) fn trusting(root: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let nss = Self { home };
        let made = run(Command::new("certutil").args(["-N", "--empty-password", "-d", &nss.database()]));
        assert!(made.status.success(), "certutil makes a database: {}", words(&made));
        let added = run(Command::new("certutil")
            .args(["-A", "-n", "root", "-t", ",C,", "-a", "-d", &nss.database(), "-i"])
            .arg(root));
        assert!(added.status.success(), "certutil trusts the root: {}", words(&added));
        nss
    }

    /// `cmsutil -D`: its exit status is 0 even for a bad signature, so the status word counts.
    pub(crate) fn verify(&self, mail: &SignedMail) -> Opinion {
        let signature = self.home.path().join("signature.der");
        let content = self.home.path().join("content");
        fs::write(&signature, &mail.signature).expect("the signature is written");
        fs::write(&content, &mail.content).expect("the content is written");
        let output = run(Command::new("cmsutil")
            .args(["-D", "-d", &self.database(), "-h", "1", "-n", "-u", "4", "-c"])
            .arg(&content)
            .arg("-i")
            .arg(&signature));
        let said = words(&output);
        Opinion {
            good: said.contains("signer0.status=GoodSignature"),
            words: said,
        }
    }

    fn database(&self) -> String {
        format!("sql:{}", self.home.path().display())
    }
}

/// What pkilint finds in an end-entity certificate, at NOTICE and above: empty when it is clean.
pub(crate) fn pkilint_findings(certificate: &Path) -> String {
    let output = run(Command::new(pkilint())
        .args(["lint", "-d", "-s", "NOTICE"])
        .arg(certificate));
    let said = words(&output);
    // An exit status above zero counts findings; text on stderr alone is a crash of the linter and must not pass as clean.
    assert!(
        output.status.success() || !output.stdout.is_empty(),
        "pkilint ran: {said}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} starts: {error}"))
}

fn words(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
