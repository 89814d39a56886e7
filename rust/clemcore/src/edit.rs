//! One entry put into the text of a registry; every other byte stays as it is.
//!
//! A registry is kept by hand: order, formatting and unknown keys of the entries that are not touched belong to its
//! owner. So nothing is parsed and written back; the new entry is spliced in, in the style of its neighbours.
use crate::json::to_json_pretty;
use crate::registry::{LOOKUP_SOURCE, Outline, outline};
use crate::report::{Format, Report};
use crate::value::{Dict, Value};
use std::fmt;

/// Where the entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before all others, so that it is found first.
    Front,
    /// In place of the entry of that index.
    Replace(usize),
}

/// Why an entry cannot be put in.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// The text has errors; writing over what cannot be read whole would lose it.
    Broken(Report),
    /// There is no entry of that index.
    NoSuchEntry {
        /// The index asked for.
        index: usize,
        /// How many entries there are.
        entries: usize,
    },
    /// The entry holds something that JSON cannot hold; the field that does.
    NotJson(String),
}

/// The text with `entry` in it; `None` as text makes a new file. `source` names the file in a report.
///
/// The key `lookup_source`, which loading adds, is left out.
///
/// ```
/// use clemcore::edit::{Position, upsert};
/// let entry = [("model_name", "new"), ("backend", "mock")].into_iter().collect();
/// let old = br#"[
///   {"model_name": "old",   "backend": "mock"}
/// ]
/// "#;
/// let text = upsert("r.json", Some(old), &entry, Position::Front).unwrap();
/// assert_eq!(text, r#"[
///   {
///     "model_name": "new",
///     "backend": "mock"
///   },
///   {"model_name": "old",   "backend": "mock"}
/// ]
/// "#);
/// ```
///
/// # Errors
/// See [`Refused`]; nothing is ever half done.
pub fn upsert(
    source: &str,
    text: Option<&[u8]>,
    entry: &Dict,
    position: Position,
) -> Result<String, Refused> {
    let mut entry = entry.clone();
    entry.remove(LOOKUP_SOURCE);
    if let Some(field) = not_json(&entry) {
        return Err(Refused::NotJson(field));
    }
    let Some(bytes) = text else {
        return match position {
            Position::Front => Ok(format!("[\n  {}\n]\n", written(entry, "  ", 1))),
            Position::Replace(index) => Err(Refused::NoSuchEntry { index, entries: 0 }),
        };
    };
    let outline = outline(source, bytes).map_err(Refused::Broken)?;
    match position {
        Position::Front => Ok(insert_front(&outline, entry)),
        Position::Replace(index) => match outline.entries.get(index) {
            Some(&(start, end)) => Ok(splice(&outline.text, start, end, &in_style(&outline, start, entry))),
            None => Err(Refused::NoSuchEntry { index, entries: outline.entries.len() }),
        },
    }
}

/// The field that holds what JSON cannot; `None` where all can be written.
fn not_json(dict: &Dict) -> Option<String> {
    dict.iter().find(|(_, value)| !is_json(value)).map(|(key, _)| key.to_owned())
}

fn is_json(value: &Value) -> bool {
    match value {
        Value::Opaque(_) => false,
        Value::Float(number) => number.is_finite(),
        Value::List(items) => items.iter().all(is_json),
        Value::Dict(dict) => not_json(dict).is_none(),
        _ => true,
    }
}

fn written(entry: Dict, indent: &str, level: usize) -> String {
    to_json_pretty(&Value::Dict(entry), indent, level)
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> String {
    [&text[..start], new, &text[end..]].concat()
}

fn insert_front(outline: &Outline, entry: Dict) -> String {
    let text = &outline.text;
    match (outline.list, outline.entries.first()) {
        // One object alone becomes a list of two.
        (None, Some(&(start, end))) => {
            let new = in_style(outline, start, entry);
            let both = format!("[{new},\n{}]", &text[start..end]);
            splice(text, start, end, &both)
        }
        (Some(_), Some(&(first, _))) => {
            let new = in_style(outline, first, entry);
            splice(text, first, first, &format!("{new},{}", gap_before(text, first, line_end(text))))
        }
        (list, None) => {
            let (start, end) = list.unwrap_or((text.len(), text.len()));
            let newline = line_end(text);
            let new = written(entry, "  ", 1).replace('\n', newline);
            splice(text, start, end, &format!("[{newline}  {new}{newline}]"))
        }
    }
}

/// The entry as text, indented like the place at `start`, with the line ends of the file.
fn in_style(outline: &Outline, start: usize, entry: Dict) -> String {
    let text = &outline.text;
    let margin = margin(text, start);
    let unit = if margin.is_empty() { "  " } else { margin };
    let level = usize::from(!margin.is_empty());
    written(entry, unit, level).replace('\n', line_end(text))
}

/// The blanks before `at`, if there is nothing else on its line.
fn margin(text: &str, at: usize) -> &str {
    let line = text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let before = &text[line..at];
    if before.bytes().all(|byte| matches!(byte, b' ' | b'\t')) { before } else { "" }
}

/// What separates the new entry from the one at `at`: a line break and its margin.
fn gap_before<'t>(text: &'t str, at: usize, newline: &'t str) -> String {
    format!("{newline}{}", margin(text, at))
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(report) => write!(f, "{}", report.render(Format::Human, false)),
            Self::NoSuchEntry { index, entries } => {
                write!(f, "there is no entry {index} in a file of {entries}")
            }
            Self::NotJson(field) => write!(f, "the value of {field:?} cannot be written as JSON"),
        }
    }
}

impl std::error::Error for Refused {}
