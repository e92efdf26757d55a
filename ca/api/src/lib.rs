//! Wire types of the certificate authority and a small client for them.
