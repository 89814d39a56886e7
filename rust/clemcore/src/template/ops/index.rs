//! `value.name` and `value[key]` as the sandbox allows them.
//!
//! jinja2 tries the attribute first for a dot and the item first for brackets. The sandbox hides private attributes
//! and every method that would change a container.

use std::rc::Rc;

use crate::template::budget::{gather, spend};
use crate::template::builtins::methods::has_method;
use crate::template::error::{Error, Result};
use crate::template::value::{Object, Shared, Value};

/// Private names that undefined values have beside those of every object.
const UNDEFINED: [&str; 31] = [
    "__add__",
    "__aiter__",
    "__bool__",
    "__call__",
    "__complex__",
    "__div__",
    "__float__",
    "__floordiv__",
    "__getattr__",
    "__getitem__",
    "__int__",
    "__iter__",
    "__len__",
    "__mod__",
    "__module__",
    "__mul__",
    "__neg__",
    "__pos__",
    "__pow__",
    "__radd__",
    "__rdiv__",
    "__rfloordiv__",
    "__rmod__",
    "__rmul__",
    "__rpow__",
    "__rsub__",
    "__rtruediv__",
    "__slots__",
    "__sub__",
    "__truediv__",
    "_fail_with_undefined_error",
];

/// Attributes that every Python object has.
const COMMON: [&str; 24] = [
    "__class__",
    "__delattr__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__le__",
    "__lt__",
    "__ne__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__str__",
    "__subclasshook__",
];
/// Attributes that the containers and strings have besides.
const CONTAINER: [&str; 4] = ["__len__", "__iter__", "__contains__", "__getitem__"];

/// `value.name`; `key` makes the name as a value where it is needed.
pub(crate) fn get_attr<'a>(
    value: &Value<'a>,
    name: &str,
    key: impl FnOnce() -> Value<'a>,
) -> Result<Value<'a>> {
    if let Some(found) = attribute(value, name)? {
        return Ok(found);
    }
    match value {
        Value::Dict(dict) => {
            if let Some(found) = dict.get_str(name) {
                return Ok(found.clone());
            }
        }
        Value::Undefined(undef) => return Err(undef.error()),
        _ => {}
    }
    Ok(Value::missing_element(value, key()))
}

/// The Python attribute `name`, if the value has one; an unsafe one is an undefined value that says so.
pub(crate) fn attribute<'a>(value: &Value<'a>, name: &str) -> Result<Option<Value<'a>>> {
    if name.starts_with('_') {
        return private(value, name);
    }
    if let Value::Object(object) = value {
        return of_object(value, object, name);
    }
    match has_method(value, name) {
        Method::No => Ok(None),
        Method::Unsafe => Ok(Some(Value::unsafe_attribute(value, name))),
        Method::Yes => Ok(Some(Value::object(Object::Method(value.clone(), Rc::from(name))))),
        Method::Property => property(value, name).map(Some),
        Method::Unknown => Err(Error::unsupported(format!("the attribute {name} of {}", value.type_name()))),
    }
}

/// What a type knows about a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    No,
    Yes,
    /// Exists, but would change the value.
    Unsafe,
    /// Not a method but a plain value.
    Property,
    /// Exists in Python, but is not covered here.
    Unknown,
}

fn private<'a>(value: &Value<'a>, name: &str) -> Result<Option<Value<'a>>> {
    let container =
        value.as_str().is_some() || matches!(value, Value::List(_) | Value::Tuple(_) | Value::Dict(_));
    let is_namespace = matches!(value, Value::Object(o) if matches!(&**o, Object::Namespace(..)));
    if is_namespace {
        return Ok((name == "__class__").then(|| Value::unsafe_attribute(value, name)));
    }
    if COMMON.contains(&name) || container && CONTAINER.contains(&name) {
        return Ok(Some(Value::unsafe_attribute(value, name)));
    }
    let doubtful =
        name.starts_with("__") && name.ends_with("__") || !matches!(value, Value::Dict(_)) && !container;
    if doubtful && !matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_)) {
        if let Value::Undefined(undef) = value {
            let known = UNDEFINED.contains(&name) || name.starts_with("_undefined_");
            return if known { Ok(Some(Value::unsafe_attribute(value, name))) } else { Err(undef.error()) };
        }
        return Err(Error::unsupported(format!("the attribute {name} of {}", value.type_name())));
    }
    Ok(None)
}

fn property<'a>(value: &Value<'a>, name: &str) -> Result<Value<'a>> {
    Ok(match (value, name) {
        (Value::Bool(b), "real" | "numerator") => Value::Int(i64::from(*b)),
        (Value::Float(_), "imag") => Value::Float(0.0),
        (_, "real" | "numerator") => value.clone(),
        (_, "imag") => Value::Int(0),
        (_, "denominator") => Value::Int(1),
        _ => return Err(Error::unsupported(format!("the attribute {name}"))),
    })
}

fn of_object<'a>(
    value: &Value<'a>,
    object: &Shared<'a, Object<'a>>,
    name: &str,
) -> Result<Option<Value<'a>>> {
    let method = || Some(Value::object(Object::Method(value.clone(), Rc::from(name))));
    Ok(match &**object {
        Object::Namespace(attrs, _) => {
            spend(attrs.borrow().len() / 16)?;
            attrs.borrow().iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, v)| v.clone())
        }
        Object::Range { start, stop, step } => match name {
            "start" => Some(Value::Int(*start)),
            "stop" => Some(Value::Int(*stop)),
            "step" => Some(Value::Int(*step)),
            "index" | "count" => return Err(Error::unsupported("range methods")),
            _ => None,
        },
        Object::Cycler(items, pos) => match name {
            "next" | "reset" => method(),
            "current" => items.get(pos.get()).cloned(),
            "pos" => Some(Value::size(pos.get())),
            "items" => {
                gather(items.len())?;
                Some(Value::tuple(items.clone())?)
            }
            _ => None,
        },
        Object::Group(key, list) => match name {
            "grouper" => Some(key.clone()),
            "list" => Some(list.clone()),
            "count" | "index" => return Err(Error::unsupported("tuple methods of a group")),
            _ => None,
        },
        Object::Global(global) => {
            if global.is_dict() && name == "fromkeys" {
                method()
            } else {
                None
            }
        }
        Object::View(..) if matches!(name, "isdisjoint" | "mapping") => {
            return Err(Error::unsupported("dict view methods"));
        }
        Object::Gen(..) if matches!(name, "close" | "send" | "throw") || name.starts_with("gi_") => {
            return Err(Error::unsupported("generator methods"));
        }
        Object::Joiner(..) if matches!(name, "sep" | "used") => {
            return Err(Error::unsupported("joiner attributes"));
        }
        _ => None,
    })
}

/// `value[key]`, falling back to the attribute for a string key.
pub(crate) fn get_item<'a>(value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
    let found = match value {
        Value::Undefined(undef) => return Err(undef.error()),
        Value::Dict(dict) => dict.get(key).ok().flatten().cloned(),
        Value::List(seq) | Value::Tuple(seq) => {
            place(key, seq.items.len()).and_then(|i| seq.items.get(i)).cloned()
        }
        Value::Str(_) | Value::Owned(_) | Value::Markup(_) => char_at(value, key),
        Value::Object(object) => match &**object {
            Object::Range { start, stop, step } => {
                let length = crate::template::value::range_len(*start, *stop, *step);
                place(key, usize::try_from(length).unwrap_or(0))
                    .and_then(|i| i64::try_from(i).ok())
                    .map(|i| Value::Int(start + i * step))
            }
            Object::Group(k, list) => place(key, 2).map(|i| if i == 0 { k.clone() } else { list.clone() }),
            _ => None,
        },
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(name) = key.as_str()
        && let Some(found) = attribute(value, name)?
    {
        return Ok(found);
    }
    Ok(Value::missing_element(value, key.clone()))
}

/// `value["key"]` with a constant key that lives as long as the template.
pub(crate) fn get_item_str<'a>(value: &Value<'a>, key: &'a str) -> Result<Value<'a>> {
    match value {
        Value::Dict(dict) => {
            if let Some(found) = dict.get_str(key) {
                return Ok(found.clone());
            }
        }
        Value::Undefined(undef) => return Err(undef.error()),
        _ => {}
    }
    if let Some(found) = attribute(value, key)? {
        return Ok(found);
    }
    Ok(Value::missing_element(value, Value::Str(key)))
}

/// The place that an index means in a sequence of this length.
fn place(key: &Value<'_>, length: usize) -> Option<usize> {
    let index = match key {
        Value::Int(i) => *i,
        Value::Bool(b) => i64::from(*b),
        _ => return None,
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index.checked_add(length)? } else { index };
    if index < length { usize::try_from(index).ok() } else { None }
}

fn char_at<'a>(value: &Value<'a>, key: &Value<'a>) -> Option<Value<'a>> {
    let text = value.as_str()?;
    spend(text.len() / 512).ok()?;
    if text.is_ascii() {
        let i = place(key, text.len())?;
        return Some(value.part(i, i + 1));
    }
    let i = place(key, text.chars().count())?;
    let (start, c) = text.char_indices().nth(i)?;
    Some(value.part(start, start + c.len_utf8()))
}
