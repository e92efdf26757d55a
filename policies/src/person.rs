//! A natural person and the role an organization gives them.

use std::fmt;

use thiserror::Error;

use crate::text::{self, Flaw};

/// A person's name as validated under section 3.2.4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    given_name: Option<String>,
    surname: String,
}

impl Person {
    /// A person with the name in their identity document.
    ///
    /// # Errors
    ///
    /// [`InvalidPerson`] if there is no surname (section 7.1.4.2.2 e: a single legal name goes into the surname), or a
    /// name has more than 64 characters, characters that deceive, or nothing but punctuation.
    pub fn new(given_name: Option<&str>, surname: Option<&str>) -> Result<Self, InvalidPerson> {
        let check = |part, name| {
            text::check(name, NAME_LIMIT).map_err(|flaw| InvalidPerson::Name {
                part,
                flaw: flaw.to_string(),
            })
        };
        let surname = match (given_name, surname) {
            (_, Some(surname)) => surname,
            (Some(_), None) => return Err(InvalidPerson::OnlyGivenName),
            (None, None) => return Err(InvalidPerson::NoName),
        };
        check("surname", surname)?;
        if let Some(given_name) = given_name {
            check("given name", given_name)?;
        }
        Ok(Self {
            given_name: given_name.map(str::to_owned),
            surname: surname.to_owned(),
        })
    }

    /// The given names, if the person has any.
    #[must_use]
    pub fn given_name(&self) -> Option<&str> {
        self.given_name.as_deref()
    }

    /// The surname, or the only name. Always there; an `Option` because certificates of others may lack it.
    #[must_use]
    pub fn surname(&self) -> Option<&str> {
        Some(&self.surname)
    }

    /// Given names and surname with a space between.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.given_name {
            Some(given_name) => format!("{given_name} {}", self.surname),
            None => self.surname.clone(),
        }
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_name())
    }
}

/// An organizational role or regulated profession, for the attribute `title` of section 7.1.4.2.2 i.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Title(String);

impl Title {
    /// A title of at most 64 characters (RFC 5280 appendix A.1, ub-title).
    ///
    /// # Errors
    ///
    /// [`InvalidPerson::Name`] if it is too long, deceives, or says nothing.
    pub fn new(title: &str) -> Result<Self, InvalidPerson> {
        text::check(title, NAME_LIMIT).map_err(|flaw: Flaw| InvalidPerson::Name {
            part: "title",
            flaw: flaw.to_string(),
        })?;
        Ok(Self(title.to_owned()))
    }
}

impl AsRef<str> for Title {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be certified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPerson {
    /// Neither a given name nor a surname.
    #[error("a person needs a name")]
    NoName,
    /// A given name alone.
    #[error("a person with a single legal name gives it as the surname (BR 7.1.4.2.2 e)")]
    OnlyGivenName,
    /// A part of the name is not fit for a certificate.
    #[error("the {part} {flaw}")]
    Name {
        /// Which part.
        part: &'static str,
        /// What is wrong with it, continuing the sentence.
        flaw: String,
    },
}

/// RFC 5280 appendix A.1: ub-common-name and ub-title. X.520 gives surname the same bound.
const NAME_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names() {
        assert_eq!(
            Person::new(Some("Ada"), Some("Lovelace")).unwrap().full_name(),
            "Ada Lovelace"
        );
        assert_eq!(Person::new(None, Some("Sukarno")).unwrap().full_name(), "Sukarno");
        assert_eq!(
            Title::new("Chief Financial Officer").unwrap().as_ref(),
            "Chief Financial Officer"
        );
    }

    #[test]
    fn names_that_cannot_be_certified_are_refused() {
        assert_eq!(Person::new(None, None), Err(InvalidPerson::NoName));
        assert_eq!(Person::new(Some("Ada"), None), Err(InvalidPerson::OnlyGivenName));
        for (given_name, surname) in [
            (Some(""), "Lovelace"),
            (Some("-"), "Lovelace"),
            (Some("Ada"), "."),
            (Some("Ada"), "Love\nlace"),
            (Some("Ada\u{202e}"), "Lovelace"),
            (Some("Ada"), " Lovelace"),
            (Some("Ada"), "n/a"),
        ] {
            assert!(matches!(
                Person::new(given_name, Some(surname)),
                Err(InvalidPerson::Name { .. })
            ));
        }
        assert!(Person::new(None, Some(&"x".repeat(65))).is_err());
        assert!(Person::new(None, Some(&"x".repeat(64))).is_ok());
        for title in ["", " ", "-", "CEO\u{0}", &"x".repeat(65)] {
            assert!(Title::new(title).is_err(), "{title:?}");
        }
    }
}
