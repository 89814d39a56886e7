//! JSON with places, read to the end whatever is wrong with it.
//!
//! A library stops at the first fault. A registry is written by hand and deserves all of them at once, each named for
//! what it is (a comment, a trailing comma, Python's `True`). What this scanner accepts is exactly JSON; it knows
//! nothing of registries. Time and memory are linear in the text, and depth is bounded.
mod borrowed;
mod brackets;
mod canonical;
mod conflict;
mod cursor;
mod findings;
mod lexer;
mod line;
mod node;
mod number;
mod outlook;
mod parser;
mod repair;
mod string;
mod word;
mod write;

pub(crate) use borrowed::{Borrowed, Members};
pub use canonical::canonical;
pub(crate) use cursor::{Cursor, Number};
pub use findings::{Finding, Step, check};
pub use line::{common_length, is_hard_to_read, parts, push_number, push_text};
pub(crate) use node::{Kind, Member, Node};
pub(crate) use parser::{Root, parse, parse_at, parse_items};
pub use write::{to_json, to_json_pretty};

use crate::problem::Faults;
use crate::report::Report;
use crate::text::decode;
use crate::value::Value;

/// Reads any JSON text; `source` is its name in the report.
///
/// ```
/// use clemcore::{json, value::Value};
/// let (value, _) = json::read("x.json", b"[1, 2.5]").unwrap();
/// assert_eq!(value, Value::List(vec![Value::Int(1), Value::Float(2.5)]));
/// assert_eq!(json::read("x.json", b"[1,,]").unwrap_err().problems.len(), 2);
/// ```
///
/// # Errors
/// All faults, where there is any that is an error. With the value comes what was found beside.
pub fn read(source: &str, bytes: &[u8]) -> Result<(Value, Report), Report> {
    let mut faults = Faults::default();
    let decoded = decode::decode(bytes, &mut faults);
    let text = decoded.as_deref().unwrap_or_default();
    let value = decoded.as_deref().and_then(|text| parse(text, &mut faults)).map(|root| root.to_value());
    let report = faults.into_report(&source.into(), text);
    match value {
        Some(value) if report.is_usable() => Ok((value, report)),
        _ => Err(report),
    }
}

/// How deep lists and objects may be nested.
pub const MAX_DEPTH: usize = 128;
