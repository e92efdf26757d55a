//! The whole product, as its user meets it: the executable, real mail over loopback, other people's software as judges.

mod bad_input;
mod quickstart;
mod services;
mod support;
mod thunderbird;
mod verify;
mod verify_many;
