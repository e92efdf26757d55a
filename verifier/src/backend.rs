//! Which code does the arithmetic.

use crate::crypto::{Crypto, PureRust};

/// The implementation of digests and signatures. Every one gives the same verdicts; they differ in speed and in what
/// they are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Rust alone: no C compiler, no foreign code, runs wherever Rust does.
    PureRust,
    /// AWS-LC, a C library with assembly, for servers that verify much mail.
    #[cfg(feature = "fast")]
    AwsLc,
}

impl Default for Backend {
    /// The fastest one that was compiled in.
    fn default() -> Self {
        #[cfg(feature = "fast")]
        let fastest = Self::AwsLc;
        #[cfg(not(feature = "fast"))]
        let fastest = Self::PureRust;
        fastest
    }
}

impl Backend {
    /// Every backend that was compiled in.
    pub const ALL: &[Self] = &[
        Self::PureRust,
        #[cfg(feature = "fast")]
        Self::AwsLc,
    ];

    pub(crate) fn crypto(self) -> &'static dyn Crypto {
        match self {
            Self::PureRust => &PureRust,
            #[cfg(feature = "fast")]
            Self::AwsLc => &crate::crypto::AwsLc,
        }
    }
}
