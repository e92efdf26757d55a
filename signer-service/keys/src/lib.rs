//! The one place that touches private keys and sealing keys.
