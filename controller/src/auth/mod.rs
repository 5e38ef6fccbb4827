//! Who is calling: passwords, sessions, tokens and operator certificates, all of them rows that can be revoked.

mod caller;

pub(crate) use caller::{Caller, Source};
