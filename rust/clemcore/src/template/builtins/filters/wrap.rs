//! Filters that lay values out: `tojson`, `wordwrap`, `pprint`.

use super::number::count;
use crate::template::budget::{gather, grow, make, spend};
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
            make(width)?;
            Some(" ".repeat(width))
        }
    };
    let (mut item_separator, mut key_separator) =
        (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if !absent(&separators) {
        let given = vm.collect(separators)?;
        let [item, key] = given.as_slice() else {
            return Err(Error::value(format!("{} separators to unpack (expected 2)", given.len())));
        };
        match (item.as_str(), key.as_str()) {
            (Some(item), Some(key)) => (item_separator, key_separator) = (item.to_owned(), key.to_owned()),
            // Python only looks at them where it writes them.
            _ if value.as_str().is_some() => {}
            _ => return Err(Error::unsupported("tojson with separators that are not strings")),
        }
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
    // Python compares a width of another kind, and only fails where a word has to be cut.
    let width = integer_or(&width, 79).unwrap_or(0);
    if text.contains('-') || matches!(value, Value::Markup(_)) || width < 1 {
        return Err(Error::unsupported("wordwrap of such a text"));
    }
    let wrap = if absent(&wrap) { Value::Str("\n") } else { wrap };
    let Some(wrap) = wrap.as_str() else { return Err(Error::unsupported("wordwrap with such a wrapstring")) };
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    let break_long = matches!(break_long, Value::Missing) || truthy(&break_long);
    let mut out = String::new();
    for (number, (start, end)) in lines(text, false)?.into_iter().enumerate() {
        let rows = wrap_line(&text[start..end], width, break_long)?;
        let size = |row: &String| row.len() + wrap.len();
        grow(&out, wrap.len() + rows.iter().map(size).sum::<usize>())?;
        if number > 0 {
            out.push_str(wrap);
        }
        out.push_str(&rows.join(wrap));
    }
    Ok(Value::string(out))
}

/// Python's `textwrap.wrap` for a line without hyphens.
fn wrap_line(line: &str, width: usize, break_long: bool) -> Result<Vec<String>> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\r' | '\n');
    // Words and the whitespace between them, with their lengths, the first at the end.
    let mut chunks: Vec<(&str, usize)> = Vec::new();
    let mut start = 0;
    while let Some(first) = line[start..].chars().next() {
        let end = line[start..].find(|c| blank(c) != blank(first)).map_or(line.len(), |found| start + found);
        spend(2)?;
        chunks.push((&line[start..end], line[start..end].chars().count()));
        start = end;
    }
    chunks.reverse();
    let mut done: Vec<String> = Vec::new();
    while let Some((next, _)) = chunks.last() {
        spend(2)?;
        if !done.is_empty() && next.chars().all(is_space) {
            chunks.pop();
        }
        let (mut row, mut length) = (Vec::new(), 0);
        while let Some((chunk, size)) = chunks.pop_if(|(_, size)| length + *size <= width) {
            length += size;
            row.push(chunk);
        }
        if let Some((chunk, size)) = chunks.pop_if(|(_, size)| *size > width) {
            if break_long {
                let room = width - length;
                let cut = chunk.char_indices().nth(room).map_or(chunk.len(), |(i, _)| i);
                row.push(&chunk[..cut]);
                chunks.push((&chunk[cut..], size - room));
            } else if row.is_empty() {
                row.push(chunk);
            } else {
                chunks.push((chunk, size));
            }
        }
        row.pop_if(|chunk| chunk.chars().all(is_space));
        if !row.is_empty() {
            done.push(row.concat());
        }
    }
    Ok(done)
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
            gather(2 * dict.len())?;
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
