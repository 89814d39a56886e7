//! Methods of strings that take them apart.

use super::string::{optional, parts};
use crate::template::budget::spend;
use crate::template::builtins::args::{Args, size_or, text};
use crate::template::error::{Error, Result};
use crate::template::ops::truth::truthy;
use crate::template::text::space::{lines, words, words_back};
use crate::template::value::Value;

pub(super) fn call<'a>(owner: &Value<'a>, this: &str, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    match name {
        "splitlines" => {
            let [keep] = args.bind(name, &["keepends"], 0)?;
            // What else counts as true here differs between versions of Python.
            if !matches!(keep, Value::Missing | Value::Bool(_) | Value::Int(_)) {
                return Err(Error::unsupported("splitlines with such an argument"));
            }
            parts(owner, &lines(this, truthy(&keep))?)
        }
        "partition" | "rpartition" => {
            let [separator] = args.positional::<1>(name, 1)?;
            if matches!(separator, Value::Markup(_)) && !matches!(owner, Value::Markup(_)) {
                // The middle part is then the separator itself.
                return Err(Error::unsupported("partition by markup"));
            }
            partition(owner, this, text(&separator, name)?, name == "rpartition")
        }
        _ => {
            let [separator, limit] = args.bind(name, &["sep", "maxsplit"], 0)?;
            let limit = size_or(&limit, -1)?;
            let back = name == "rsplit";
            let ranges = match optional(&separator, name)? {
                None if back => words_back(this, limit)?,
                None => words(this, limit)?,
                Some("") => return Err(Error::value("empty separator")),
                Some(separator) if back => split_back(this, separator, limit)?,
                Some(separator) => split(this, separator, limit)?,
            };
            parts(owner, &ranges)
        }
    }
}

fn split(this: &str, separator: &str, limit: i64) -> Result<Vec<(usize, usize)>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut ranges = Vec::new();
    let mut start = 0;
    for (at, _) in this.match_indices(separator).take(limit) {
        spend(1)?;
        ranges.push((start, at));
        start = at + separator.len();
    }
    ranges.push((start, this.len()));
    Ok(ranges)
}

fn split_back(this: &str, separator: &str, limit: i64) -> Result<Vec<(usize, usize)>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut ranges = Vec::new();
    let mut end = this.len();
    while ranges.len() < limit {
        let Some(at) = this[..end].rfind(separator) else { break };
        spend(1)?;
        ranges.push((at + separator.len(), end));
        end = at;
    }
    ranges.push((0, end));
    ranges.reverse();
    Ok(ranges)
}

fn partition<'a>(owner: &Value<'a>, this: &str, separator: &str, back: bool) -> Result<Value<'a>> {
    if separator.is_empty() {
        return Err(Error::value("empty separator"));
    }
    let found = if back { this.rfind(separator) } else { this.find(separator) };
    let ranges = match found {
        Some(at) => [(0, at), (at, at + separator.len()), (at + separator.len(), this.len())],
        None if back => [(0, 0), (0, 0), (0, this.len())],
        None => [(0, this.len()), (0, 0), (0, 0)],
    };
    Value::tuple(ranges.iter().map(|(start, end)| owner.part(*start, *end)).collect())
}
