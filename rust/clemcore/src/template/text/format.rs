//! `text.format(...)`: replacement fields, conversions and nested specifications.
//!
//! Looking up attributes and items is the sandbox's business, so the caller brings it.

use std::rc::Rc;

use super::repr::{ascii, write_repr, write_str};
use super::spec::format_value;
use crate::template::budget::grow;
use crate::template::error::{Error, Result};
use crate::template::ops::index::{get_attr, get_item};
use crate::template::value::Value;

/// The arguments of one `format` call.
pub(crate) struct Fields<'v, 'a> {
    pub(crate) pos: &'v [Value<'a>],
    pub(crate) named: &'v dyn Fn(&str) -> Result<Option<Value<'a>>>,
}

/// How the fields without a number or name are counted.
#[derive(Clone, Copy)]
enum Numbering {
    None,
    Auto(usize),
    Manual,
}

/// Formats `text`.
pub(crate) fn format(text: &str, fields: &Fields<'_, '_>) -> Result<String> {
    let mut numbering = Numbering::None;
    vformat(text, fields, &mut numbering, 3)
}

fn vformat(text: &str, fields: &Fields<'_, '_>, numbering: &mut Numbering, depth: u32) -> Result<String> {
    if depth == 0 {
        return Err(Error::value("Max string recursion exceeded"));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if rest.as_bytes().first() == Some(&brace) {
            out.push(char::from(brace));
            rest = &rest[1..];
            continue;
        }
        if brace == b'}' {
            return Err(Error::value("Single '}' encountered in format string"));
        }
        let end = field_end(rest)?;
        let text = field(&rest[..end], fields, numbering, depth)?;
        grow(&out, text.len())?;
        out.push_str(&text);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the replacement field ends: its closing brace, with inner braces balanced.
fn field_end(text: &str) -> Result<usize> {
    let mut depth = 1;
    let mut bracket = false;
    for (i, c) in text.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '{' if !bracket => depth += 1,
            '}' if !bracket => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i);
                }
            }
            _ => {}
        }
    }
    Err(Error::value("expected '}' before end of string"))
}

fn field(field: &str, fields: &Fields<'_, '_>, numbering: &mut Numbering, depth: u32) -> Result<String> {
    let mut bracket = false;
    let name_end = field
        .find(|c| {
            bracket = c == '[' || bracket && c != ']';
            !bracket && matches!(c, '!' | ':')
        })
        .unwrap_or(field.len());
    let (name, mut rest) = field.split_at(name_end);
    let mut conversion = None;
    if let Some(after) = rest.strip_prefix('!') {
        conversion = after.chars().next();
        rest = after.get(1..).unwrap_or("");
        if conversion.is_none() || !(rest.is_empty() || rest.starts_with(':')) {
            return Err(Error::value("expected ':' after conversion specifier"));
        }
    }
    let value = lookup(name, fields, numbering)?;
    let value = match conversion {
        None => value,
        Some(kind @ ('r' | 's' | 'a')) => {
            let mut text = String::new();
            match kind {
                'r' => write_repr(&value, &mut text)?,
                's' => write_str(&value, &mut text)?,
                _ => text = ascii(&value)?,
            }
            Value::string(text)
        }
        Some(kind) => return Err(Error::value(format!("Unknown conversion specifier {kind}"))),
    };
    let spec = vformat(rest.strip_prefix(':').unwrap_or(""), fields, numbering, depth - 1)?;
    format_value(&value, &spec)
}

fn lookup<'a>(name: &str, fields: &Fields<'_, 'a>, numbering: &mut Numbering) -> Result<Value<'a>> {
    let first_end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(first_end);
    let index = match first.parse::<usize>() {
        Ok(index) => {
            if matches!(numbering, Numbering::Auto(_)) {
                return Err(Error::value(
                    "cannot switch from automatic field numbering to manual field specification",
                ));
            }
            *numbering = Numbering::Manual;
            Some(index)
        }
        Err(_) if first.is_empty() => Some(automatic(numbering)?),
        Err(_) => None,
    };
    let mut value = match index {
        Some(index) => fields.pos.get(index).cloned().ok_or_else(|| {
            Error::value(format!("Replacement index {index} out of range for positional args tuple"))
        })?,
        None => (fields.named)(first)?.ok_or_else(|| Error::value(format!("KeyError: '{first}'")))?,
    };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err(Error::value("Empty attribute in format string"));
            }
            value = get_attr(&value, &after[..end], || Value::Owned(Rc::from(&after[..end])))?;
            rest = &after[end..];
        } else {
            let inside = &rest[1..];
            let end = inside.find(']').ok_or_else(|| Error::value("Missing ']' in format string"))?;
            let key = &inside[..end];
            let key = key.parse::<i64>().map_or_else(|_| Value::Owned(Rc::from(key)), Value::Int);
            value = get_item(&value, &key)?;
            rest = &inside[end + 1..];
            if !rest.is_empty() && !rest.starts_with(['.', '[']) {
                return Err(Error::value("Only '.' or '[' may follow ']' in format field specifier"));
            }
        }
    }
    Ok(value)
}

fn automatic(numbering: &mut Numbering) -> Result<usize> {
    let index = match numbering {
        Numbering::None => 0,
        Numbering::Auto(next) => *next,
        Numbering::Manual => {
            return Err(Error::value(
                "cannot switch from manual field specification to automatic field numbering",
            ));
        }
    };
    *numbering = Numbering::Auto(index + 1);
    Ok(index)
}
