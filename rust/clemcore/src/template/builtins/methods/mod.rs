//! The methods of Python's built-in types, as far as the sandbox lets templates call them.

mod container;
mod find;
mod predicate;
mod split;
mod string;

use super::admit;
use super::args::Args;
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
pub(crate) use crate::template::ops::index::Method;
use crate::template::value::{Object, Value};

const STRING: [&str; 45] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// What the type of `value` knows about the public name `name`.
pub(crate) fn has_method(value: &Value<'_>, name: &str) -> Method {
    match value {
        Value::Str(_) | Value::Owned(_) | Value::Markup(_) => match name {
            _ if STRING.contains(&name) => Method::Yes,
            "encode" | "maketrans" => Method::Unknown,
            "escape" | "striptags" | "unescape" if matches!(value, Value::Markup(_)) => Method::Unknown,
            _ => Method::No,
        },
        Value::Dict(_) => match name {
            "get" | "items" | "keys" | "values" | "copy" | "fromkeys" => Method::Yes,
            "clear" | "pop" | "popitem" | "setdefault" | "update" => Method::Unsafe,
            _ => Method::No,
        },
        Value::List(_) => match name {
            "count" | "index" | "copy" => Method::Yes,
            "append" | "clear" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" => {
                Method::Unsafe
            }
            _ => Method::No,
        },
        Value::Tuple(_) if matches!(name, "count" | "index") => Method::Yes,
        Value::Int(_) | Value::Big(_) | Value::Bool(_) => match name {
            "bit_length" | "conjugate" => Method::Yes,
            "real" | "imag" | "numerator" | "denominator" => Method::Property,
            "as_integer_ratio" | "bit_count" | "from_bytes" | "to_bytes" | "is_integer" => Method::Unknown,
            _ => Method::No,
        },
        Value::Float(_) => match name {
            "is_integer" | "conjugate" => Method::Yes,
            "real" | "imag" => Method::Property,
            "as_integer_ratio" | "fromhex" | "hex" | "from_number" => Method::Unknown,
            _ => Method::No,
        },
        _ => Method::No,
    }
}

/// Calls a method that [`has_method`] knows, or one of an object.
pub(crate) fn call<'a>(vm: &mut Vm<'a>, owner: &Value<'a>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    admit(vm, owner, &args)?;
    match owner {
        Value::Str(_) | Value::Owned(_) | Value::Markup(_) => string::call(vm, owner, name, args),
        Value::Dict(dict) => container::dict(vm, dict, name, args),
        Value::List(seq) | Value::Tuple(seq) => container::sequence(owner, seq, name, args),
        Value::Object(object) => of_object(vm, object, name, args),
        _ => number(owner, name, args),
    }
}

fn number<'a>(owner: &Value<'a>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    args.positional::<0>(name, 0)?;
    Ok(match (owner, name) {
        (Value::Bool(b), "conjugate") => Value::Int(i64::from(*b)),
        (_, "conjugate") => owner.clone(),
        (Value::Bool(b), "bit_length") => Value::Int(i64::from(*b)),
        (Value::Int(i), "bit_length") => Value::Int(i64::from(64 - i.unsigned_abs().leading_zeros())),
        (Value::Big(i), "bit_length") => Value::Int(i64::try_from(i.bits()).unwrap_or(i64::MAX)),
        (Value::Float(f), "is_integer") => Value::Bool(f.is_finite() && f.fract() == 0.0),
        _ => return Err(Error::unsupported(format!("the method {name} of {}", owner.type_name()))),
    })
}

fn of_object<'a>(vm: &mut Vm<'a>, object: &Object<'a>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    match (object, name) {
        (Object::Cycler(items, pos), "next") => {
            args.positional::<0>(name, 0)?;
            let current = pos.get();
            pos.set((current + 1) % items.len());
            items.get(current).cloned().ok_or_else(|| Error::value("empty cycler"))
        }
        (Object::Cycler(_, pos), "reset") => {
            args.positional::<0>(name, 0)?;
            pos.set(0);
            Ok(Value::None)
        }
        (Object::Global(_), "fromkeys") => container::fromkeys(vm, args),
        _ => Err(Error::unsupported(format!("the method {name} of {}", object.type_name()))),
    }
}
