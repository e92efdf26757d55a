//! Keys in a real token, that of SoftHSM: what works, what is refused, and what happens when the token goes away.

mod keys_in_a_token;
mod lost_tokens;
mod refusals;
mod support;
