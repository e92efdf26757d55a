//! The signing gateway: mail in, signed mail out.
