//! Filters for HTML and URLs.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::template::budget::{gather, grow, look, make};
use crate::template::builtins::args::Args;
use crate::template::builtins::markup::{escape as escape_into, escaped, plain_str};
use crate::template::builtins::tests::is_iterable;
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::truth::truthy;
use crate::template::text::space::words;
use crate::template::value::Value;

type Filtered<'a> = Result<Value<'a>>;

pub(super) fn escape<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("escape", &[])?;
    escaped(&value)
}

pub(super) fn forceescape<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_forceescape", &[])?;
    escaped(&plain_str(&value)?)
}

pub(super) fn safe<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_mark_safe", &[])?;
    let text = plain_str(&value)?;
    make(text.as_str().map_or(0, str::len))?;
    Ok(Value::Markup(match text {
        Value::Owned(text) => text,
        other => Rc::from(other.as_str().unwrap_or_default()),
    }))
}

pub(super) fn striptags<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_striptags", &[])?;
    let value = plain_str(&value)?;
    let text = value.as_str().unwrap_or_default();
    make(text.len().saturating_mul(2))?;
    let mut kept = String::new();
    let mut pos = 0;
    while let Some(found) = text[pos..].find('<') {
        let start = pos + found;
        let end = if text[start..].starts_with("<!--") {
            text[start + 4..].find("-->").map(|i| start + 4 + i + 3)
        } else {
            text[start..].find('>').map(|i| start + i + 1)
        };
        let Some(end) = end else { break };
        kept.push_str(&text[pos..start]);
        pos = end;
    }
    kept.push_str(&text[pos..]);
    let spaced: Vec<&str> = words(&kept, -1)?.into_iter().map(|(start, end)| &kept[start..end]).collect();
    let spaced = spaced.join(" ");
    let entity =
        |(i, _): (usize, &str)| spaced[i + 1..].starts_with(|c: char| c == '#' || c.is_ascii_alphabetic());
    if spaced.match_indices('&').any(entity) {
        return Err(Error::unsupported("striptags of a text with HTML entities"));
    }
    Ok(Value::string(spaced))
}

/// Percent-encodes; in a query, slashes too, and spaces become plus signs.
fn quote(value: &Value<'_>, query: bool, out: &mut String) -> Result<()> {
    let text = plain_str(value)?;
    let text = text.as_str().unwrap_or_default();
    look(text.len().saturating_mul(8))?;
    grow(out, text.len().saturating_mul(3))?;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(())
}

pub(super) fn urlencode<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_urlencode", &[])?;
    let mut out = String::new();
    let pairs: Vec<[Value<'a>; 2]> = match &value {
        Value::Dict(dict) => {
            gather(2 * dict.len())?;
            dict.entries().iter().map(|(k, v)| [k.clone(), v.clone()]).collect()
        }
        _ if value.as_str().is_none() && is_iterable(&value) => {
            let mut pairs = Vec::new();
            for pair in vm.collect(value)? {
                let pair = vm.collect(pair)?;
                pairs.push(pair.try_into().map_err(|_| Error::value("wrong number of values to unpack"))?);
            }
            pairs
        }
        _ => {
            quote(&value, false, &mut out)?;
            return Ok(Value::string(out));
        }
    };
    for (i, [key, value]) in pairs.iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        quote(key, true, &mut out)?;
        out.push('=');
        quote(value, true, &mut out)?;
    }
    Ok(Value::string(out))
}

/// Only text without anything that might be a link; the rest is left to jinja2.
pub(super) fn urlize<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let plain = value.as_str().is_some_and(|t| !t.contains(['.', '@', ':', '&', '<', '(']));
    if !plain || !args.kw.is_empty() || !args.pos.is_empty() {
        return Err(Error::unsupported("urlize of a text that may hold links"));
    }
    let escaped = escaped(&value)?;
    plain_str(&escaped)
}

pub(super) fn xmlattr<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [autospace] = args.bind("do_xmlattr", &["autospace"], 0)?;
    value.defined()?;
    let Value::Dict(dict) = &value else {
        let name = value.type_name();
        return Err(Error::type_error(format!("'{name}' object has no attribute 'items'")));
    };
    let mut out = String::new();
    for (key, value) in dict.entries() {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Some(name) = key.as_str() else {
            return Err(Error::type_error("expected string or bytes-like object"));
        };
        if name.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c', '/', '>', '=']) {
            return Err(Error::value(format!("Invalid character in attribute name: '{name}'")));
        }
        if !out.is_empty() {
            out.push(' ');
        }
        look(name.len())?;
        escape_into(name, &mut out)?;
        out.push_str("=\"");
        let value = escaped(value)?;
        let value = value.as_str().unwrap_or_default();
        grow(&out, value.len())?;
        out.push_str(value);
        out.push('"');
    }
    if !out.is_empty() && (matches!(autospace, Value::Missing) || truthy(&autospace)) {
        out.insert(0, ' ');
    }
    Ok(Value::string(out))
}
