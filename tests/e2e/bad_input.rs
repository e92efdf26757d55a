//! Bad input: one clear sentence, the right exit status, nothing half-made.
