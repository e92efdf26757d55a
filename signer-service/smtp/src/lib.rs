//! SMTP receiving and sending sessions.
