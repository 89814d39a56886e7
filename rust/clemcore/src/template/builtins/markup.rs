//! HTML escaping, and text that counts as escaped.

use std::rc::Rc;

use crate::template::budget::grow;
use crate::template::error::Result;
use crate::template::text::repr::write_str;
use crate::template::value::Value;

/// Appends `text` with the five special characters escaped.
pub(crate) fn escape(text: &str, out: &mut String) -> Result<()> {
    let special = text.bytes().filter(|b| matches!(b, b'&' | b'<' | b'>' | b'\'' | b'"')).count();
    grow(out, text.len() + 4 * special)?;
    out.reserve(text.len() + 4 * special);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Ok(())
}

/// `markupsafe.escape(value)`.
pub(crate) fn escaped<'a>(value: &Value<'a>) -> Result<Value<'a>> {
    if matches!(value, Value::Markup(_)) {
        return Ok(value.clone());
    }
    let text = soft_str(value)?;
    let mut out = String::new();
    escape(text.as_str().unwrap_or_default(), &mut out)?;
    Ok(Value::Markup(Rc::from(out)))
}

/// The same string as markup when `model` is markup.
pub(crate) fn like<'a>(model: &Value<'a>, text: String) -> Value<'a> {
    if matches!(model, Value::Markup(_)) { Value::Markup(Rc::from(text)) } else { Value::string(text) }
}

/// A string stays what it is; anything else becomes its text.
pub(crate) fn soft_str<'a>(value: &Value<'a>) -> Result<Value<'a>> {
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    plain_str(value)
}

/// `str(value)`.
pub(crate) fn plain_str<'a>(value: &Value<'a>) -> Result<Value<'a>> {
    match value {
        Value::Str(_) | Value::Owned(_) => Ok(value.clone()),
        Value::Markup(text) => Ok(Value::Owned(Rc::clone(text))),
        _ => {
            let mut text = String::new();
            write_str(value, &mut text)?;
            Ok(Value::string(text))
        }
    }
}
