//! `str(value)` and `repr(value)`.

use std::fmt::Write as _;

use super::float;
use super::unicode::{is_printable, paid};
use crate::template::budget::{grow, look, make, spend};
use crate::template::error::{Error, Result};
use crate::template::value::{Object, Value, View};

/// Digits beyond which Python refuses to write an integer.
const MAX_INT_DIGITS: usize = 4300;

/// How long the escaped form of a character is at most.
const LONGEST_ESCAPE: usize = 10;

/// Appends `str(value)`.
pub(crate) fn write_str(value: &Value<'_>, out: &mut String) -> Result<()> {
    match value {
        Value::Str(s) => push(s, out)?,
        Value::Owned(s) | Value::Markup(s) => push(s, out)?,
        Value::Undefined(_) => {}
        _ => return write_repr(value, out),
    }
    Ok(())
}

fn push(text: &str, out: &mut String) -> Result<()> {
    grow(out, text.len())?;
    out.push_str(text);
    Ok(())
}

/// `repr(value)` as a new string.
pub(crate) fn repr(value: &Value<'_>) -> Result<String> {
    let mut out = String::new();
    write_repr(value, &mut out)?;
    Ok(out)
}

/// Appends `repr(value)`.
pub(crate) fn write_repr(value: &Value<'_>, out: &mut String) -> Result<()> {
    spend(1)?;
    match value {
        Value::Missing | Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Value::Big(i) => {
            // Each digit is more than three bits. Writing many takes long.
            let text = if i.bits() > 4 * MAX_INT_DIGITS as u64 { None } else { Some(i.to_string()) };
            let Some(text) = text.filter(|text| text.trim_start_matches('-').len() <= MAX_INT_DIGITS) else {
                return Err(Error::value("Exceeds the limit (4300 digits) for integer string conversion"));
            };
            look(text.len() * 4)?;
            out.push_str(&text);
        }
        Value::Float(f) => float::repr(*f, out),
        Value::Str(s) => quote(s, out)?,
        Value::Owned(s) => quote(s, out)?,
        Value::Markup(s) => {
            out.push_str("Markup(");
            quote(s, out)?;
            out.push(')');
        }
        Value::List(seq) => sequence("[", &seq.items, "]", out)?,
        Value::Tuple(seq) => sequence("(", &seq.items, if seq.items.len() == 1 { ",)" } else { ")" }, out)?,
        Value::Dict(dict) => pairs("{", dict.entries(), "}", out)?,
        Value::Object(object) => write_object(object, out)?,
    }
    Ok(())
}

fn sequence(open: &str, items: &[Value<'_>], close: &str, out: &mut String) -> Result<()> {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(item, out)?;
    }
    out.push_str(close);
    Ok(())
}

fn pairs(open: &str, entries: &[(Value<'_>, Value<'_>)], close: &str, out: &mut String) -> Result<()> {
    out.push_str(open);
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(key, out)?;
        out.push_str(": ");
        write_repr(value, out)?;
    }
    out.push_str(close);
    Ok(())
}

fn write_object(object: &Object<'_>, out: &mut String) -> Result<()> {
    match object {
        Object::Namespace(attrs, _) => {
            out.push_str("<Namespace ");
            // Python cuts a cycle where it closes, which depends on every container on the way.
            let Ok(attrs) = attrs.try_borrow_mut() else {
                return Err(Error::unsupported("the text of a namespace that contains itself"));
            };
            pairs("{", &attrs, "}", out)?;
            out.push('>');
        }
        Object::View(view, dict) => {
            let (name, side) = match view {
                View::Keys => ("dict_keys", 0),
                View::Values => ("dict_values", 1),
                View::Items => ("dict_items", 2),
            };
            out.push_str(name);
            out.push_str("([");
            for (i, (key, value)) in dict.entries().iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                match side {
                    0 => write_repr(key, out)?,
                    1 => write_repr(value, out)?,
                    _ => sequence("(", &[key.clone(), value.clone()], ")", out)?,
                }
            }
            out.push_str("])");
        }
        Object::Range { start, stop, step: 1 } => {
            let _ = write!(out, "range({start}, {stop})");
        }
        Object::Range { start, stop, step } => {
            let _ = write!(out, "range({start}, {stop}, {step})");
        }
        Object::Group(key, list) => sequence("(", &[key.clone(), list.clone()], ")", out)?,
        Object::TemplateReference => out.push_str("<TemplateReference None>"),
        _ => return Err(Error::unsupported(format!("the text of a {}", object.type_name()))),
    }
    Ok(())
}

/// A string in quotes, as Python chooses and escapes them.
fn quote(text: &str, out: &mut String) -> Result<()> {
    grow(out, text.len())?;
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for chunk in paid(text) {
        quote_part(chunk?, mark, out)?;
    }
    out.push(mark);
    Ok(())
}

fn quote_part(text: &str, mark: char, out: &mut String) -> Result<()> {
    for c in text.chars() {
        match c {
            c if c == mark || matches!(c, '\\' | '\n' | '\r' | '\t') => {
                grow(out, 2)?;
                out.push('\\');
                out.push(match c {
                    '\n' => 'n',
                    '\r' => 'r',
                    '\t' => 't',
                    c => c,
                });
            }
            c if is_printable(c) => out.push(c),
            c => {
                grow(out, LONGEST_ESCAPE)?;
                escape(c, out);
            }
        }
    }
    Ok(())
}

/// `\xXX`, `\uXXXX` or `\UXXXXXXXX`.
pub(crate) fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `ascii(value)`: `repr` with everything beyond ASCII escaped.
pub(crate) fn ascii(value: &Value<'_>) -> Result<String> {
    let shown = repr(value)?;
    make(shown.len().saturating_mul(3))?;
    let mut out = String::with_capacity(shown.len());
    for c in shown.chars() {
        if c.is_ascii() { out.push(c) } else { escape(c, &mut out) }
    }
    Ok(out)
}
