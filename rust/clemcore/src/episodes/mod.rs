//! What was recorded of episodes, read from the bytes that a run keeps of them.
//!
//! ```text
//! a body of a store ─ body ─ frames ─┐
//! a file of requests ── requests ────┴─ calls
//! ```
//! These readers are quick and say nothing: where bytes are not exactly as clemcore writes them, they give up, and the
//! readers in Python say what is wrong.
mod body;
mod frames;
mod requests;

pub use body::{needed, unpacked};
pub use frames::{Frames, StoredCall};
pub use requests::{RequestedCall, requested_calls};
