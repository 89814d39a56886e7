//! How Python shows a JSON value: `str(value)`.
use crate::template::text::float;
use crate::value::{Dict, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The value as Python's `str` gives it: a text as it is, all else as `repr` shows it.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    if let Value::String(text) = value {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    write_repr(value, &mut text);
    Cow::Owned(text)
}

/// Appends what Python's `repr` gives of a JSON value.
fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Opaque(_) => out.push_str("None"),
        Value::Bool(flag) => out.push_str(if *flag { "True" } else { "False" }),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(number) => float::repr(*number, out),
        Value::String(text) => quote(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Dict(dict) => write_dict(dict, out),
    }
}

fn write_dict(dict: &Dict, out: &mut String) {
    out.push('{');
    for (index, (name, item)) in dict.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        quote(name, out);
        out.push_str(": ");
        write_repr(item, out);
    }
    out.push('}');
}

fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if char == mark => {
                out.push('\\');
                out.push(char);
            }
            _ if char.is_control() => {
                let _ = write!(out, "\\x{:02x}", char as u32);
            }
            _ => out.push(char),
        }
    }
    out.push(mark);
}
