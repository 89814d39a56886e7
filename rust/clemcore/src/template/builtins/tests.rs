//! The tests: `x is name(…)`.

use super::TestFn;
use super::args::Args;
use super::filters;
use super::markup::soft_str;
use crate::template::ast::{BinOp, CmpOp};
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::compare::equals;
use crate::template::ops::number::binary;
use crate::template::text::case::is_all;
use crate::template::text::repr::repr;
use crate::template::value::{Object, Value, check_hashable};

/// What a test does.
#[derive(Clone, Copy)]
pub(crate) enum TestKind {
    /// Looks at the value alone, cannot fail, and takes `Missing` as undefined.
    Check(for<'v, 'a> fn(&'v Value<'a>) -> bool),
    Func(TestFn),
}

impl TestKind {
    pub(crate) fn call<'a>(self, vm: &mut Vm<'a>, value: &Value<'a>, args: Args<'a>) -> Result<bool> {
        match self {
            Self::Check(check) => none(args, check(value)),
            Self::Func(func) => func(vm, value, args),
        }
    }
}

/// The test of this name.
pub(crate) fn find(name: &str) -> Option<TestKind> {
    check(name).map(TestKind::Check).or_else(|| func(name).map(TestKind::Func))
}

fn check(name: &str) -> Option<for<'v, 'a> fn(&'v Value<'a>) -> bool> {
    Some(match name {
        "defined" => |v| !undefined(v),
        "undefined" => |v| undefined(v),
        "none" => |v| matches!(v, Value::None),
        "boolean" => |v| matches!(v, Value::Bool(_)),
        "false" => |v| matches!(v, Value::Bool(false)),
        "true" => |v| matches!(v, Value::Bool(true)),
        "integer" => |v| matches!(v, Value::Int(_) | Value::Big(_)),
        "float" => |v| matches!(v, Value::Float(_)),
        "string" => |v| v.as_str().is_some(),
        "mapping" => |v| matches!(v, Value::Dict(_)),
        "number" => |v| matches!(v, Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_)),
        "sequence" => is_sequence,
        "iterable" => is_iterable,
        "callable" => is_callable,
        "escaped" => |v| matches!(v, Value::Markup(_)),
        _ => return None,
    })
}

fn func(name: &str) -> Option<TestFn> {
    Some(match name {
        "odd" => |_, v, a| remainder_is(v, a, 1),
        "even" => |_, v, a| remainder_is(v, a, 0),
        "divisibleby" => divisible,
        "filter" => |_, v, a| none(a, is_name(v, filters::known)?),
        "test" => |_, v, a| none(a, is_name(v, |name| find(name).is_some())?),
        "lower" => |_, v, a| none(a, case(v, true)?),
        "upper" => |_, v, a| none(a, case(v, false)?),
        "sameas" => |_, v, a| same(v, &one(a)?),
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
pub(crate) fn by_value(name: &Value<'_>) -> Result<TestKind> {
    name.as_str().and_then(find).ok_or_else(|| {
        let shown = repr(name).unwrap_or_default();
        Error::runtime(format!("No test named {shown}."))
    })
}

/// Whether a value is a key of a table of names.
fn is_name(value: &Value<'_>, known: impl FnOnce(&str) -> bool) -> Result<bool> {
    check_hashable(value)?;
    Ok(value.as_str().is_some_and(known))
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
    let text = soft_str(value)?;
    let text = text.as_str().unwrap_or_default();
    is_all(text, lower)
}

fn undefined(value: &Value<'_>) -> bool {
    matches!(value, Value::Missing | Value::Undefined(_))
}

/// Has a length and can be subscripted.
fn is_sequence(value: &Value<'_>) -> bool {
    match value {
        Value::Missing | Value::Undefined(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Object(object) => matches!(&**object, Object::Range { .. } | Object::Group(..)),
        _ => value.as_str().is_some(),
    }
}

pub(crate) fn is_iterable(value: &Value<'_>) -> bool {
    match value {
        Value::Missing | Value::Undefined(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => true,
        Value::Object(object) => matches!(
            &**object,
            Object::Range { .. } | Object::Group(..) | Object::View(..) | Object::Gen(..) | Object::Loop(_)
        ),
        _ => value.as_str().is_some(),
    }
}

fn is_callable(value: &Value<'_>) -> bool {
    match value {
        Value::Missing | Value::Undefined(_) => true,
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
        (Value::Object(x), Value::Object(y)) => x.is(y),
        (Value::Int(x), Value::Int(y)) if x != y => false,
        (Value::Int(x), Value::Int(_)) if (-5..=256).contains(x) => true,
        _ if a.type_name() != b.type_name() => false,
        _ if a.as_str().is_some() && a.as_str() != b.as_str() => false,
        _ => return Err(Error::unsupported("the identity of equal values")),
    })
}
