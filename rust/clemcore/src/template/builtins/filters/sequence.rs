//! Filters on sequences and iterations.

use crate::template::budget::{grow, make};
use crate::template::builtins::args::{Args, absent, integer};
use crate::template::builtins::filters::select::attribute_parts;
use crate::template::error::{Error, Result};
use crate::template::eval::iterate;
use crate::template::eval::{Vm, walk};
use crate::template::ops::truth::{self, truthy};
use crate::template::text::repr::write_str;
use crate::template::value::{Gen, Iter, MAX_NESTING, Object, Step, Value, View};
use std::cell::RefCell;

type Filtered<'a> = Result<Value<'a>>;

/// A lazy iteration over `value`.
pub(super) fn generator<'a>(value: Value<'a>, step: Step<'a>) -> Filtered<'a> {
    let depth = value.depth() + 1;
    if depth > MAX_NESTING {
        return Err(Error::recursion("iterations are nested too deeply"));
    }
    Ok(Value::object(Object::Gen(RefCell::new(Gen::Start(value, Box::new(step))), depth)))
}

pub(super) fn length<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("len", &[])?;
    truth::length(&value).map(Value::size)
}

pub(super) fn list<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_list", &[])?;
    Value::list(vm.collect(value)?)
}

pub(super) fn items<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_items", &[])?;
    generator(value, Step::Items)
}

pub(super) fn first<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_first", &[])?;
    let mut iter = iterate(value)?;
    let item = vm.next(&mut iter)?;
    Ok(item.unwrap_or_else(|| Value::undefined_hint("No first item, sequence was empty.")))
}

pub(super) fn last<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_last", &[])?;
    if let Some(text) = value.as_str() {
        return match text.char_indices().next_back() {
            Some((start, _)) => Ok(value.part(start, text.len())),
            None => Ok(Value::undefined_hint("No last item, sequence was empty.")),
        };
    }
    let Some((mut iter, _)) = reversed(&value) else {
        let name = value.type_name();
        return Err(Error::type_error(format!("'{name}' object is not reversible")));
    };
    let item = vm.next(&mut iter)?;
    Ok(item.unwrap_or_else(|| Value::undefined_hint("No last item, sequence was empty.")))
}

/// Python's `reversed(value)` for everything but strings, and the name of the iterator's type.
fn reversed<'a>(value: &Value<'a>) -> Option<(Iter<'a>, &'static str)> {
    Some(match value {
        Value::Undefined(_) => (Iter::Empty, "reversed"),
        Value::List(seq) => (Iter::SeqBack(seq.clone(), seq.items.len()), "list_reverseiterator"),
        Value::Tuple(seq) => (Iter::SeqBack(seq.clone(), seq.items.len()), "reversed"),
        Value::Dict(dict) => {
            (Iter::ViewBack(View::Keys, dict.clone(), dict.len()), "dict_reversekeyiterator")
        }
        Value::Object(object) => match &**object {
            Object::View(view, dict) => {
                let name = match view {
                    View::Keys => "dict_reversekeyiterator",
                    View::Values => "dict_reversevalueiterator",
                    View::Items => "dict_reverseitemiterator",
                };
                (Iter::ViewBack(*view, dict.clone(), dict.len()), name)
            }
            Object::Range { start, stop, step } => {
                let length =
                    i64::try_from(crate::template::value::range_len(*start, *stop, *step)).unwrap_or(0);
                let last = start.saturating_add((length - 1).saturating_mul(*step));
                let before = start.saturating_sub(*step);
                let (next, stop) = if length == 0 { (0, 0) } else { (last, before) };
                (Iter::Range { next, stop, step: if length == 0 { 1 } else { -step } }, "range_iterator")
            }
            Object::Group(..) => return reversed(&value.ungrouped()?),
            _ => return None,
        },
        _ => return None,
    })
}

pub(super) fn reverse<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("do_reverse", &[])?;
    if let Some(text) = value.as_str() {
        make(text.len())?;
        let text = text.chars().rev().collect();
        return Ok(crate::template::builtins::markup::like(&value, text));
    }
    if let Some((iter, name)) = reversed(&value) {
        let depth = value.depth() + 1;
        return Ok(Value::object(Object::Gen(RefCell::new(Gen::Plain(iter, name)), depth)));
    }
    let mut items = vm.collect(value).map_err(|_| Error::type_error("argument must be iterable"))?;
    items.reverse();
    Value::list(items)
}

pub(super) fn join<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [separator, attribute] = args.bind("do_join", &["d", "attribute"], 0)?;
    let mut between = String::new();
    if !matches!(separator, Value::Missing) {
        write_str(&separator, &mut between)?;
    }
    let parts = if absent(&attribute) { Vec::new() } else { attribute_parts(&attribute) };
    let mut iter = iterate(value)?;
    let mut out = String::new();
    let mut first = true;
    while let Some(item) = vm.next(&mut iter)? {
        if !first {
            grow(&out, between.len())?;
            out.push_str(&between);
        }
        first = false;
        write_str(&walk(item, &parts, None)?, &mut out)?;
    }
    Ok(Value::string(out))
}

pub(super) fn batch<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [count, fill] = args.bind("do_batch", &["linecount", "fill_with"], 1)?;
    let (Value::Int(count), fill) = (&count, fill) else {
        return Err(Error::unsupported("batch with a count that is not an integer"));
    };
    if *count <= 0 {
        return Err(Error::unsupported("batch with a count below one"));
    }
    generator(value, Step::Batch { count: *count, fill: Some(fill).filter(|f| !absent(f)) })
}

pub(super) fn slice<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [count, fill] = args.bind("do_slice", &["slices", "fill_with"], 1)?;
    let count = integer(&count)?;
    generator(value, Step::Slices { count, fill: Some(fill).filter(|f| !absent(f)) })
}

pub(super) fn unique<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [case_sensitive, attribute] = args.bind("do_unique", &["case_sensitive", "attribute"], 0)?;
    let parts = attribute_parts(&attribute);
    generator(value, Step::Unique { parts, case_sensitive: truthy(&case_sensitive), seen: Vec::new() })
}
