//! JSON with places, read to the end whatever is wrong with it.
//!
//! A library stops at the first fault. A registry is written by hand and deserves all of them at once, each named for
//! what it is (a comment, a trailing comma, Python's `True`). What this scanner accepts is exactly JSON; it knows
//! nothing of registries. Time and memory are linear in the text, and depth is bounded.
mod brackets;
mod lexer;
mod node;
mod number;
mod parser;
mod repair;
mod string;
mod word;
mod write;

pub(crate) use node::{Kind, Member, Node, to_dict};
pub(crate) use parser::parse;
pub use write::{to_json, to_json_pretty};

/// How deep lists and objects may be nested.
pub const MAX_DEPTH: usize = 128;
