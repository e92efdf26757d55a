//! Makes the data folder of a gateway: configuration, sealing key, key store and database, or nothing at all.

use std::path::{Path, PathBuf};

use keys::SoftwareKeyStore;
use keys::sealing::SealingKey;
use keys::sealing::source::SealingKeySource;
use migrations::Pool;

use crate::config::Config;
use crate::error::Error;

/// Creates `folder`, which must not exist or be empty, with the given text as its `gateway.toml`.
///
/// Everything is made in a neighbouring folder that gets its name last, so a half-made gateway is never found. Blocks.
///
/// # Errors
/// The folder is in use, the configuration is not valid, a file cannot be written.
pub fn create(folder: &Path, configuration: &str) -> Result<Config, Error> {
    let file_error = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    };
    let folder = std::path::absolute(folder).map_err(file_error("find", folder))?;
    let config_path = folder.join(Config::FILE_NAME);
    if config_path.exists() {
        return Err(Error::AlreadyInitialized { folder });
    }
    let config = Config::parse(&folder, configuration).map_err(|reason| Error::Configuration {
        path: config_path,
        reason,
    })?;
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::NotEmpty { folder });
    }
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let unfinished = folder.with_file_name(format!(".{name}.unfinished-{}", std::process::id()));
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(file_error("create", parent))?;
    }
    create_private_folder(&unfinished).map_err(file_error("create", &unfinished))?;
    let made = fill(&unfinished, configuration)
        .and_then(|()| std::fs::rename(&unfinished, &folder).map_err(file_error("create", &folder)));
    if let Err(error) = made {
        if let Err(source) = std::fs::remove_dir_all(&unfinished) {
            tracing::warn!(folder = %unfinished.display(), error = %source, "an unfinished folder could not be removed");
        }
        return Err(error);
    }
    Ok(config)
}

fn fill(folder: &Path, configuration: &str) -> Result<(), Error> {
    let path = folder.join(Config::FILE_NAME);
    let config = Config::parse(folder, configuration).map_err(|reason| Error::Configuration {
        path: path.clone(),
        reason,
    })?;
    std::fs::write(&path, configuration).map_err(|source| Error::File {
        action: "write",
        path,
        source,
    })?;
    let key_error = |path: &PathBuf| {
        let key = path.display().to_string();
        move |source| Error::Key { key, source }
    };
    let sealing_key = match &config.keys.sealing_key {
        SealingKeySource::File(path) => SealingKey::generate_file(path).map_err(key_error(path))?,
        // It is there already.
        source @ SealingKeySource::Descriptor(variable) => {
            SealingKey::open_source(source.clone()).map_err(key_error(&PathBuf::from(variable)))?
        }
    };
    SoftwareKeyStore::create(&config.keys.folder, sealing_key).map_err(key_error(&config.keys.folder))?;
    if config.database.starts_with("sqlite:") {
        // Another database may not be there yet; it is prepared at the first start.
        Pool::open(&config.database)?;
    }
    Ok(())
}

fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "hostname = \"gateway.example.com\"\n[next_hop]\naddress = \"127.0.0.1:25\"\n[ca]\nurl = \"https://ca.example.com\"\n";

    #[test]
    fn a_folder_is_made_whole_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/gateway");
        let config = create(&folder, CONFIGURATION).unwrap();
        assert_eq!(config.folder, folder);
        for made in ["gateway.toml", "sealing.key", "keys", "gateway.sqlite"] {
            assert!(folder.join(made).exists(), "{made}");
        }
        assert!(matches!(
            create(&folder, CONFIGURATION),
            Err(Error::AlreadyInitialized { .. })
        ));

        let other = parent.path().join("other");
        assert!(matches!(
            create(&other, "colour = \"red\""),
            Err(Error::Configuration { .. })
        ));
        let no_database = CONFIGURATION.replace("hostname", "database = \"sqlite:missing/folder/db\"\nhostname");
        assert!(matches!(create(&other, &no_database), Err(Error::Database(_))));
        assert!(!other.exists());
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("letters.txt"), "mine").unwrap();
        assert!(matches!(create(&other, CONFIGURATION), Err(Error::NotEmpty { .. })));
        let left: Vec<_> = parent
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
