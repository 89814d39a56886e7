//! `bool(value)` and `len(value)`.

use crate::template::budget::spend;
use crate::template::error::{Error, Result};
use crate::template::value::range_len;
use crate::template::value::{Object, Value};

/// Python's truth of a value.
pub(crate) fn truthy(value: &Value<'_>) -> bool {
    match value {
        Value::Missing | Value::Undefined(_) | Value::None => false,
        Value::Bool(b) => *b,
        Value::Int(i) => *i != 0,
        Value::Big(_) => true,
        Value::Float(f) => *f != 0.0,
        Value::Str(s) => !s.is_empty(),
        Value::Owned(s) | Value::Markup(s) => !s.is_empty(),
        Value::List(seq) | Value::Tuple(seq) => !seq.items.is_empty(),
        Value::Dict(dict) => dict.len() > 0,
        Value::Object(object) => match &**object {
            Object::View(_, dict) => dict.len() > 0,
            Object::Range { start, stop, step } => range_len(*start, *stop, *step) > 0,
            _ => true,
        },
    }
}

/// `len(value)`.
pub(crate) fn length(value: &Value<'_>) -> Result<usize> {
    Ok(match value {
        Value::Undefined(_) => 0,
        Value::Str(s) => chars(s)?,
        Value::Owned(s) | Value::Markup(s) => chars(s)?,
        Value::List(seq) | Value::Tuple(seq) => seq.items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Object(object) => match &**object {
            Object::View(_, dict) => dict.len(),
            Object::Group(..) => 2,
            Object::Range { start, stop, step } => {
                usize::try_from(range_len(*start, *stop, *step)).unwrap_or(usize::MAX)
            }
            _ => return Err(no_len(value)),
        },
        _ => return Err(no_len(value)),
    })
}

fn no_len(value: &Value<'_>) -> Box<Error> {
    Error::type_error(format!("object of type '{}' has no len()", value.type_name()))
}

fn chars(text: &str) -> Result<usize> {
    spend(text.len() / 512)?;
    Ok(if text.is_ascii() { text.len() } else { text.chars().count() })
}
