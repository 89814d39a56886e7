//! The tests: `x is name(…)`.

use std::rc::Rc;

use super::TestFn;
use super::args::Args;
use super::filters;
use crate::template::ast::{BinOp, CmpOp};
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::compare::equals;
use crate::template::ops::number::binary;
use crate::template::text::case::is_all;
use crate::template::text::repr::{repr, write_str};
use crate::template::value::{Object, Value};

/// The test of this name.
pub(crate) fn find(name: &str) -> Option<TestFn> {
    Some(match name {
        "odd" => |_, v, a| remainder_is(v, a, 1),
        "even" => |_, v, a| remainder_is(v, a, 0),
        "divisibleby" => divisible,
        "defined" => |_, v, a| none(a, !v.is_undefined()),
        "undefined" => |_, v, a| none(a, v.is_undefined()),
        "filter" => |_, v, a| none(a, v.as_str().is_some_and(filters::known)),
        "test" => |_, v, a| none(a, v.as_str().is_some_and(|name| find(name).is_some())),
        "none" => |_, v, a| none(a, matches!(v, Value::None)),
        "boolean" => |_, v, a| none(a, matches!(v, Value::Bool(_))),
        "false" => |_, v, a| none(a, matches!(v, Value::Bool(false))),
        "true" => |_, v, a| none(a, matches!(v, Value::Bool(true))),
        "integer" => |_, v, a| none(a, matches!(v, Value::Int(_) | Value::Big(_))),
        "float" => |_, v, a| none(a, matches!(v, Value::Float(_))),
        "lower" => |_, v, a| none(a, case(v, true)?),
        "upper" => |_, v, a| none(a, case(v, false)?),
        "string" => |_, v, a| none(a, v.as_str().is_some()),
        "mapping" => |_, v, a| none(a, matches!(v, Value::Dict(_))),
        "number" => {
            |_, v, a| none(a, matches!(v, Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_)))
        }
        "sequence" => |_, v, a| none(a, is_sequence(v)),
        "iterable" => |_, v, a| none(a, is_iterable(v)),
        "callable" => |_, v, a| none(a, is_callable(v)),
        "sameas" => |_, v, a| same(v, &one(a)?),
        "escaped" => |_, v, a| none(a, matches!(v, Value::Markup(_))),
        "in" => |vm, v, a| vm.compare_values(CmpOp::In, v, &one(a)?),
        "==" | "eq" | "equalto" => |_, v, a| Ok(equals(v, &one(a)?)),
        "!=" | "ne" => |_, v, a| Ok(!equals(v, &one(a)?)),
        ">" | "gt" | "greaterthan" => |vm, v, a| vm.compare_values(CmpOp::Gt, v, &one(a)?),
        ">=" | "ge" => |vm, v, a| vm.compare_values(CmpOp::Ge, v, &one(a)?),
        "<" | "lt" | "lessthan" => |vm, v, a| vm.compare_values(CmpOp::Lt, v, &one(a)?),
        "<=" | "le" => |vm, v, a| vm.compare_values(CmpOp::Le, v, &one(a)?),
        _ => return None,
    })
}

/// The test that a value names, for `select` and its kin.
pub(crate) fn by_value(name: &Value<'_>) -> Result<TestFn> {
    name.as_str().and_then(find).ok_or_else(|| {
        let shown = repr(name).unwrap_or_default();
        Error::runtime(format!("No test named {shown}."))
    })
}

fn none(args: Args<'_>, answer: bool) -> Result<bool> {
    args.exactly::<0>("test", &[]).map(|_| answer)
}

fn one(args: Args<'_>) -> Result<Value<'_>> {
    let [value] = args.positional::<1>("test", 1)?;
    Ok(value)
}

fn remainder_is<'a>(value: &Value<'a>, args: Args<'a>, wanted: i64) -> Result<bool> {
    args.exactly::<0>("test", &[])?;
    Ok(equals(&binary(BinOp::Mod, value, &Value::Int(2))?, &Value::Int(wanted)))
}

fn divisible<'a>(_: &mut Vm<'a>, value: &Value<'a>, args: Args<'a>) -> Result<bool> {
    let [num] = args.exactly("test_divisibleby", &["num"])?;
    Ok(equals(&binary(BinOp::Mod, value, &num)?, &Value::Int(0)))
}

fn case(value: &Value<'_>, lower: bool) -> Result<bool> {
    let mut text = String::new();
    write_str(value, &mut text)?;
    Ok(is_all(&text, lower))
}

/// Has a length and can be subscripted.
fn is_sequence(value: &Value<'_>) -> bool {
    match value {
        Value::Undefined(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Object(object) => matches!(&**object, Object::Range { .. } | Object::Group(..)),
        _ => value.as_str().is_some(),
    }
}

fn is_iterable(value: &Value<'_>) -> bool {
    match value {
        Value::Undefined(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Object(object) => matches!(
            &**object,
            Object::Range { .. } | Object::Group(..) | Object::View(..) | Object::Gen(..) | Object::Loop(_)
        ),
        _ => value.as_str().is_some(),
    }
}

fn is_callable(value: &Value<'_>) -> bool {
    match value {
        Value::Undefined(_) => true,
        Value::Object(object) => matches!(
            &**object,
            Object::Macro { .. }
                | Object::Method(..)
                | Object::Global(_)
                | Object::Joiner(..)
                | Object::Loop(_)
        ),
        _ => false,
    }
}

/// Identity. Known for singletons, containers and small integers; for the rest only Python can tell.
fn same<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<bool> {
    Ok(match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::List(x), Value::List(y)) => x.is(y),
        (Value::Tuple(x), Value::Tuple(y)) => x.is(y),
        (Value::Dict(x), Value::Dict(y)) => x.is(y),
        (Value::Object(x), Value::Object(y)) => Rc::ptr_eq(x, y),
        (Value::Int(x), Value::Int(y)) if x != y => false,
        (Value::Int(x), Value::Int(_)) if (-5..=256).contains(x) => true,
        _ if a.type_name() != b.type_name() => false,
        _ if a.as_str().is_some() && a.as_str() != b.as_str() => false,
        _ => return Err(Error::unsupported("the identity of equal values")),
    })
}
