//! User names and passwords, prepared so that two ways to type the same one are the same octets.

use std::fmt;

use zeroize::Zeroizing;

/// A password, prepared with SASLprep (RFC 4013). It is wiped when dropped, cannot be cloned, and does not print.
pub struct Password(Zeroizing<String>);

/// Why something is not a password. It does not say what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPassword {
    #[error("the password is empty")]
    Empty,
    #[error("the password is longer than {MAX_PASSWORD_OCTETS} octets")]
    TooLong,
    #[error("the password has a character that RFC 4013 does not allow in passwords, such as a control character")]
    Character,
}

impl Password {
    /// Prepares a password as RFC 4616 section 2 and RFC 5802 section 2.2 ask.
    ///
    /// # Errors
    /// It is empty, too long, or has a character that SASLprep forbids.
    pub fn prepare(text: &str) -> Result<Self, InvalidPassword> {
        if text.len() > MAX_PASSWORD_OCTETS {
            return Err(InvalidPassword::TooLong);
        }
        let prepared = stringprep::saslprep(text).map_err(|_| InvalidPassword::Character)?;
        // What is borrowed is the caller's to wipe; what was made here is wiped here.
        let prepared = Zeroizing::new(prepared.into_owned());
        match prepared.is_empty() {
            true => Err(InvalidPassword::Empty),
            false => Ok(Self(prepared)),
        }
    }

    /// The prepared characters, to compare or to hash them.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A user name prepared in the same way, or nothing if it is none.
pub(crate) fn prepare_user(text: &str) -> Option<String> {
    if text.len() > MAX_USER_OCTETS {
        return None;
    }
    let prepared = stringprep::saslprep(text).ok()?;
    (!prepared.is_empty()).then(|| prepared.into_owned())
}

/// Far beyond what anybody remembers, and short enough that nobody can make us hash megabytes.
const MAX_PASSWORD_OCTETS: usize = 1024;
/// RFC 4616 section 2 lets a server take less than its 255; mail addresses have up to 254 octets.
const MAX_USER_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4013 section 3.
    #[test]
    fn passwords_are_prepared() {
        for (typed, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("p\u{e4}ss w\u{a0}rd", "p\u{e4}ss w rd"),
        ] {
            assert_eq!(
                Password::prepare(typed).map(|p| p.expose().to_owned()),
                Ok(prepared.to_owned())
            );
            assert_eq!(prepare_user(typed).as_deref(), Some(prepared));
        }
    }

    #[test]
    fn what_cannot_be_prepared_is_refused() {
        let long = "x".repeat(MAX_PASSWORD_OCTETS + 1);
        for (typed, fault) in [
            ("", InvalidPassword::Empty),
            ("\u{ad}", InvalidPassword::Empty),
            ("\u{7}", InvalidPassword::Character),
            ("a\0b", InvalidPassword::Character),
            ("\u{627}1", InvalidPassword::Character),
            ("\u{202e}x", InvalidPassword::Character),
            ("\u{fffd}", InvalidPassword::Character),
            (long.as_str(), InvalidPassword::TooLong),
        ] {
            assert_eq!(Password::prepare(typed).map(|_| ()), Err(fault), "{typed:?}");
            assert_eq!(prepare_user(typed), None, "{typed:?}");
        }
        assert_eq!(prepare_user(&"x".repeat(MAX_USER_OCTETS + 1)), None);
    }

    #[test]
    fn a_password_does_not_print() {
        let password = Password::prepare("correct horse").expect("a password");
        assert_eq!(format!("{password:?} {password:#?}"), "Password(..) Password(..)");
        for error in [
            InvalidPassword::Empty,
            InvalidPassword::TooLong,
            InvalidPassword::Character,
        ] {
            assert!(!error.to_string().is_empty());
        }
    }
}
