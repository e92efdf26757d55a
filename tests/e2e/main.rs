//! The whole product, as its user meets it: the executable, real mail over loopback, other people's software as judges.

mod acme;
mod bad_input;
mod perspectives;
mod quickstart;
mod services;
mod support;
mod thunderbird;
mod verify;
mod verify_many;
