//! One file of a registry: its text, its problems, its entries.
use super::check::{self, Checked};
use super::{Entry, LOOKUP_SOURCE};
use crate::json::to_dict;
use crate::report::Report;
use crate::text::lines::Lines;
use crate::value::Value;
use std::sync::Arc;

/// Reads a layer and adds its entries; gives what was found.
pub(super) fn read(
    source: &str,
    bytes: &[u8],
    backends: Option<&[String]>,
    entries: &mut Vec<Entry>,
) -> Report {
    let source: Arc<str> = source.into();
    check::read(bytes, backends, |checked| {
        if !checked.faults.has_errors() {
            add_entries(&source, &checked, entries);
        }
        checked.faults.into_report(&source, checked.text)
    })
}

fn add_entries(source: &Arc<str>, checked: &Checked<'_>, entries: &mut Vec<Entry>) {
    let lines = Lines::new(checked.text);
    for node in checked.entries() {
        let Some(members) = node.members() else { continue };
        let mut dict = to_dict(members);
        if !dict.contains_key(LOOKUP_SOURCE) {
            dict.insert(LOOKUP_SOURCE, Value::from(&**source));
        }
        let line = lines.place(node.span.start).line;
        entries.push(Entry { dict, source: Some(Arc::clone(source)), line });
    }
}

/// Where the entries of a file stand in its text.
pub(crate) struct Outline {
    /// The whole text, byte order mark included.
    pub(crate) text: String,
    /// From the first bracket of the list to its last; `None` where one object stands alone.
    pub(crate) list: Option<(usize, usize)>,
    /// Start and end of each entry.
    pub(crate) entries: Vec<(usize, usize)>,
}

/// The outline of a file without errors, or its problems.
pub(crate) fn outline(source: &str, bytes: &[u8]) -> Result<Outline, Report> {
    let source: Arc<str> = source.into();
    check::read(bytes, None, |checked| {
        if checked.faults.has_errors() {
            return Err(checked.faults.into_report(&source, checked.text));
        }
        let whole = String::from_utf8_lossy(bytes).into_owned();
        let mark = whole.len() - checked.text.len();
        let range = |node: &crate::json::Node<'_>| (node.span.start + mark, node.span.end + mark);
        let list = checked.list().map(range);
        let entries = checked.entries().iter().map(range).collect();
        Ok(Outline { text: whole, list, entries })
    })
}
