//! `==`, `<`, `in`, and sorting.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::FromPrimitive as _;

use crate::template::ast::CmpOp;
use crate::template::budget::{look, room, spend};
use crate::template::error::{Error, Result};
use crate::template::ops::number::MAX_BITS;
use crate::template::value::{Dict, Object, Value, View, range_len};

/// Shorter texts are compared without paying for them.
const FREE_TEXT: usize = 1024;

/// `a == b`.
pub(crate) fn equals<'a>(a: &Value<'a>, b: &Value<'a>) -> bool {
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return same_text(x, y);
    }
    match (a, b) {
        (Value::None, Value::None) | (Value::Undefined(_), Value::Undefined(_)) => true,
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            x.items.len() == y.items.len() && all_equal(&x.items, &y.items)
        }
        (Value::Dict(x), Value::Dict(y)) => dicts_equal(x, y),
        (Value::Object(x), Value::Object(y)) => x.is(y) || objects_equal(x, y),
        (Value::Object(_), Value::Tuple(_)) => a.ungrouped().is_some_and(|a| equals(&a, b)),
        (Value::Tuple(_), Value::Object(_)) => b.ungrouped().is_some_and(|b| equals(a, &b)),
        _ => numeric(a, b) == Some(Some(Ordering::Equal)),
    }
}

/// `x == y` of texts.
pub(crate) fn same_text(x: &str, y: &str) -> bool {
    x.len() == y.len() && (x.len() < FREE_TEXT || look(x.len()).is_ok()) && x == y
}

fn all_equal<'a>(x: &[Value<'a>], y: &[Value<'a>]) -> bool {
    spend(x.len()).is_ok() && x.iter().zip(y).all(|(a, b)| equals(a, b))
}

fn dicts_equal<'a>(x: &Dict<'a>, y: &Dict<'a>) -> bool {
    spend(x.len()).is_ok()
        && x.len() == y.len()
        && x.entries().iter().all(|(key, a)| y.get(key).ok().flatten().is_some_and(|b| equals(a, b)))
}

fn objects_equal<'a>(x: &Object<'a>, y: &Object<'a>) -> bool {
    match (x, y) {
        (Object::Range { start, stop, step }, Object::Range { start: a, stop: b, step: c }) => {
            let (n, m) = (range_len(*start, *stop, *step), range_len(*a, *b, *c));
            n == m && (n == 0 || start == a && (n == 1 || step == c))
        }
        (Object::Group(k, v), Object::Group(l, w)) => equals(k, l) && equals(v, w),
        (Object::Method(v, name), Object::Method(w, other)) => name == other && equals(v, w),
        (Object::View(side @ (View::Keys | View::Items), d), Object::View(View::Keys | View::Items, e)) => {
            spend(d.len()).is_ok() && d.len() == e.len() && {
                let inside = |(key, value): &(Value<'a>, Value<'a>)| {
                    let item = match side {
                        View::Items => Value::tuple(vec![key.clone(), value.clone()]),
                        _ => Ok(key.clone()),
                    };
                    item.and_then(|item| in_object(y, &item).unwrap_or(Ok(false))).unwrap_or(false)
                };
                d.entries().iter().all(inside)
            }
        }
        _ => false,
    }
}

/// How two numbers compare: `None` when one is not a number, `Some(None)` for a NaN.
#[allow(clippy::option_option, reason = "no number, or numbers without an order")]
fn numeric<'a>(a: &Value<'a>, b: &Value<'a>) -> Option<Option<Ordering>> {
    let int = |v: &Value<'_>| match v {
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Int(i) => Some(*i),
        _ => None,
    };
    if let (Some(x), Some(y)) = (int(a), int(b)) {
        return Some(Some(x.cmp(&y)));
    }
    let big = |v: &Value<'_>| match v {
        Value::Big(i) => Some((**i).clone()),
        v => int(v).map(BigInt::from),
    };
    // Integers are bounded, so this is for their number.
    if matches!(a, Value::Big(_)) || matches!(b, Value::Big(_)) {
        look(MAX_BITS / 64).ok()?;
    }
    Some(match (a, b) {
        (Value::Float(x), Value::Float(y)) => x.partial_cmp(y),
        (Value::Float(x), y) => with_float(&big(y)?, *x).map(Ordering::reverse),
        (x, Value::Float(y)) => with_float(&big(x)?, *y),
        (x, y) => Some(big(x)?.cmp(&big(y)?)),
    })
}

/// Compares an integer with a float exactly.
fn with_float(int: &BigInt, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let floor = BigInt::from_f64(float.floor())?;
    Some(int.cmp(&floor).then(if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}

/// `left op right`.
pub(crate) fn compare<'a>(op: CmpOp, left: &Value<'a>, right: &Value<'a>) -> Result<bool> {
    match op {
        CmpOp::Eq => Ok(equals(left, right)),
        CmpOp::Ne => Ok(!equals(left, right)),
        CmpOp::In => contains(right, left),
        CmpOp::NotIn => contains(right, left).map(|found| !found),
        CmpOp::Lt => Ok(order(left, right, "<")? == Some(Ordering::Less)),
        CmpOp::Gt => Ok(order(left, right, ">")? == Some(Ordering::Greater)),
        CmpOp::Le => Ok(matches!(order(left, right, "<=")?, Some(Ordering::Less | Ordering::Equal))),
        CmpOp::Ge => Ok(matches!(order(left, right, ">=")?, Some(Ordering::Greater | Ordering::Equal))),
    }
}

/// The order of two values, `None` with a NaN; values that have no order are an error.
pub(crate) fn order<'a>(a: &Value<'a>, b: &Value<'a>, symbol: &str) -> Result<Option<Ordering>> {
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        spend(x.len().min(y.len()) / 48)?;
        return Ok(Some(x.cmp(y)));
    }
    if let Some(result) = numeric(a, b) {
        return Ok(result);
    }
    match (a, b) {
        (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
            return lexicographic(&x.items, &y.items, symbol);
        }
        _ => {}
    }
    a.defined()?;
    b.defined()?;
    if let (Some(x), Some(y)) = (tuple_of(a), tuple_of(b)) {
        return order(&x, &y, symbol);
    }
    if matches!((a, b), (Value::Object(_), Value::Object(_))) {
        return Err(Error::unsupported("the order of objects"));
    }
    let (x, y) = (a.type_name(), b.type_name());
    Err(Error::type_error(format!("'{symbol}' not supported between instances of '{x}' and '{y}'")))
}

fn tuple_of<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    if matches!(value, Value::Tuple(_)) { Some(value.clone()) } else { value.ungrouped() }
}

fn lexicographic<'a>(x: &[Value<'a>], y: &[Value<'a>], symbol: &str) -> Result<Option<Ordering>> {
    spend(x.len().min(y.len()))?;
    for (a, b) in x.iter().zip(y) {
        if !equals(a, b) {
            return order(a, b, symbol);
        }
    }
    Ok(Some(x.len().cmp(&y.len())))
}

/// `item in container`, for everything but running iterations.
pub(crate) fn contains<'a>(container: &Value<'a>, item: &Value<'a>) -> Result<bool> {
    if let Some(text) = container.as_str() {
        let Some(part) = item.as_str() else {
            let name = item.type_name();
            return Err(Error::type_error(format!(
                "'in <string>' requires string as left operand, not {name}"
            )));
        };
        look(text.len())?;
        return Ok(text.contains(part));
    }
    match container {
        Value::Undefined(_) => Ok(false),
        Value::List(seq) | Value::Tuple(seq) => {
            spend(seq.items.len())?;
            Ok(seq.items.iter().any(|x| equals(x, item)))
        }
        Value::Dict(dict) => Ok(dict.get(item)?.is_some()),
        Value::Object(object) => in_object(object, item).ok_or_else(|| not_iterable(container))?,
        _ => Err(not_iterable(container)),
    }
}

fn not_iterable(value: &Value<'_>) -> Box<Error> {
    Error::type_error(format!("argument of type '{}' is not iterable", value.type_name()))
}

fn in_object<'a>(object: &Object<'a>, item: &Value<'a>) -> Option<Result<bool>> {
    Some(match object {
        Object::View(View::Keys, dict) => dict.get(item).map(|found| found.is_some()),
        Object::View(View::Values, dict) => {
            spend(dict.len()).map(|()| dict.entries().iter().any(|(_, v)| equals(v, item)))
        }
        Object::View(View::Items, dict) => match item {
            Value::Tuple(pair) if pair.items.len() == 2 => {
                dict.get(&pair.items[0]).map(|found| found.is_some_and(|v| equals(v, &pair.items[1])))
            }
            _ => Ok(false),
        },
        Object::Range { start, stop, step } => Ok(in_range(*start, *stop, *step, item)),
        Object::Group(key, list) => Ok(equals(key, item) || equals(list, item)),
        _ => return None,
    })
}

fn in_range(start: i64, stop: i64, step: i64, item: &Value<'_>) -> bool {
    let n = match item {
        Value::Bool(b) => i64::from(*b),
        Value::Int(i) => *i,
        #[allow(clippy::cast_possible_truncation)] // a float that is a whole number of this size is exact
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => *f as i64,
        _ => return false,
    };
    let inside = if step > 0 { n >= start && n < stop } else { n <= start && n > stop };
    inside && (n - start) % step == 0
}

/// Python's stable sort by `key`; items without an order are an error.
pub(crate) fn sort_by<'a, T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> &Value<'a>,
    reverse: bool,
) -> Result<Vec<T>> {
    spend(items.len())?;
    room(items.len().saturating_mul(2 * size_of::<T>()))?;
    // Python reverses before and after, so that equal items keep their order.
    if reverse {
        items.reverse();
    }
    let mut items = merge_sort(items, &mut |a, b| {
        spend(1)?;
        match order(key(a), key(b), "<")? {
            Some(found) => Ok(found == Ordering::Less),
            // Where Python puts it depends on the steps of its own algorithm.
            None => Err(Error::unsupported("the place of NaN in an order")),
        }
    })?;
    if reverse {
        items.reverse();
    }
    Ok(items)
}

/// A stable sort whose comparison may fail, which the one of the standard library must not.
fn merge_sort<T>(mut items: Vec<T>, less: &mut impl FnMut(&T, &T) -> Result<bool>) -> Result<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sort(items, less)?.into_iter().peekable();
    let mut right = merge_sort(right, less)?.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if less(b, a)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
