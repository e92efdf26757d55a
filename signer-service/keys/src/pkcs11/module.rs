//! The shared library, of which a process has one copy however many stores use it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};

use crate::KeyError;

/// A module that was loaded.
///
/// It stays loaded until the process ends: few modules survive being unloaded. What can be undone is its
/// initialization, and that is how a connection to a device that went away is made anew. For this no call may be under
/// way, so every call happens while a [`Running`] is held.
#[derive(Debug)]
pub(super) struct Module {
    path: PathBuf,
    state: RwLock<State>,
    /// Held while keys are made, so that no two stores of this process give away one name at the same time.
    making: Mutex<()>,
}

#[derive(Debug)]
struct State {
    context: Pkcs11,
    initialized: bool,
    /// Counts initializations. Handles of sessions and objects belong to one of them.
    generation: u64,
}

impl Module {
    /// Loads and initializes the module, or finds it loaded.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, KeyError> {
        // One name per file, and never a name that is searched in the folders of the system.
        let path = fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => KeyError::FileMissing {
                what: "PKCS#11 module",
                path: path.into(),
            },
            _ => KeyError::file("read", path)(error),
        })?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&path) {
            return Ok(module.clone());
        }
        let context = Pkcs11::new(&path).map_err(unusable(&path))?;
        let module = Arc::new(Self {
            path: path.clone(),
            state: RwLock::new(State {
                context,
                initialized: false,
                generation: 0,
            }),
            making: Mutex::new(()),
        });
        drop(module.running()?);
        loaded.insert(path, module.clone());
        Ok(module)
    }

    /// Permission to call functions of the module.
    pub(super) fn running(&self) -> Result<Running<'_>, KeyError> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.initialized {
                return Ok(Running(state));
            }
            drop(state);
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if !state.initialized {
                state.initialize(&self.path)?;
            }
        }
    }

    /// Takes the module down and up again, unless somebody has done so since the given generation.
    ///
    /// All sessions of the process end. Waits until nobody holds a [`Running`]; whoever calls this must not hold one.
    pub(super) fn restart(&self, generation: u64) -> Result<(), KeyError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.initialized && state.generation == generation {
            // An error means that it is down already, or as good as that; what counts is that it comes up.
            let _ = state.context.clone().finalize();
            state.initialized = false;
            state.initialize(&self.path)?;
        }
        Ok(())
    }

    /// Lets others wait who make keys in this process.
    pub(super) fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl State {
    fn initialize(&mut self, path: &Path) -> Result<(), KeyError> {
        // Many threads of ours call it at once, and the usual mutexes of the system are fine.
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        self.context.initialize(arguments).map_err(unusable(path))?;
        self.initialized = true;
        self.generation += 1;
        Ok(())
    }
}

/// As long as this lives, the module stays initialized.
#[derive(Debug)]
pub(super) struct Running<'m>(RwLockReadGuard<'m, State>);

impl Running<'_> {
    pub(super) fn context(&self) -> &Pkcs11 {
        &self.0.context
    }

    /// Which initialization this is.
    pub(super) fn generation(&self) -> u64 {
        self.0.generation
    }
}

fn unusable(path: &Path) -> impl FnOnce(cryptoki::error::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::ModuleUnusable {
        path,
        source: source.into(),
    }
}

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());
