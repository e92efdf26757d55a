//! What the return values of a module mean for us.

use cryptoki::error::{Error, RvError};

use crate::KeyError;

/// Why an operation in a session did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The module said no.
    Module(Error),
    /// The module said no in the middle of something that must not be done twice.
    Halfway(Error),
    /// The token is gone; the error says what is missing.
    Gone(KeyError),
    /// We know the reason, and that connecting anew would not help.
    Final(KeyError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Final(error)
    }
}

/// What to do about a return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The session, the login or the token went away: connect anew.
    Reconnect,
    /// Something is used up at the moment: try again later.
    Wait,
    /// Nothing that this program could do.
    Nothing,
}

pub(super) fn remedy(error: &Error) -> Remedy {
    let Error::Pkcs11(value, _) = error else {
        return Remedy::Nothing;
    };
    match value {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized
        // These two say nothing, and it is what modules return when the line to a device is cut.
        | RvError::GeneralError
        | RvError::FunctionFailed => Remedy::Reconnect,
        RvError::HostMemory | RvError::SessionCount | RvError::FunctionCanceled => Remedy::Wait,
        _ => Remedy::Nothing,
    }
}

/// Whether the module returned this value.
pub(super) fn is(error: &Error, expected: RvError) -> bool {
    matches!(error, Error::Pkcs11(value, _) if *value == expected)
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn check(value: RvError, expected: Remedy) {
        assert_eq!(remedy(&Error::Pkcs11(value, Function::Sign)), expected, "{value:?}");
    }

    #[test]
    fn a_lost_session_or_token_is_worth_connecting_again() {
        check(RvError::SessionHandleInvalid, Remedy::Reconnect);
        check(RvError::DeviceRemoved, Remedy::Reconnect);
        check(RvError::TokenNotPresent, Remedy::Reconnect);
        check(RvError::UserNotLoggedIn, Remedy::Reconnect);
        check(RvError::CryptokiNotInitialized, Remedy::Reconnect);
    }

    #[test]
    fn nothing_about_a_pin_is_ever_tried_again() {
        for value in [
            RvError::PinIncorrect,
            RvError::PinInvalid,
            RvError::PinLenRange,
            RvError::PinExpired,
            RvError::PinLocked,
            RvError::UserPinNotInitialized,
        ] {
            check(value, Remedy::Nothing);
        }
    }

    #[test]
    fn what_the_token_will_always_refuse_is_not_tried_again() {
        check(RvError::KeyFunctionNotPermitted, Remedy::Nothing);
        check(RvError::MechanismInvalid, Remedy::Nothing);
        check(RvError::TokenWriteProtected, Remedy::Nothing);
        assert_eq!(remedy(&Error::NotSupported), Remedy::Nothing);
        assert_eq!(remedy(&Error::NullFunctionPointer), Remedy::Nothing);
    }
}
