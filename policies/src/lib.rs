//! The vocabulary and the rules: tiers, mailboxes, evidence, certificate profiles and lints.
