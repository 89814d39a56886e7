//! Filters that choose and map: `map`, `select` and its kin, `default`, `attr`.

use std::rc::Rc;

use super::sequence::generator;
use crate::template::builtins::args::{Args, absent};
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::index::attribute;
use crate::template::ops::truth::truthy;
use crate::template::text::unicode::{decimal_value, is_digit};
use crate::template::value::{Select, Step, Value};

type Filtered<'a> = Result<Value<'a>>;

/// An attribute path: dots separate parts, and parts of digits are indices.
pub(crate) fn attribute_parts<'a>(path: &Value<'a>) -> Vec<Value<'a>> {
    if absent(path) {
        return Vec::new();
    }
    let Some(text) = path.as_str() else { return vec![path.clone()] };
    let mut start = 0;
    let mut parts = Vec::new();
    for piece in text.split('.') {
        let end = start + piece.len();
        let number = (!piece.is_empty() && piece.chars().all(is_digit)).then(|| {
            piece.chars().try_fold(0i64, |n, c| n.checked_mul(10)?.checked_add(i64::from(decimal_value(c)?)))
        });
        parts.push(match number.flatten() {
            Some(number) => Value::Int(number),
            None => path.part(start, end),
        });
        start = end + 1;
    }
    parts
}

pub(super) fn map<'a>(_: &mut Vm<'a>, value: Value<'a>, mut args: Args<'a>) -> Filtered<'a> {
    if args.pos.is_empty() {
        if let Some(path) = args.take("attribute") {
            let default = args.take("default").filter(|d| !absent(d));
            if let Some((name, _)) = args.kw.first() {
                let name = name.as_str().unwrap_or_default();
                return generator(value, Step::Fail(format!("Unexpected keyword argument '{name}'")));
            }
            return generator(value, Step::MapAttr { parts: attribute_parts(&path), default });
        }
        return generator(value, Step::Fail("map requires a filter argument".into()));
    }
    let name = args.pos.remove(0);
    generator(value, Step::MapFilter { name, args })
}

fn choose<'a>(value: Value<'a>, mut args: Args<'a>, by_attr: bool, keep: bool) -> Filtered<'a> {
    let mut pos = args.pos.into_iter();
    let attr = if by_attr {
        let Some(path) = pos.next() else {
            return generator(value, Step::Fail("Missing parameter for attribute name".into()));
        };
        Some(attribute_parts(&path))
    } else {
        None
    };
    let name = pos.next();
    args.pos = pos.collect();
    let test = name.map(|name| (name, args));
    generator(value, Step::Select(Select { attr, test, keep }))
}

pub(super) fn select<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    choose(value, args, false, true)
}

pub(super) fn reject<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    choose(value, args, false, false)
}

pub(super) fn selectattr<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    choose(value, args, true, true)
}

pub(super) fn rejectattr<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    choose(value, args, true, false)
}

pub(super) fn default<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [default, boolean] = args.bind("do_default", &["default_value", "boolean"], 0)?;
    if value.is_undefined() || truthy(&boolean) && !truthy(&value) {
        return Ok(if matches!(default, Value::Missing) { Value::Str("") } else { default });
    }
    Ok(value)
}

/// The attribute alone, without falling back to an item.
pub(super) fn attr<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [name] = args.exactly("do_attr", &["name"])?;
    let Some(text) = name.as_str() else {
        return Err(Error::type_error("attribute name must be string"));
    };
    if let Value::Object(_) = &value {
        return Err(Error::unsupported("the filter attr on this value"));
    }
    if value.is_undefined() && text.starts_with('_') {
        return Err(Error::unsupported("a private attribute of an undefined value"));
    }
    value.defined()?;
    let text: Rc<str> = Rc::from(text);
    let found = attribute(&value, &text)?;
    Ok(found.unwrap_or_else(|| Value::missing_element(&value, Value::Owned(text))))
}
