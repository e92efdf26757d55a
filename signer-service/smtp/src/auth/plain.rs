//! The message of PLAIN. See RFC 4616 section 2.

use zeroize::Zeroizing;

use super::password::{Password, prepare_user};

/// Why there is no user and password in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainFault {
    /// It does not follow the grammar.
    Malformed,
    /// Nobody has such a name or password, or one asks to act as another.
    Refused,
}

/// Takes `[authzid] NUL authcid NUL passwd` apart.
pub(crate) fn parse(message: &[u8]) -> Result<(String, Password), PlainFault> {
    let text = std::str::from_utf8(message).map_err(|_| PlainFault::Malformed)?;
    let mut parts = text.split('\0');
    let (Some(asks_for), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(PlainFault::Malformed);
    };
    if user.is_empty() || password.is_empty() {
        return Err(PlainFault::Malformed);
    }
    if !asks_for.is_empty() && asks_for != user {
        return Err(PlainFault::Refused);
    }
    prepare(user, password)
}

/// What PLAIN and LOGIN have in common: two texts that become a name and a password.
pub(crate) fn prepare(user: &str, password: &str) -> Result<(String, Password), PlainFault> {
    let user = prepare_user(user).ok_or(PlainFault::Refused)?;
    let password = Password::prepare(password).map_err(|_| PlainFault::Refused)?;
    Ok((user, password))
}

/// The message of a client that acts as itself.
pub(crate) fn message(user: &str, password: &Password) -> Zeroizing<String> {
    let mut message = Zeroizing::new(String::with_capacity(user.len() + password.expose().len() + 2));
    for part in ["\0", user, "\0", password.expose()] {
        message.push_str(part);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], expected: Result<(&str, &str), PlainFault>) {
        let result = parse(message).map(|(user, password)| (user, password.expose().to_owned()));
        let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
        assert_eq!(result, expected, "{}", message.escape_ascii());
    }

    #[test]
    fn user_and_password_are_found() {
        check(b"\0tim\0tanstaaftanstaaf", Ok(("tim", "tanstaaftanstaaf")));
        check(b"tim\0tim\0x y", Ok(("tim", "x y")));
        let password = Password::prepare("x y").expect("a password");
        check(message("tim", &password).as_bytes(), Ok(("tim", "x y")));
    }

    #[test]
    fn anything_else_is_refused() {
        use PlainFault::{Malformed, Refused};
        for message in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0tim\0",
            b"\0\0x",
            b"\0\0",
            b"\0tim\0x\0",
            b"\0tim\0x\0y",
            b"\0tim\0\xff",
        ] {
            check(message, Err(Malformed));
        }
        for message in [
            // The example of RFC 4616 section 4, where Kurt wants to be Ursel.
            &b"Ursel\0Kurt\0xipj3plmq"[..],
            b"TIM\0tim\0x",
            b"\0ti\x07m\0x",
            b"\0tim\0x\r\n",
            "\0tim\0\u{202e}".as_bytes(),
        ] {
            check(message, Err(Refused));
        }
        check(format!("\0{}\0x", "u".repeat(256)).as_bytes(), Err(Refused));
        check(format!("\0u\0{}", "x".repeat(1025)).as_bytes(), Err(Refused));
    }
}
