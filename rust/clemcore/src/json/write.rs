//! From values to JSON text.
//!
//! Opaque values have no JSON form and are written as null; callers that let them through check before.
use crate::value::{Dict, Value};
use std::fmt::Write as _;

/// `text` as a JSON string, escaped only where JSON demands it.
fn push_string(out: &mut String, text: &str) {
    // Writing a str as JSON cannot fail.
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn push_float(out: &mut String, number: f64) {
    if number.is_finite() {
        // `{:?}` is the shortest text that reads back to the same bits, and always has a point or exponent.
        let _ = write!(out, "{number:?}");
    } else {
        out.push_str("null");
    }
}

/// The value on one line, as `{"a": 1, "b": [true, null]}`.
#[must_use]
pub fn to_json(value: &Value) -> String {
    let mut out = String::new();
    push(&mut out, value, None);
    out
}

/// The value over several lines; `indent` is repeated per level and `level` is that of the first line.
#[must_use]
pub fn to_json_pretty(value: &Value, indent: &str, level: usize) -> String {
    let mut out = String::new();
    push(&mut out, value, Some((indent, level)));
    out
}

type Layout<'i> = Option<(&'i str, usize)>;

fn push(out: &mut String, value: &Value, layout: Layout<'_>) {
    match value {
        Value::Null | Value::Opaque(_) => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(number) => push_float(out, *number),
        Value::String(text) => push_string(out, text),
        Value::List(items) => push_list(out, items, layout),
        Value::Dict(dict) => push_dict(out, dict, layout),
    }
}

fn push_list(out: &mut String, items: &[Value], layout: Layout<'_>) {
    out.push('[');
    // Lists of plain values stay on one line: a language per line reads badly.
    let layout = layout.filter(|_| items.iter().any(|item| matches!(item, Value::List(_) | Value::Dict(_))));
    for (index, item) in items.iter().enumerate() {
        separate(out, index, layout);
        push(out, item, layout.map(|(indent, level)| (indent, level + 1)));
    }
    end(out, items.is_empty(), layout);
    out.push(']');
}

fn push_dict(out: &mut String, dict: &Dict, layout: Layout<'_>) {
    out.push('{');
    for (index, (key, item)) in dict.iter().enumerate() {
        separate(out, index, layout);
        push_string(out, key);
        out.push_str(": ");
        push(out, item, layout.map(|(indent, level)| (indent, level + 1)));
    }
    end(out, dict.is_empty(), layout);
    out.push('}');
}

fn separate(out: &mut String, index: usize, layout: Layout<'_>) {
    match layout {
        Some((indent, level)) => {
            out.push_str(if index > 0 { ",\n" } else { "\n" });
            out.push_str(&indent.repeat(level + 1));
        }
        None if index > 0 => out.push_str(", "),
        None => {}
    }
}

fn end(out: &mut String, empty: bool, layout: Layout<'_>) {
    if let (false, Some((indent, level))) = (empty, layout) {
        out.push('\n');
        out.push_str(&indent.repeat(level));
    }
}
