//! Methods of strings that look for something. Places count characters, not bytes.

use crate::template::budget::look;
use crate::template::builtins::args::{Args, absent, integer, text};
use crate::template::error::{Error, Result};
use crate::template::value::Value;

pub(super) fn call<'a>(this: &str, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [wanted, start, stop] = args.positional::<3>(name, 1)?;
    let window = Window::of(this, &start, &stop)?;
    if matches!(name, "startswith" | "endswith") {
        return affix(window.as_ref(), name, &wanted).map(Value::Bool);
    }
    let wanted = text(&wanted, name)?;
    let Some(window) = window else {
        return if name == "count" { Ok(Value::Int(0)) } else { missing(name) };
    };
    let found = match name {
        "count" => {
            let chars = || window.text.chars().count() + 1;
            let count = if wanted.is_empty() { chars() } else { window.text.matches(wanted).count() };
            return Ok(Value::size(count));
        }
        "rfind" | "rindex" => window.text.rfind(wanted),
        _ => window.text.find(wanted),
    };
    match found {
        Some(at) => Ok(Value::size(window.offset + window.text[..at].chars().count())),
        None => missing(name),
    }
}

fn missing<'a>(name: &str) -> Result<Value<'a>> {
    if name.ends_with("find") { Ok(Value::Int(-1)) } else { Err(Error::value("substring not found")) }
}

/// A part of a string and how many characters come before it.
struct Window<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Window<'t> {
    /// The part between two places; `None` when the first lies beyond the end or the second.
    fn of(this: &'t str, start: &Value<'_>, stop: &Value<'_>) -> Result<Option<Self>> {
        if absent(start) && absent(stop) {
            return Ok(Some(Self { text: this, offset: 0 }));
        }
        let length = i64::try_from(this.chars().count()).unwrap_or(i64::MAX);
        let clip = |bound: i64| if bound < 0 { bound.saturating_add(length).max(0) } else { bound };
        let start = if absent(start) { 0 } else { clip(integer(start)?) };
        let stop = if absent(stop) { length } else { clip(integer(stop)?).min(length) };
        if start > stop {
            return Ok(None);
        }
        let byte = |place: i64| {
            let place = usize::try_from(place).unwrap_or(0);
            this.char_indices().nth(place).map_or(this.len(), |(i, _)| i)
        };
        Ok(Some(Self { text: &this[byte(start)..byte(stop)], offset: usize::try_from(start).unwrap_or(0) }))
    }
}

fn affix(window: Option<&Window<'_>>, name: &str, wanted: &Value<'_>) -> Result<bool> {
    let fits = |affix: &str| {
        window.is_some_and(|w| {
            if name == "startswith" { w.text.starts_with(affix) } else { w.text.ends_with(affix) }
        })
    };
    if let Value::Tuple(choices) = wanted {
        for choice in choices.items.iter() {
            let Some(affix) = choice.as_str() else {
                let kind = choice.type_name();
                return Err(Error::type_error(format!("tuple for {name} must only contain str, not {kind}")));
            };
            look(affix.len())?;
            if fits(affix) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let Some(affix) = wanted.as_str() else {
        let kind = wanted.type_name();
        return Err(Error::type_error(format!("{name} first arg must be str or a tuple of str, not {kind}")));
    };
    Ok(fits(affix))
}
