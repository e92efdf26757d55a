//! The add-on, carried in this executable so that it always fits its host.

use super::zip;

/// The add-on as an `.xpi`.
pub(super) fn xpi() -> Vec<u8> {
    zip::archive(FILES)
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../verifier/thunderbird/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "manifest.json",
    "background.js",
    "host.js",
    "outcome.js",
    "popup/popup.html",
    "popup/popup.css",
    "popup/popup.js",
    "_locales/en/messages.json",
    "_locales/sv/messages.json",
    "icons/broken.svg",
    "icons/checking.svg",
    "icons/not-signed.svg",
    "icons/not-verified.svg",
    "icons/signed.svg",
    "icons/tier-v1.svg",
    "icons/tier-v2.svg",
    "icons/tier-v3.svg",
    "icons/tier-v4.svg",
    "icons/unavailable.svg",
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{ADDON_ID, HOST_NAME};
    use super::*;

    #[test]
    fn the_add_on_has_the_names_that_the_host_expects() {
        let file = |name: &str| {
            let (_, content) = FILES.iter().find(|(known, _)| *known == name).unwrap();
            str::from_utf8(content).unwrap()
        };
        let manifest: Value = serde_json::from_str(file("manifest.json")).unwrap();
        assert_eq!(manifest["browser_specific_settings"]["gecko"]["id"], ADDON_ID);
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
        assert!(file("host.js").contains(&format!("HOST = \"{HOST_NAME}\"")));
        let version = format!("VERSION = {};", super::super::protocol::VERSION);
        assert!(file("outcome.js").contains(&version));
        assert!(verifier::Policy::default().maximum_message_size == 64 << 20);
        assert!(file("outcome.js").contains("MESSAGE_LIMIT = 64 * 1024 * 1024;"));
    }

    #[test]
    fn the_add_on_asks_for_no_permission_to_reach_out_or_to_touch_messages() {
        let manifest: Value = serde_json::from_slice(FILES[0].1).unwrap();
        assert_eq!(
            manifest["permissions"],
            serde_json::json!(["messagesRead", "nativeMessaging"])
        );
        for absent in [
            "host_permissions",
            "content_scripts",
            "experiment_apis",
            "optional_permissions",
        ] {
            assert_eq!(manifest.get(absent), None);
        }
    }
}
