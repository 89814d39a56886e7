//! Filters that lay values out: `tojson`, `wordwrap`, `pprint`.

use super::number::count;
use crate::template::budget::{spend, spend_text};
use crate::template::builtins::args::{Args, absent, integer_or};
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::compare::sort_by;
use crate::template::ops::truth::truthy;
use crate::template::text::json;
use crate::template::text::repr::repr;
use crate::template::text::space::{is_space, lines};
use crate::template::value::{Dict, Value};

type Filtered<'a> = Result<Value<'a>>;

/// `json.dumps` with the arguments that transformers lets through.
pub(super) fn tojson<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ensure_ascii, indent, separators, sort_keys] = args.bind("tojson", &names, 0)?;
    // The text of a string alone is never indented, so that nobody looks at the argument.
    let indent = if value.as_str().is_some() { Value::None } else { indent };
    indent.defined()?;
    let indent = match indent.as_str() {
        Some(text) => Some(text.to_owned()),
        None if absent(&indent) => None,
        None => {
            if matches!(indent, Value::Float(_)) {
                return Err(Error::type_error("can't multiply sequence by non-int of type 'float'"));
            }
            let width = count(&indent)?;
            spend_text(width)?;
            Some(" ".repeat(width))
        }
    };
    let (mut item_separator, mut key_separator) =
        (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if !absent(&separators) {
        let given = vm.collect(separators)?;
        let [Some(item), Some(key)] = [given.first(), given.get(1)].map(|v| v.and_then(Value::as_str)) else {
            return Err(Error::value("separators must be two strings"));
        };
        if given.len() != 2 {
            return Err(Error::value("too many values to unpack (expected 2)"));
        }
        (item_separator, key_separator) = (item.to_owned(), key.to_owned());
    }
    let options = json::Options {
        ensure_ascii: truthy(&ensure_ascii),
        indent,
        item_separator,
        key_separator,
        sort_keys: truthy(&sort_keys),
    };
    let mut out = String::new();
    json::write(&value, &options, &mut out)?;
    spend_text(out.len())?;
    Ok(Value::string(out))
}

pub(super) fn wordwrap<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, break_long, wrap, _] = args.bind("do_wordwrap", &names, 0)?;
    value.defined()?;
    let Some(text) = value.as_str() else {
        return Err(Error::type_error(format!(
            "'{}' object has no attribute 'splitlines'",
            value.type_name()
        )));
    };
    let width = integer_or(&width, 79)?;
    if text.contains('-') || matches!(value, Value::Markup(_)) || width < 1 {
        return Err(Error::unsupported("wordwrap of such a text"));
    }
    let wrap = if absent(&wrap) { Value::Str("\n") } else { wrap };
    let Some(wrap) = wrap.as_str() else { return Err(Error::unsupported("wordwrap with such a wrapstring")) };
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    let break_long = matches!(break_long, Value::Missing) || truthy(&break_long);
    spend_text(text.len().saturating_mul(2 + wrap.len() / 4))?;
    let wrapped: Vec<String> = lines(text, false)
        .into_iter()
        .map(|(start, end)| wrap_line(&text[start..end], width, break_long).join(wrap))
        .collect();
    Ok(Value::string(wrapped.join(wrap)))
}

/// Python's `textwrap.wrap` for a line without hyphens.
fn wrap_line(line: &str, width: usize, break_long: bool) -> Vec<String> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\r' | '\n');
    let mut chunks: Vec<String> = Vec::new();
    for c in line.chars() {
        match chunks.last_mut() {
            Some(chunk) if chunk.starts_with(blank) == blank(c) => chunk.push(c),
            _ => chunks.push(c.into()),
        }
    }
    chunks.reverse();
    let mut done: Vec<String> = Vec::new();
    while let Some(next) = chunks.last() {
        if next.chars().all(is_space) && !done.is_empty() {
            chunks.pop();
        }
        let (mut row, mut length) = (Vec::new(), 0);
        while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.chars().count() <= width) {
            length += chunk.chars().count();
            row.push(chunk);
        }
        if let Some(chunk) = chunks.pop_if(|chunk| chunk.chars().count() > width) {
            if break_long {
                let cut = chunk.char_indices().nth(width - length).map_or(chunk.len(), |(i, _)| i);
                row.push(chunk[..cut].to_owned());
                chunks.push(chunk[cut..].to_owned());
            } else if row.is_empty() {
                row.push(chunk);
            } else {
                chunks.push(chunk);
            }
        }
        row.pop_if(|chunk| chunk.chars().all(is_space));
        if !row.is_empty() {
            done.push(row.concat());
        }
    }
    done
}

/// Short values only: what fits on one line is the text with sorted keys.
pub(super) fn pprint<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_pprint", &[])?;
    let text = repr(&sorted(&value)?)?;
    if text.chars().count() > 78 {
        return Err(Error::unsupported("pprint of a long value"));
    }
    Ok(Value::string(text))
}

fn sorted<'a>(value: &Value<'a>) -> Filtered<'a> {
    spend(1)?;
    match value {
        Value::List(seq) => Value::list(seq.items.iter().map(sorted).collect::<Result<_>>()?),
        Value::Tuple(seq) => Value::tuple(seq.items.iter().map(sorted).collect::<Result<_>>()?),
        Value::Dict(dict) => {
            let entries = sort_by(dict.entries().to_vec(), |(key, _)| key, false)
                .map_err(|_| Error::unsupported("pprint of mixed keys"))?;
            let mut out = Dict::with_capacity(entries.len());
            for (key, value) in entries {
                out.push_new(key, sorted(&value)?);
            }
            Ok(Value::Dict(out.into()))
        }
        _ => Ok(value.clone()),
    }
}
