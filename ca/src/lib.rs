//! The certificate authority: orders, cases, issuance, revocation, audit.
