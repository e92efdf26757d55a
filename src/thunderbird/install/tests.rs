//! The installer, in folders of its own.

use super::*;

/// A home folder with a profile and a root certificate.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("it's home").tempdir().unwrap();
        fs::create_dir(folder.path().join("profile")).unwrap();
        fs::write(folder.path().join("profile/prefs.js"), "").unwrap();
        fs::write(folder.path().join("root.pem"), root()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn places(&self) -> Places {
        Places::new(Some(self.path("")), None, None, Some(self.path("profile"))).unwrap()
    }

    fn trusting(&self) -> Wishes {
        Wishes {
            tiers: vec![self.path("root.pem")],
            ..Wishes::default()
        }
    }

    /// Every file there is, but for those that were there before.
    fn files(&self) -> Vec<PathBuf> {
        let mut open = vec![self.path("")];
        let mut files = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if !path.ends_with("root.pem") && !path.ends_with("prefs.js") {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

/// A self-signed root that the verifier takes.
fn root() -> Vec<u8> {
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::extension::{BasicConstraints, KeyUsage};
    use openssl::x509::{X509, X509Name};

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "Root").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&BigNum::from_u32(77).unwrap().to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    builder
        .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
        .unwrap();
    builder
        .append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap())
        .unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_is_written_once_and_removed_again() {
    let home = Home::new();
    let places = home.places();
    install(&places, &home.trusting(), Path::new("/opt/it's/sealwright")).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(places.host_manifest()).unwrap()).unwrap();
    assert_eq!(manifest["name"], HOST_NAME);
    assert_eq!(manifest["type"], "stdio");
    assert_eq!(manifest["path"], places.host().to_str().unwrap());
    assert_eq!(manifest["allowed_extensions"], json!([ADDON_ID]));
    let script = fs::read_to_string(places.host()).unwrap();
    assert!(
        script.contains("exec '/opt/it'\\''s/sealwright' thunderbird-host --settings '"),
        "{script}"
    );
    assert_eq!(
        (mode(&places.host()), mode(&places.settings()), mode(&places.data)),
        (0o700, 0o600, 0o700)
    );
    assert_eq!(
        fs::read(places.addon()).unwrap(),
        fs::read(places.addon_in_profile().unwrap()).unwrap()
    );

    let before = home.files();
    install(&places, &Wishes::default(), Path::new("/opt/sealwright")).unwrap();
    assert_eq!(home.files(), before, "a second time changes no place");
    let (_, problems) = Settings::read(&places.settings()).unwrap().verifier().unwrap();
    assert!(problems.is_empty(), "what was trusted before still is: {problems:?}");

    assert_eq!(uninstall(&places).unwrap().len(), 6);
    assert!(home.files().is_empty(), "{:?}", home.files());
    assert!(!places.data.exists());
    assert!(uninstall(&places).unwrap().is_empty());
}

#[test]
fn trust_is_what_was_given_and_not_what_stands_there_later() {
    let home = Home::new();
    let places = home.places();
    install(&places, &home.trusting(), Path::new("/x")).unwrap();
    fs::write(home.path("root.pem"), "something else").unwrap();
    let settings = Settings::read(&places.settings()).unwrap();
    assert!(settings.verifier().is_ok());
    fs::write(home.path("root.pem"), root()).unwrap();
    let only_signatures = Wishes {
        signatures: vec![home.path("root.pem")],
        ..Wishes::default()
    };
    install(&places, &only_signatures, Path::new("/x")).unwrap();
    let settings = Settings::read(&places.settings()).unwrap();
    assert_eq!(
        (settings.tiers.len(), settings.signatures_only.len()),
        (0, 1),
        "the new trust replaces the old"
    );
    assert!(!places.anchors().join("tiers-1").exists());
}

#[test]
fn a_wrong_wish_changes_nothing() {
    let home = Home::new();
    fs::write(home.path("root.txt"), "hello").unwrap();
    let places = home.places();
    let before = home.files();
    let wish = |change: &dyn Fn(&mut Wishes)| {
        let mut wishes = home.trusting();
        change(&mut wishes);
        install(&places, &wishes, Path::new("/x")).unwrap_err()
    };
    assert!(matches!(wish(&|wishes| wishes.tiers.clear()), Problem::NobodyTrusted));
    assert!(matches!(
        wish(&|wishes| wishes.tiers.push(home.path("root.txt"))),
        Problem::Trust { .. }
    ));
    assert!(matches!(
        wish(&|wishes| wishes.signatures.push(home.path("absent"))),
        Problem::Settings(_)
    ));
    assert!(matches!(
        wish(&|wishes| wishes.crl_folder = Some(home.path("root.pem"))),
        Problem::NoFolder { .. }
    ));
    assert!(matches!(
        wish(&|wishes| wishes.unchecked = Some("maybe".into())),
        Problem::Unchecked(_)
    ));
    fs::remove_file(home.path("profile/prefs.js")).unwrap();
    assert!(matches!(wish(&|_| ()), Problem::NoProfile { .. }));
    assert_eq!(home.files(), before);
    assert!(matches!(Places::new(None, None, None, None), Err(Problem::NoHome)));
}

#[test]
fn status_says_what_is_missing() {
    let home = Home::new();
    let places = home.places();
    let absent = status(&places);
    assert!(!absent.is_working && !absent.has_manifest);
    assert!(
        absent.to_string().contains("run: sealwright thunderbird install"),
        "{absent}"
    );

    install(&places, &home.trusting(), Path::new("/nowhere/sealwright")).unwrap();
    let silent = status(&places);
    assert!(!silent.is_working && silent.has_manifest);
    assert!(
        silent
            .problems
            .iter()
            .any(|problem| problem.contains("does not answer")),
        "{silent}"
    );

    fs::write(places.host_manifest(), "{\"name\": \"other\", \"path\": \"/bin/true\"}").unwrap();
    let other = status(&places);
    assert!(
        other
            .problems
            .iter()
            .any(|problem| problem.contains("is not as install writes it")),
        "{other}"
    );
}
