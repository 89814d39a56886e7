//! `value[start:stop:step]`.

use std::rc::Rc;

use num_bigint::Sign;

use crate::template::budget::{gather, make, room, spend};
use crate::template::error::{Error, Result};
use crate::template::value::{Object, Seq, Value};

/// The slice of a sequence; every other value is an error.
pub(crate) fn slice<'a>(value: &Value<'a>, bounds: &[Value<'a>; 3]) -> Result<Value<'a>> {
    match value {
        Value::Undefined(undef) => return Err(undef.error()),
        Value::Dict(_) => return Err(Error::type_error("unhashable type: 'slice'")),
        _ => {}
    }
    if let Some(tuple) = value.ungrouped() {
        return slice(&tuple, bounds);
    }
    let sequence = value.as_str().is_some()
        || matches!(value, Value::List(_) | Value::Tuple(_))
        || matches!(value, Value::Object(o) if matches!(&**o, Object::Range { .. }));
    if !sequence {
        return Err(Error::type_error(format!("'{}' object is not subscriptable", value.type_name())));
    }
    let step = index(&bounds[2])?.unwrap_or(1);
    if step == 0 {
        return Err(Error::value("slice step cannot be zero"));
    }
    let (start, stop) = (index(&bounds[0])?, index(&bounds[1])?);
    match value {
        Value::List(seq) => Ok(Value::List(items(seq, start, stop, step)?.into())),
        Value::Tuple(seq) => Ok(Value::Tuple(items(seq, start, stop, step)?.into())),
        Value::Object(object) => range(object, start, stop, step),
        _ => text(value, start, stop, step),
    }
}

/// A bound: an integer (clipped to 64 bits) or nothing.
fn index(bound: &Value<'_>) -> Result<Option<i64>> {
    Ok(match bound {
        Value::Missing | Value::None => None,
        Value::Int(i) => Some(*i),
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Big(i) => Some(if i.sign() == Sign::Minus { i64::MIN + 1 } else { i64::MAX }),
        _ => {
            return Err(Error::type_error(
                "slice indices must be integers or None or have an __index__ method",
            ));
        }
    })
}

/// The first place, and how many steps.
fn places(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> (i64, i64) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clip = |bound: i64| {
        let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
        bound.clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clip);
    let stop = stop.map_or(if step > 0 { high } else { low }, clip);
    let span = if step > 0 { stop - start } else { start - stop };
    let stride = i64::try_from(step.unsigned_abs()).unwrap_or(i64::MAX);
    (start, if span <= 0 { 0 } else { (span - 1) / stride + 1 })
}

fn items<'a>(seq: &Seq<'a>, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Seq<'a>> {
    let (start, count) = places(seq.items.len(), start, stop, step);
    gather(usize::try_from(count).unwrap_or(0))?;
    let at = |i: i64| usize::try_from(start + i * step).ok().and_then(|at| seq.items.get(at)).cloned();
    Seq::new((0..count).filter_map(at).collect())
}

fn text<'a>(value: &Value<'a>, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Value<'a>> {
    let text = value.as_str().unwrap_or_default();
    // The parts of a text that the render made are copied.
    spend(text.len() / if matches!(value, Value::Str(_)) { 512 } else { 48 })?;
    if text.is_ascii() {
        let (start, count) = places(text.len(), start, stop, step);
        let first = usize::try_from(start.max(0)).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0);
        if step == 1 || count == 0 {
            return Ok(value.part(first.min(text.len()), (first + count).min(text.len())));
        }
    } else if step == 1 {
        let length = text.chars().count();
        let (start, count) = places(length, start, stop, step);
        let start = usize::try_from(start).unwrap_or(0);
        let byte = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(i, _)| i);
        let (from, to) = (byte(start), byte(start + usize::try_from(count).unwrap_or(0)));
        return Ok(value.part(from, to.max(from)));
    }
    make(text.len())?;
    room(text.len().saturating_mul(size_of::<char>()))?;
    let chars: Vec<char> = text.chars().collect();
    let (start, count) = places(chars.len(), start, stop, step);
    let at = |i: i64| usize::try_from(start + i * step).ok().and_then(|at| chars.get(at));
    let out: String = (0..count).filter_map(at).collect();
    Ok(if matches!(value, Value::Markup(_)) { Value::Markup(Rc::from(out)) } else { Value::string(out) })
}

fn range<'a>(object: &Object<'a>, from: Option<i64>, to: Option<i64>, by: i64) -> Result<Value<'a>> {
    let Object::Range { start, stop, step } = object else { return Ok(Value::None) };
    if matches!(by, i64::MAX) || by <= i64::MIN + 1 {
        return Err(Error::unsupported("a very large step"));
    }
    let length = crate::template::value::range_len(*start, *stop, *step);
    let (first, count) = places(usize::try_from(length).unwrap_or(usize::MAX), from, to, by);
    let stride = step.checked_mul(by).filter(|stride| *stride != i64::MIN);
    let begin = first.checked_mul(*step).and_then(|d| start.checked_add(d));
    let span = stride.and_then(|s| s.checked_mul(count));
    match (begin, stride, span.and_then(|d| begin.and_then(|b| b.checked_add(d)))) {
        (Some(start), Some(step), Some(_)) => {
            // Python keeps the clipped stop in the text of the range.
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let low = if by > 0 { 0 } else { -1 };
            let high = if by > 0 { length } else { length - 1 };
            let end = to.map_or(if by > 0 { high } else { low }, |b| {
                (if b < 0 { b.saturating_add(length) } else { b }).clamp(low, high)
            });
            let Object::Range { start: origin, step: base, .. } = object else { return Ok(Value::None) };
            let stop = end.checked_mul(*base).and_then(|d| origin.checked_add(d));
            let stop = stop.ok_or_else(|| Error::unsupported("a very large range"))?;
            Ok(Value::object(Object::Range { start, stop, step }))
        }
        _ => Err(Error::unsupported("a very large range")),
    }
}
