//! The binary operators: numbers of every kind, and the sequences that `+`, `*` and `%` work on.

use std::rc::Rc;

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};

use super::float;
use crate::template::ast::BinOp;
use crate::template::budget::{gather, look, make, spend};
use crate::template::builtins::markup::escape;
use crate::template::error::{Error, ErrorKind, Result};
use crate::template::text::printf::printf;
use crate::template::value::{Object, Value};

/// Integers beyond this size are refused rather than computed.
pub(crate) const MAX_BITS: usize = 1 << 17;

enum Num {
    Int(BigInt),
    Float(f64),
}

/// `left op right`.
pub(crate) fn binary<'a>(op: BinOp, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>> {
    if let (Some(a), Some(b)) = (small(left), small(right))
        && let Some(value) = fast(op, a, b)
    {
        return Ok(Value::Int(value));
    }
    match op {
        BinOp::Add => {
            if let Some(result) = concat(left, right) {
                return result;
            }
        }
        BinOp::Mul => {
            if let Some(result) = repeat(left, right) {
                return result;
            }
        }
        BinOp::Mod if left.as_str().is_some() => return format(left, right),
        _ => {}
    }
    match (number(left), number(right)) {
        (Some(Num::Int(a)), Some(Num::Int(b))) => integers(op, &a, &b),
        (Some(a), Some(b)) => floats(op, as_float(&a)?, as_float(&b)?).map(Value::Float),
        _ => match (left.ungrouped(), right.ungrouped()) {
            (None, None) => Err(mismatch(op, left, right)),
            (a, b) => binary(op, a.as_ref().unwrap_or(left), b.as_ref().unwrap_or(right)),
        },
    }
}

/// The value of a number that fits 64 bits.
fn small(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

/// The result, where it is an integer of 64 bits.
pub(crate) fn fast(op: BinOp, a: i64, b: i64) -> Option<i64> {
    match op {
        BinOp::Add => a.checked_add(b),
        BinOp::Sub => a.checked_sub(b),
        BinOp::Mul => a.checked_mul(b),
        BinOp::Mod if b != 0 => {
            a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
        }
        BinOp::FloorDiv if b != 0 => {
            a.checked_div(b).map(|q| if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
        }
        _ => None,
    }
}

fn number(value: &Value<'_>) -> Option<Num> {
    Some(match value {
        Value::Bool(b) => Num::Int(BigInt::from(u8::from(*b))),
        Value::Int(i) => Num::Int(BigInt::from(*i)),
        Value::Big(i) => Num::Int((**i).clone()),
        Value::Float(f) => Num::Float(*f),
        _ => return None,
    })
}

fn as_float(num: &Num) -> Result<f64> {
    match num {
        Num::Float(f) => Ok(*f),
        Num::Int(i) => big_to_float(i),
    }
}

/// `float(int)`, which overflows rather than become infinite.
pub(crate) fn big_to_float(value: &BigInt) -> Result<f64> {
    let float = value.to_f64().unwrap_or(f64::INFINITY);
    if float.is_infinite() {
        return Err(Error::overflow("int too large to convert to float"));
    }
    Ok(float)
}

fn zero_division(message: &str) -> Box<Error> {
    Error::new(ErrorKind::ZeroDivision, message)
}

fn integers<'a>(op: BinOp, a: &BigInt, b: &BigInt) -> Result<Value<'a>> {
    spend(words(a.bits() + b.bits()))?;
    Ok(Value::big(match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => {
            bounded(a.bits() + b.bits())?;
            a * b
        }
        BinOp::FloorDiv if b.is_zero() => return Err(zero_division("integer division or modulo by zero")),
        BinOp::Mod if b.is_zero() => return Err(zero_division("integer modulo by zero")),
        BinOp::FloorDiv => a.div_floor(b),
        BinOp::Mod => a.mod_floor(b),
        BinOp::Div => return divide(a, b).map(Value::Float),
        BinOp::Pow => return int_power(a, b),
    }))
}

fn bounded(bits: u64) -> Result<()> {
    if bits > MAX_BITS as u64 {
        return Err(Error::limit("the integer grows too large"));
    }
    spend(words(bits))
}

/// What an integer of so many bits costs: nothing for usual ones, and four steps for each word of a large one.
pub(crate) fn words(bits: u64) -> usize {
    usize::try_from(bits / 16).map_or(usize::MAX, |steps| if steps < 16 { 0 } else { steps })
}

/// `a / b`, correctly rounded where both are exact floats.
fn divide(a: &BigInt, b: &BigInt) -> Result<f64> {
    if b.is_zero() {
        return Err(zero_division("division by zero"));
    }
    if a.bits() > 53 || b.bits() > 53 {
        return Err(Error::unsupported("the quotient of very large integers"));
    }
    Ok(big_to_float(a)? / big_to_float(b)?)
}

fn int_power<'a>(base: &BigInt, exponent: &BigInt) -> Result<Value<'a>> {
    if exponent.is_negative() {
        if base.is_zero() {
            return Err(zero_division("0.0 cannot be raised to a negative power"));
        }
        return float::power(big_to_float(base)?, big_to_float(exponent)?).map(Value::Float);
    }
    if base.bits() <= 1 {
        let even = exponent.is_even();
        let one = if base.is_negative() && !even { -1 } else { 1 };
        return Ok(Value::Int(if base.is_zero() && !exponent.is_zero() { 0 } else { one }));
    }
    let power = exponent.to_u32().ok_or_else(|| Error::limit("the integer grows too large"))?;
    bounded((base.bits() - 1).saturating_mul(u64::from(power)))?;
    Ok(Value::big(base.pow(power)))
}

fn floats(op: BinOp, a: f64, b: f64) -> Result<f64> {
    match op {
        BinOp::Add => Ok(a + b),
        BinOp::Sub => Ok(a - b),
        BinOp::Mul => Ok(a * b),
        BinOp::Div if b == 0.0 => Err(zero_division("float division by zero")),
        BinOp::Div => Ok(a / b),
        BinOp::FloorDiv => float::floor_div(a, b),
        BinOp::Mod => float::modulo(a, b),
        BinOp::Pow => float::power(a, b),
    }
}

/// `+` of sequences; `None` when neither side is one.
fn concat<'a>(left: &Value<'a>, right: &Value<'a>) -> Option<Result<Value<'a>>> {
    if let (Some(a), Some(b)) = (left.as_str(), right.as_str()) {
        return Some(join(left, right, a, b));
    }
    let ((Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b))) = (left, right) else {
        return None;
    };
    if let Err(error) = gather(a.items.len() + b.items.len()) {
        return Some(Err(error));
    }
    let items = a.items.iter().chain(b.items.iter()).cloned().collect();
    Some(if matches!(left, Value::List(_)) { Value::list(items) } else { Value::tuple(items) })
}

fn join<'a>(left: &Value<'a>, right: &Value<'a>, a: &str, b: &str) -> Result<Value<'a>> {
    make(a.len() + b.len())?;
    let mut out = String::with_capacity(a.len() + b.len());
    let markup = matches!(left, Value::Markup(_)) || matches!(right, Value::Markup(_));
    for (side, text) in [(left, a), (right, b)] {
        if markup && !matches!(side, Value::Markup(_)) { escape(text, &mut out)? } else { out.push_str(text) }
    }
    Ok(if markup { Value::Markup(Rc::from(out)) } else { Value::string(out) })
}

/// `*` of a sequence and an integer; `None` when there is no sequence.
fn repeat<'a>(left: &Value<'a>, right: &Value<'a>) -> Option<Result<Value<'a>>> {
    let sequence = |v: &Value<'_>| v.as_str().is_some() || matches!(v, Value::List(_) | Value::Tuple(_));
    let (sequence, count) = match (sequence(left), sequence(right)) {
        (true, _) => (left, right),
        (_, true) => (right, left),
        _ => return None,
    };
    if let Value::Undefined(undef) = count {
        return Some(Err(undef.error()));
    }
    let count = match count {
        Value::Big(_) => {
            return Some(Err(Error::overflow("cannot fit 'int' into an index-sized integer")));
        }
        count => match small(count) {
            Some(count) => count,
            None => {
                let name = count.type_name();
                let message = format!("can't multiply sequence by non-int of type '{name}'");
                return Some(Err(Error::type_error(message)));
            }
        },
    };
    Some(repeated(sequence, usize::try_from(count).unwrap_or(0)))
}

fn repeated<'a>(sequence: &Value<'a>, count: usize) -> Result<Value<'a>> {
    if let Some(text) = sequence.as_str() {
        make(text.len().saturating_mul(count))?;
        let text = if text.is_empty() { String::new() } else { text.repeat(count) };
        let markup = matches!(sequence, Value::Markup(_));
        return Ok(if markup { Value::Markup(Rc::from(text)) } else { Value::string(text) });
    }
    let (Value::List(seq) | Value::Tuple(seq)) = sequence else { return Ok(Value::None) };
    gather(seq.items.len().saturating_mul(count))?;
    let count = if seq.items.is_empty() { 0 } else { count };
    let items = std::iter::repeat_n(&*seq.items, count).flatten().cloned().collect();
    if matches!(sequence, Value::List(_)) { Value::list(items) } else { Value::tuple(items) }
}

fn format<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>> {
    if matches!(left, Value::Markup(_)) {
        return Err(Error::unsupported("% on markup"));
    }
    let format = left.as_str().unwrap_or_default();
    look(format.len())?;
    printf(format, right).map(Value::string)
}

fn mismatch<'a>(op: BinOp, left: &Value<'a>, right: &Value<'a>) -> Box<Error> {
    for side in [left, right] {
        if let Value::Undefined(undef) = side {
            return undef.error();
        }
        if let Value::Object(object) = side
            && matches!(&**object, Object::View(..))
            && op == BinOp::Sub
        {
            return Error::unsupported("sets");
        }
    }
    let (a, b) = (left.type_name(), right.type_name());
    if op == BinOp::Add && (left.as_str().is_some() || matches!(left, Value::List(_) | Value::Tuple(_))) {
        return Error::type_error(format!("can only concatenate {a} (not \"{b}\") to {a}"));
    }
    let symbol = match op {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::Div => "/",
        BinOp::FloorDiv => "//",
        BinOp::Mod => "%",
        BinOp::Pow => "** or pow()",
    };
    Error::type_error(format!("unsupported operand type(s) for {symbol}: '{a}' and '{b}'"))
}

/// `-value` (`negate`) or `+value`.
pub(crate) fn signed<'a>(value: &Value<'a>, negate: bool) -> Result<Value<'a>> {
    match number(value) {
        Some(Num::Float(f)) => Ok(Value::Float(if negate { -f } else { f })),
        Some(Num::Int(i)) => Ok(Value::big(if negate { -i } else { i })),
        None => {
            value.defined()?;
            let (sign, name) = (if negate { '-' } else { '+' }, value.type_name());
            Err(Error::type_error(format!("bad operand type for unary {sign}: '{name}'")))
        }
    }
}
