//! One entry put into the text of a registry; every other byte stays as it is.
//!
//! A registry is kept by hand: order, formatting and unknown keys of the entries that are not touched belong to its
//! owner. So nothing is parsed and written back; the new entry is spliced in, in the style of its neighbours.
use crate::json::to_json_pretty;
use crate::registry::{LOOKUP_SOURCE, Outline, outline};
use crate::report::{Format, Report};
use crate::value::{Dict, Value};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

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
    upsert_all(source, text, vec![(entry.clone(), position)])
}

/// The text with several entries in it, as if [`upsert`] had put in one after the other: each position is that in the
/// text with all entries before it.
///
/// The text is read once, however many there are.
///
/// # Errors
/// As [`upsert`].
pub fn upsert_all(
    source: &str,
    text: Option<&[u8]>,
    mut edits: Vec<(Dict, Position)>,
) -> Result<String, Refused> {
    for (entry, _) in &mut edits {
        entry.remove(LOOKUP_SOURCE);
        if let Some(field) = not_json(entry) {
            return Err(Refused::NotJson(field));
        }
    }
    let Some(bytes) = text else {
        let mut edits = edits.into_iter();
        return match edits.next() {
            Some((entry, Position::Front)) => {
                let text = format!("[\n  {}\n]\n", written(entry, "  ", 1));
                more(source, text, edits.collect())
            }
            Some((_, Position::Replace(index))) => Err(Refused::NoSuchEntry { index, entries: 0 }),
            None => Ok("[]\n".to_owned()),
        };
    };
    let outline = outline(source, bytes).map_err(Refused::Broken)?;
    let is_list = outline.list.is_some() && !outline.entries.is_empty();
    let is_front = |(_, position): &(Dict, Position)| *position == Position::Front;
    match edits.iter().position(is_front) {
        // What has no place for an entry before others yet gets one first.
        Some(front) if !is_list => {
            let rest = edits.split_off(front + 1);
            let Some((entry, _)) = edits.pop() else { return put(&outline, edits) };
            let text = put(&outline, edits)?;
            let outline = self::outline(source, text.as_bytes()).map_err(Refused::Broken)?;
            more(source, insert_front(&outline, entry), rest)
        }
        _ => put(&outline, edits),
    }
}

fn more(source: &str, text: String, edits: Vec<(Dict, Position)>) -> Result<String, Refused> {
    if edits.is_empty() { Ok(text) } else { upsert_all(source, Some(text.as_bytes()), edits) }
}

/// Puts entries into a text; where any goes to the front, the text is a list that has entries.
fn put(outline: &Outline, edits: Vec<(Dict, Position)>) -> Result<String, Refused> {
    let mut fronts: Vec<Dict> = Vec::new();
    let mut replaced: BTreeMap<usize, Dict> = BTreeMap::new();
    for (entry, position) in edits {
        match position {
            Position::Front => fronts.push(entry),
            // The last one that was put to the front is the first of all.
            Position::Replace(index) if index < fronts.len() => {
                let at = fronts.len() - 1 - index;
                fronts[at] = entry;
            }
            Position::Replace(index) => {
                let entries = fronts.len() + outline.entries.len();
                if index >= entries {
                    return Err(Refused::NoSuchEntry { index, entries });
                }
                replaced.insert(index - fronts.len(), entry);
            }
        }
    }
    let (text, style) = (&outline.text, Style::of(&outline.text));
    let mut new = String::with_capacity(text.len());
    let mut end = 0;
    if let (Some(&(first, _)), false) = (outline.entries.first(), fronts.is_empty()) {
        new.push_str(&text[..first]);
        end = first;
        for entry in fronts.into_iter().rev() {
            let _ = write!(new, "{},{}{}", style.entry(first, entry), style.newline, margin(text, first));
        }
    }
    for (index, entry) in replaced {
        let (start, after) = outline.entries[index];
        new.push_str(&text[end..start]);
        new.push_str(&style.entry(start, entry));
        end = after;
    }
    new.push_str(&text[end..]);
    Ok(new)
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

/// Puts an entry into what is not a list yet, or an empty one.
fn insert_front(outline: &Outline, entry: Dict) -> String {
    let (text, style) = (&outline.text, Style::of(&outline.text));
    let splice = |start: usize, end: usize, new: &str| [&text[..start], new, &text[end..]].concat();
    match (outline.list, outline.entries.first()) {
        // One object alone becomes a list of two.
        (None, Some(&(start, end))) => {
            let both = format!("[{},\n{}]", style.entry(start, entry), &text[start..end]);
            splice(start, end, &both)
        }
        (list, _) => {
            let (start, end) = list.unwrap_or((text.len(), text.len()));
            let newline = style.newline;
            let new = written(entry, "  ", 1).replace('\n', newline);
            splice(start, end, &format!("[{newline}  {new}{newline}]"))
        }
    }
}

/// How a file is written.
struct Style<'t> {
    text: &'t str,
    newline: &'static str,
}

impl<'t> Style<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, newline: if text.contains("\r\n") { "\r\n" } else { "\n" } }
    }

    /// The entry as text, indented like the place at `start`, with the line ends of the file.
    fn entry(&self, start: usize, entry: Dict) -> String {
        let margin = margin(self.text, start);
        let unit = if margin.is_empty() { "  " } else { margin };
        let level = usize::from(!margin.is_empty());
        written(entry, unit, level).replace('\n', self.newline)
    }
}

/// The whitespace before `at`, if there is nothing else on its line.
fn margin(text: &str, at: usize) -> &str {
    let line = text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let before = &text[line..at];
    if before.bytes().all(|byte| matches!(byte, b' ' | b'\t')) { before } else { "" }
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
