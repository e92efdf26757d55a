//! The sessions with one token: opened when needed, logged in, given to one thread at a time, replaced when lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;

use super::failure::{Failure, Remedy, is, remedy};
use super::module::{Module, Running};
use super::pin::PinFile;
use super::settings::{Pkcs11Settings, Token};
use crate::KeyError;

/// The sessions with one token.
///
/// The user is logged in to a token per process, not per session, and logged out with the last session. So sessions
/// stay open when they are given back, and each new one is asked whether somebody has to log in.
#[derive(Debug)]
pub(super) struct Pool {
    module: Arc<Module>,
    token: Token,
    limit: usize,
    /// Whether there has been a session: from then on, a token that is missing has gone and may come back.
    connected: AtomicBool,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    /// Which initialization of the module the rest belongs to.
    generation: u64,
    slot: Option<Slot>,
    idle: Vec<Session>,
    /// How many sessions there are, in use and idle.
    open: usize,
    /// How many there may be: fewer than the settings say, if the token allows fewer.
    limit: usize,
    pin_file: PinFile,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Find and use keys.
    Use,
    /// Make and remove keys.
    Change,
}

impl Pool {
    pub(super) fn new(module: Arc<Module>, settings: &Pkcs11Settings) -> Self {
        let limit = usize::from(settings.max_sessions).max(1);
        Self {
            module,
            token: settings.token.clone(),
            limit,
            connected: AtomicBool::new(false),
            state: Mutex::new(State {
                generation: 0,
                slot: None,
                idle: Vec::new(),
                open: 0,
                limit,
                pin_file: PinFile::new(&settings.pin_file),
            }),
            returned: Condvar::new(),
        }
    }

    /// Which token this is about, for errors.
    pub(super) fn place(&self) -> String {
        format!("the {}", self.token)
    }

    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    /// Does something in a session. `action` says in errors what the token did not do.
    ///
    /// When it turns out that the session, the login or the token is lost, the module is initialized anew, and
    /// `operation` is called a second and last time. So it must be fit to be done again; from where it is not, it
    /// fails with [`Failure::Halfway`].
    pub(super) fn with_session<T>(
        &self,
        access: Access,
        action: &'static str,
        operation: impl Fn(&Lease<'_>) -> Result<T, Failure>,
    ) -> Result<T, KeyError> {
        let (generation, failure) = match self.attempt(access, &operation)? {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let lost = match &failure {
            Failure::Module(error) | Failure::Halfway(error) => remedy(error) == Remedy::Reconnect,
            // Some modules know only the tokens that were there when they were initialized.
            Failure::Gone(_) => true,
            Failure::Final(_) => false,
        };
        if !lost {
            return Err(self.error(action, failure));
        }
        self.module
            .restart(generation)
            .map_err(|error| self.unavailable(error.into()))?;
        if let Failure::Halfway(_) = failure {
            return Err(self.error(action, failure));
        }
        match self.attempt(access, &operation)? {
            Ok(value) => Ok(value),
            Err((_, failure)) => Err(self.error(action, failure)),
        }
    }

    /// One try. The outer error is that the module does not run; the inner one names the initialization it belongs to.
    fn attempt<T>(
        &self,
        access: Access,
        operation: impl Fn(&Lease<'_>) -> Result<T, Failure>,
    ) -> Result<Result<T, (u64, Failure)>, KeyError> {
        let running = match self.module.running() {
            Ok(running) => running,
            Err(error) if self.connected.load(Ordering::Relaxed) => return Err(self.unavailable(error.into())),
            Err(error) => return Err(error),
        };
        let generation = running.generation();
        let outcome = self.take(&running, access).and_then(|session| {
            let mut lease = Lease {
                pool: self,
                running: &running,
                access,
                session: Some(session),
            };
            let value = operation(&lease)?;
            lease.give_back();
            Ok(value)
        });
        Ok(outcome.map_err(|failure| (generation, failure)))
    }

    /// A session for one thread, new or idle. Waits when all are in use.
    fn take(&self, running: &Running<'_>, access: Access) -> Result<Session, Failure> {
        let mut state = self.lock();
        if state.generation != running.generation() {
            // What is left are numbers, and the module may have given them to others by now: not to be closed. Nobody
            // uses one of them, since each of their users held the module running.
            state.idle.clear();
            state.open = 0;
            state.slot = None;
            state.limit = self.limit;
            state.generation = running.generation();
        }
        loop {
            // Sessions that may change something are not kept.
            if access == Access::Use
                && let Some(session) = state.idle.pop()
            {
                return Ok(session);
            }
            if state.open >= state.limit
                && let Some(session) = state.idle.pop()
            {
                close(session);
                state.open -= 1;
            }
            if state.open < state.limit {
                match self.open_session(&mut state, running, access) {
                    // The token has enough, and some of them are ours: those will do.
                    Err(Failure::Module(error)) if is(&error, RvError::SessionCount) && state.open > 0 => {
                        state.limit = state.open;
                    }
                    Err(failure) => return Err(failure),
                    Ok(session) => {
                        state.open += 1;
                        self.connected.store(true, Ordering::Relaxed);
                        return Ok(session);
                    }
                }
            }
            let (guard, waited) = self
                .returned
                .wait_timeout_while(state, LONGEST_WAIT, |state| {
                    state.idle.is_empty() && state.open >= state.limit
                })
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() {
                return Err(Failure::Final(KeyError::Unavailable {
                    what: format!("a session with {} (all are busy)", self.place()),
                    source: None,
                }));
            }
        }
    }

    /// Opens a session while holding the lock, so that one PIN is never sent by two threads.
    fn open_session(&self, state: &mut State, running: &Running<'_>, access: Access) -> Result<Session, Failure> {
        let slot = match state.slot {
            Some(slot) => slot,
            None => self.find_token(running)?,
        };
        let context = running.context();
        let session = match access {
            Access::Use => context.open_ro_session_no_drop(slot),
            Access::Change => context.open_rw_session_no_drop(slot),
        }?;
        match self.log_in(state, running, slot, &session) {
            Ok(()) => {
                state.slot = Some(slot);
                Ok(session)
            }
            Err(failure) => {
                close(session);
                Err(failure)
            }
        }
    }

    fn log_in(&self, state: &mut State, running: &Running<'_>, slot: Slot, session: &Session) -> Result<(), Failure> {
        if let SessionState::RoUser | SessionState::RwUser = session.get_session_info()?.session_state() {
            return Ok(());
        }
        let token = self.place();
        let about = running.context().get_token_info(slot)?;
        if about.user_pin_locked() {
            return Err(KeyError::PinLocked { token }.into());
        }
        // A service that is started again and again with a wrong PIN would lock the token.
        if about.user_pin_final_try() {
            return Err(KeyError::PinLastTry { token }.into());
        }
        let pin = state.pin_file.read(&token)?;
        match session.login_with_raw(UserType::User, &pin.for_login()) {
            Ok(()) => Ok(()),
            Err(error) if is(&error, RvError::UserAlreadyLoggedIn) => Ok(()),
            Err(error) if is(&error, RvError::PinLocked) => Err(KeyError::PinLocked { token }.into()),
            Err(error)
                if [RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange]
                    .into_iter()
                    .any(|value| is(&error, value)) =>
            {
                Err(state.pin_file.refuse(pin, &token).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The slot that the token is in.
    fn find_token(&self, running: &Running<'_>) -> Result<Slot, Failure> {
        let mut labels = Vec::new();
        let mut matching = Vec::new();
        for slot in running.context().get_slots_with_token()? {
            // Whatever is wrong with another token does not matter here.
            let Ok(about) = running.context().get_token_info(slot) else {
                continue;
            };
            // One that is blank yet, as SoftHSM always shows one.
            if !about.token_initialized() {
                continue;
            }
            let matches = match &self.token {
                Token::Label(label) => about.label() == label,
                Token::Slot(number) => slot.id() == *number,
            };
            if matches {
                matching.push(slot);
            }
            labels.push(about.label().to_owned());
        }
        match (matching.as_slice(), &self.token) {
            ([slot], _) => Ok(*slot),
            ([_, ..], Token::Label(label)) => Err(Failure::Final(KeyError::TokenAmbiguous {
                label: label.clone(),
                slots: matching.iter().map(Slot::id).collect(),
            })),
            _ => Err(Failure::Gone(KeyError::TokenNotFound {
                token: self.token.to_string(),
                module: self.module.path().into(),
                found: labels,
            })),
        }
    }

    /// What to tell the caller after the last try.
    fn error(&self, action: &'static str, failure: Failure) -> KeyError {
        let was_there = self.connected.load(Ordering::Relaxed);
        explain(self.place(), was_there, action, failure)
    }

    fn unavailable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> KeyError {
        KeyError::Unavailable {
            what: self.place(),
            source: Some(source),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // When the module is down, there are no sessions.
        let Ok(running) = self.module.running() else {
            return;
        };
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.generation == running.generation() {
            state.idle.drain(..).for_each(close);
        }
    }
}

/// A session in the hands of one thread.
#[derive(Debug)]
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    running: &'p Running<'p>,
    access: Access,
    /// Taken out when it goes back.
    session: Option<Session>,
}

impl Lease<'_> {
    pub(super) fn session(&self) -> &Session {
        // It is there until `give_back` or `drop`, after which nobody can call this.
        self.session.as_ref().expect("the session is still here")
    }

    /// Makes sure that the token is there and the user logged in. To be asked before something counts as not found:
    /// a token hides private keys from everybody who is not logged in, and some modules go on answering for a token
    /// that is gone, as if it were empty.
    pub(super) fn check_connected(&self) -> Result<(), Error> {
        let about = self.session().get_session_info()?;
        self.running.context().get_token_info(about.slot_id())?;
        match about.session_state() {
            SessionState::RoUser | SessionState::RwUser => Ok(()),
            _ => Err(Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects)),
        }
    }

    /// Which initialization of the module the handles of objects belong to.
    pub(super) fn generation(&self) -> u64 {
        self.running.generation()
    }

    fn give_back(&mut self) {
        if self.access == Access::Use
            && let Some(session) = self.session.take()
        {
            self.pool.lock().idle.push(session);
            self.pool.returned.notify_one();
        }
    }
}

impl Drop for Lease<'_> {
    /// A session in which something went wrong may be in the middle of an operation: it is closed, not used again.
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let mut state = self.pool.lock();
            close(session);
            state.open -= 1;
            self.pool.returned.notify_one();
        }
    }
}

/// The error for a failure that is left to the caller. A token that is missing may come back if it `was_there`.
fn explain(token: String, was_there: bool, action: &'static str, failure: Failure) -> KeyError {
    let unavailable = |token, source| KeyError::Unavailable {
        what: token,
        source: Some(source),
    };
    match failure {
        Failure::Final(error) => error,
        Failure::Gone(error) if was_there => unavailable(token, error.into()),
        Failure::Gone(error) => error,
        Failure::Module(error) | Failure::Halfway(error) => match remedy(&error) {
            Remedy::Reconnect | Remedy::Wait => unavailable(token, error.into()),
            Remedy::Nothing if is(&error, RvError::TokenWriteProtected) => KeyError::TokenReadOnly { token },
            Remedy::Nothing => KeyError::TokenRefused {
                action,
                token,
                source: error.into(),
            },
        },
    }
}

/// Closes a session of the present initialization. An error means that it is closed already.
fn close(session: Session) {
    let _ = session.close();
}

/// Longer than any signature takes, and shorter than the patience of those who wait for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(value: RvError, was_there: bool) -> KeyError {
        let failure = Failure::Module(Error::Pkcs11(value, Function::Sign));
        explain("the token `a`".into(), was_there, "sign", failure)
    }

    #[test]
    fn a_token_that_may_not_be_written_is_a_fact_of_its_own() {
        let error = explained(RvError::TokenWriteProtected, true);
        assert!(matches!(error, KeyError::TokenReadOnly { .. }), "{error}");
        assert!(!error.is_temporary());
    }

    #[test]
    fn what_a_new_connection_or_patience_may_repair_is_temporary() {
        for value in [
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
            RvError::SessionCount,
            RvError::HostMemory,
        ] {
            assert!(explained(value, true).is_temporary(), "{value:?}");
            assert!(explained(value, false).is_temporary(), "{value:?}");
        }
    }

    #[test]
    fn what_the_token_refuses_names_the_deed_and_keeps_the_cause() {
        let error = explained(RvError::KeyFunctionNotPermitted, true);
        assert!(error.to_string().starts_with("the token `a` did not sign; "), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("Sign"), "{cause}");
        assert!(!error.is_temporary());
    }

    #[test]
    fn a_missing_token_is_temporary_only_when_it_was_there() {
        let missing = || {
            Failure::Gone(KeyError::TokenNotFound {
                token: "token `a`".into(),
                module: "/m.so".into(),
                found: Vec::new(),
            })
        };
        assert!(explain("the token `a`".into(), true, "sign", missing()).is_temporary());
        let error = explain("the token `a`".into(), false, "sign", missing());
        assert!(matches!(error, KeyError::TokenNotFound { .. }), "{error}");
    }
}
