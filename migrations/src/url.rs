//! From the URL in a config file to the database it names.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where the database is. `Display` never shows a password.
#[derive(Clone)]
pub(crate) enum Location {
    Sqlite { path: PathBuf },
    Postgres { url: String },
}

impl Location {
    /// Parses a URL; a relative SQLite path starts at `folder`.
    pub(crate) fn parse(url: &str, folder: &Path) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains(":memory:") || path.contains('\0') {
                    return Err(Error::NoFile { url: url.to_owned() });
                }
                Ok(Self::Sqlite {
                    path: folder.join(path),
                })
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Postgres {
                url: with_connect_timeout(url),
            }),
            _ => Err(Error::UnknownScheme {
                url: without_password(url),
            }),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "{}", path.display()),
            Self::Postgres { url } => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// libpq waits for a silent server for ever unless told otherwise.
fn with_connect_timeout(url: &str) -> String {
    if url.contains("connect_timeout=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}connect_timeout={CONNECT_TIMEOUT_SECONDS}")
}

/// The URL as it may be shown: no password between `:` and `@`, and no query, which may hold one too.
fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((user, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}

const CONNECT_TIMEOUT_SECONDS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match Location::parse(url, Path::new("/data")) {
            Ok(location) => location.to_string(),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn sqlite_paths_start_at_the_folder() {
        assert_eq!(shown("sqlite:ca.sqlite"), "/data/ca.sqlite");
        assert_eq!(shown("sqlite://ca.sqlite"), "/data/ca.sqlite");
        assert_eq!(shown("sqlite:///var/ca.sqlite"), "/var/ca.sqlite");
        assert_eq!(shown("sqlite:/var/ca.sqlite"), "/var/ca.sqlite");
    }

    #[test]
    fn other_schemes_are_refused_with_what_to_write() {
        for url in [
            "mysql://localhost/ca",
            "ca.sqlite",
            "",
            "postgres",
            "postgres:ca",
            "SQLITE:x",
            "/var/ca.sqlite",
        ] {
            assert!(
                shown(url).contains("is not understood: write `sqlite:PATH`"),
                "{url}: {}",
                shown(url)
            );
        }
    }

    #[test]
    fn sqlite_without_a_file_is_refused() {
        for url in ["sqlite:", "sqlite://", "sqlite::memory:", "sqlite:a\0b"] {
            assert!(shown(url).contains("names no file"), "{url:?}: {}", shown(url));
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for url in [
            "postgres://ca:se:cret@db.example/ca",
            "postgres://ca:se@cret@db.example/ca",
            "postgres://ca@db.example/ca?password=secret",
        ] {
            assert_eq!(shown(url), "postgres://ca@db.example/ca");
        }
        assert!(!shown("mysql://ca:secret@db/ca").contains("secret"));
        let location = Location::parse("postgres://ca:secret@db/ca", Path::new("/")).unwrap();
        assert!(!format!("{location:?}").contains("secret"));
    }

    #[test]
    fn a_connect_timeout_is_added_once() {
        assert_eq!(
            with_connect_timeout("postgres://db/ca"),
            "postgres://db/ca?connect_timeout=10"
        );
        assert_eq!(
            with_connect_timeout("postgres://db/ca?sslmode=require"),
            "postgres://db/ca?sslmode=require&connect_timeout=10"
        );
        assert_eq!(
            with_connect_timeout("postgres://db/ca?connect_timeout=3"),
            "postgres://db/ca?connect_timeout=3"
        );
    }
}
