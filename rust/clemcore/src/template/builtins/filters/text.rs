//! Filters on text.

use crate::template::budget::{look, make};
use crate::template::builtins::args::{Args, absent, integer, integer_or, size_or};
use crate::template::builtins::markup::{like, plain_str, soft_str};
use crate::template::builtins::methods;
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::truth::truthy;
use crate::template::text::printf::printf;
use crate::template::text::space::{is_space, lines};
use crate::template::text::unicode::{is_alnum, paid, per_character};
use crate::template::text::{case, space};
use crate::template::value::{Dict, Value};

type Filtered<'a> = Result<Value<'a>>;

/// A filter that is a string method without arguments.
fn by_method<'a>(vm: &mut Vm<'a>, value: &Value<'a>, args: Args<'a>, method: &str) -> Filtered<'a> {
    args.exactly::<0>(method, &[])?;
    let text = soft_str(value)?;
    methods::call(vm, &text, method, Args::default())
}

pub(super) fn upper<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    by_method(vm, &value, args, "upper")
}

pub(super) fn lower<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    by_method(vm, &value, args, "lower")
}

pub(super) fn capitalize<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    by_method(vm, &value, args, "capitalize")
}

pub(super) fn string<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("soft_str", &[])?;
    soft_str(&value)
}

pub(super) fn trim<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    if args.pos.is_empty()
        && args.kw.is_empty()
        && let Value::Str(text) = value
    {
        let (start, end) = space::strip_range(text, None, true, true);
        return Ok(Value::Str(&text[start..end]));
    }
    let [chars] = args.bind("do_trim", &["chars"], 0)?;
    let text = soft_str(&value)?;
    let pos = if absent(&chars) { Vec::new() } else { vec![chars] };
    methods::call(vm, &text, "strip", Args { pos, kw: Vec::new() })
}

/// Words start after spaces, hyphens and opening brackets; the first letter is upper, the rest lower.
pub(super) fn title<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_title", &[])?;
    let text = soft_str(&value)?;
    let text = text.as_str().unwrap_or_default();
    look(per_character(text))?;
    make(text.len().saturating_mul(2))?;
    let boundary = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let inside = !rest.starts_with(boundary);
        let end = rest.find(|c| boundary(c) == inside).unwrap_or(rest.len());
        let word = &rest[..end];
        let first = word.chars().next().map_or(0, char::len_utf8);
        out.push_str(&case::upper(&word[..first]));
        out.push_str(&case::lower(&word[first..]));
        rest = &rest[end..];
    }
    Ok(Value::string(out))
}

pub(super) fn replace<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [old, new, count] = args.bind("do_replace", &["old", "new", "count"], 2)?;
    let text = plain_str(&value)?;
    let mut pos = vec![plain_str(&old)?, plain_str(&new)?];
    if !absent(&count) {
        pos.push(count);
    }
    methods::call(vm, &text, "replace", Args { pos, kw: Vec::new() })
}

pub(super) fn center<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [width] = args.bind("do_center", &["width"], 0)?;
    let width = Value::Int(size_or(&width, 80)?);
    let text = soft_str(&value)?;
    methods::call(vm, &text, "center", Args { pos: vec![width], kw: Vec::new() })
}

pub(super) fn indent<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [width, first, blank] = args.bind("do_indent", &["width", "first", "blank"], 0)?;
    value.defined()?;
    let Some(text) = value.as_str() else {
        let name = value.type_name();
        return Err(Error::type_error(format!("unsupported operand type(s) for +=: '{name}' and 'str'")));
    };
    width.defined()?;
    let indent = match width.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let width = usize::try_from(size_or(&width, 4)?).unwrap_or(0);
            make(width)?;
            " ".repeat(width)
        }
    };
    let blank = truthy(&blank);
    let mut out = String::with_capacity(text.len() + 64);
    if truthy(&first) {
        out.push_str(&indent);
    }
    // The quirk of jinja2: a newline is added first, so that a trailing one survives the splitting.
    make(text.len())?;
    let whole = format!("{text}\n");
    let found = lines(&whole, false)?;
    make(found.len().saturating_mul(indent.len()).saturating_add(text.len()))?;
    for (i, (start, end)) in found.into_iter().enumerate() {
        let line = &whole[start..end];
        if i > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indent);
            }
        }
        out.push_str(line);
    }
    Ok(like(&value, out))
}

pub(super) fn truncate<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let names = ["length", "killwords", "end", "leeway"];
    let [length, killwords, end, leeway] = args.bind("do_truncate", &names, 0)?;
    if matches!(length, Value::Float(_)) || matches!(leeway, Value::Float(_)) {
        return Err(Error::unsupported("truncate with a length that is not an integer"));
    }
    let length = integer_or(&length, 255)?;
    let leeway = if absent(&leeway) { 5 } else { integer(&leeway)? };
    let end_value = if matches!(end, Value::Missing) { Value::Str("...") } else { end };
    let Some(end) = end_value.as_str() else {
        return Err(Error::unsupported("truncate with an end that is not a string"));
    };
    let end_length = i64::try_from(end.chars().count()).unwrap_or(i64::MAX);
    if length < end_length || leeway < 0 {
        return Err(Error::runtime(format!("expected length >= {end_length}, got {length}")));
    }
    if value.is_undefined() {
        return Ok(value);
    }
    let (Some(text), false) = (value.as_str(), matches!(value, Value::Markup(_))) else {
        return Err(Error::unsupported("truncate of a value that is not a plain string"));
    };
    if i64::try_from(text.chars().count()).unwrap_or(i64::MAX) <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let keep = usize::try_from(length - end_length).unwrap_or(0);
    let cut = text.char_indices().nth(keep).map_or(text, |(i, _)| &text[..i]);
    let cut = if truthy(&killwords) { cut } else { cut.rsplit_once(' ').map_or(cut, |(head, _)| head) };
    make(cut.len() + end.len())?;
    Ok(Value::string(format!("{cut}{end}")))
}

pub(super) fn wordcount<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_wordcount", &[])?;
    let text = soft_str(&value)?;
    let text = text.as_str().unwrap_or_default();
    let (mut words, mut inside) = (0, false);
    for chunk in paid(text) {
        for c in chunk?.chars() {
            let before = inside;
            inside = is_alnum(c) || c == '_';
            words += usize::from(inside && !before);
        }
    }
    Ok(Value::size(words))
}

/// `text % arguments`.
pub(super) fn format<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    if !args.pos.is_empty() && !args.kw.is_empty() {
        return Err(Error::type_error("can't handle positional and keyword arguments at the same time"));
    }
    let text = soft_str(&value)?;
    if matches!(text, Value::Markup(_)) {
        return Err(Error::unsupported("format on markup"));
    }
    let values = if args.kw.is_empty() {
        Value::tuple(args.pos)?
    } else {
        let mut dict = Dict::with_capacity(args.kw.len());
        for (key, value) in args.kw {
            dict.insert(key, value)?;
        }
        Value::Dict(dict.into())
    };
    printf(text.as_str().unwrap_or_default(), &values).map(Value::string)
}
