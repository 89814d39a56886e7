//! Filters on numbers.

use crate::template::eval::iterate;
use num_bigint::BigInt;
use num_traits::{FromPrimitive as _, Signed as _};

use super::select::attribute_parts;
use crate::template::ast::BinOp;
use crate::template::budget::look;
use crate::template::builtins::args::{Args, absent, integer_or, size_or};
use crate::template::error::{Error, Result};
use crate::template::eval::{Vm, walk};
use crate::template::ops::number::{big_to_float, binary, signed};
use crate::template::text::float::fixed;
use crate::template::text::space::is_space;
use crate::template::text::unicode::{decimal_value, per_character};
use crate::template::value::Value;

type Filtered<'a> = Result<Value<'a>>;
/// Digits beyond which Python refuses to read an integer.
const MAX_DIGITS: usize = 4300;

pub(super) fn abs<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    args.exactly::<0>("abs", &[])?;
    match &value {
        Value::Float(f) => Ok(Value::Float(f.abs())),
        Value::Big(i) => Ok(Value::big(i.abs())),
        Value::Int(i) if *i < 0 => signed(&value, true),
        Value::Int(_) | Value::Bool(_) => signed(&value, false),
        _ => Err(Error::type_error(format!("bad operand type for abs(): '{}'", value.type_name()))),
    }
}

pub(super) fn int<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [default, base] = args.bind("do_int", &["default", "base"], 0)?;
    let default = if matches!(default, Value::Missing) { Value::Int(0) } else { default };
    match &value {
        Value::Undefined(undef) => Err(undef.error()),
        Value::Bool(b) => Ok(Value::Int(i64::from(*b))),
        Value::Int(_) | Value::Big(_) => Ok(value),
        Value::Float(f) if f.is_infinite() => {
            Err(Error::overflow("cannot convert float infinity to integer"))
        }
        Value::Float(f) => Ok(BigInt::from_f64(f.trunc()).map_or(default, Value::big)),
        _ => {
            let Some(text) = value.as_str() else { return Ok(default) };
            // It is copied and looked at several times.
            look(per_character(text).saturating_mul(4))?;
            // What is not a base is not an error: then the text may still be a float's.
            if let Ok(base) = integer_or(&base, 10) {
                if base != 0 && !(2..=36).contains(&base) {
                    return Err(Error::unsupported("int with a base that Python refuses"));
                }
                if let Some(number) = parse_int(text, u32::try_from(base).unwrap_or(10)) {
                    return Ok(Value::big(number));
                }
            }
            let float = parse_float(text).and_then(|f| BigInt::from_f64(f.trunc()));
            Ok(float.map_or(default, Value::big))
        }
    }
}

/// Digits of any script become ASCII, outer space goes; but not the separators, which `str.strip` takes for space.
fn ascii_digits(text: &str) -> String {
    let trimmed = text.trim_matches(|c| is_space(c) && !matches!(c, '\x1c'..='\x1f'));
    trimmed.chars().map(|c| decimal_value(c).and_then(|d| char::from_digit(d, 10)).unwrap_or(c)).collect()
}

/// Python's `int(text, base)`.
fn parse_int(text: &str, base: u32) -> Option<BigInt> {
    let text = ascii_digits(text);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, &text[..]),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let implied = match prefix.as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 0,
    };
    let prefixed = implied != 0 && (base == 0 || base == implied);
    let body = if prefixed { &digits[2..] } else { digits };
    let radix = if prefixed {
        implied
    } else if base == 0 {
        10
    } else {
        base
    };
    let body = if prefixed { body.strip_prefix('_').unwrap_or(body) } else { body };
    if body.is_empty() || body.starts_with('_') || body.ends_with('_') || body.contains("__") {
        return None;
    }
    let clean = body.replace('_', "");
    if base == 0 && !prefixed && clean.len() > 1 && clean.starts_with('0') && clean.bytes().any(|b| b != b'0')
    {
        return None;
    }
    if !clean.bytes().all(|b| char::from(b).is_digit(radix)) || clean.len() > MAX_DIGITS {
        return None;
    }
    let value = BigInt::parse_bytes(clean.as_bytes(), radix)?;
    Some(if negative { -value } else { value })
}

/// Python's `float(text)`.
fn parse_float(text: &str) -> Option<f64> {
    let text = ascii_digits(text);
    let bytes = text.as_bytes();
    let between =
        |i: usize| i > 0 && bytes[i - 1].is_ascii_digit() && bytes.get(i + 1).is_some_and(u8::is_ascii_digit);
    if bytes.iter().enumerate().any(|(i, b)| *b == b'_' && !between(i)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

pub(super) fn float<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [default] = args.bind("do_float", &["default"], 0)?;
    let default = if matches!(default, Value::Missing) { Value::Float(0.0) } else { default };
    Ok(match &value {
        Value::Undefined(undef) => return Err(undef.error()),
        Value::Float(_) => value,
        Value::Bool(b) => Value::Float(f64::from(u8::from(*b))),
        Value::Int(i) => Value::Float(big_to_float(&BigInt::from(*i))?),
        Value::Big(i) => Value::Float(big_to_float(i)?),
        _ => match value.as_str() {
            Some(text) => {
                look(per_character(text).saturating_mul(4))?;
                parse_float(text).map_or(default, Value::Float)
            }
            None => default,
        },
    })
}

pub(super) fn round<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [precision, method] = args.bind("do_round", &["precision", "method"], 0)?;
    let method = match method.as_str() {
        None if matches!(method, Value::Missing) => "common",
        Some(method @ ("common" | "ceil" | "floor")) => method,
        _ => return Err(Error::runtime("method must be common, ceil or floor")),
    };
    if method == "common" {
        return common_round(&value, &precision);
    }
    let precision = integer_or(&precision, 0)?;
    let scale = binary(BinOp::Pow, &Value::Int(10), &Value::Int(precision))?;
    let scaled = binary(BinOp::Mul, &value, &scale)?;
    let whole = match scaled {
        Value::Float(f) => {
            let f = if method == "ceil" { f.ceil() } else { f.floor() };
            Value::big(BigInt::from_f64(f).ok_or_else(|| Error::value("cannot convert float to integer"))?)
        }
        Value::Int(_) | Value::Big(_) => scaled,
        other => {
            let name = other.type_name();
            return Err(Error::type_error(format!("must be real number, not {name}")));
        }
    };
    binary(BinOp::Div, &whole, &scale)
}

fn common_round<'a>(value: &Value<'a>, precision: &Value<'a>) -> Filtered<'a> {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Bool(_) => {
            if matches!(precision, Value::None) || integer_or(precision, 0)? >= 0 {
                return signed(value, false);
            }
            Err(Error::unsupported("rounding an integer to tens"))
        }
        Value::Float(f) => {
            if matches!(precision, Value::None) {
                return Err(Error::unsupported("rounding to an integer"));
            }
            let digits = integer_or(precision, 0)?;
            let Ok(digits) = usize::try_from(digits) else {
                return Err(Error::unsupported("rounding a float to tens"));
            };
            if !f.is_finite() || digits > 330 {
                return Ok(Value::Float(*f));
            }
            fixed(*f, digits).parse().map(Value::Float).map_err(|_| Error::value("rounding failed"))
        }
        other => {
            other.defined()?;
            let name = other.type_name();
            Err(Error::type_error(format!("type {name} doesn't define __round__ method")))
        }
    }
}

pub(super) fn sum<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [attribute, start] = args.bind("do_sum", &["attribute", "start"], 0)?;
    let parts = if absent(&attribute) { Vec::new() } else { attribute_parts(&attribute) };
    let mut total = if matches!(start, Value::Missing) { Value::Int(0) } else { start };
    let mut iter = iterate(value)?;
    if total.as_str().is_some() {
        return Err(Error::type_error("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    while let Some(item) = vm.next(&mut iter)? {
        total = binary(BinOp::Add, &total, &walk(item, &parts, None)?)?;
    }
    Ok(total)
}

pub(super) fn filesizeformat<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [binary] = args.bind("do_filesizeformat", &["binary"], 0)?;
    let binary = crate::template::ops::truth::truthy(&binary);
    if let Some(text) = value.as_str() {
        look(per_character(text).saturating_mul(4))?;
    }
    let strict = value.as_str().is_some_and(|text| parse_float(text).is_none());
    if strict
        || matches!(value, Value::None | Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::Object(_))
    {
        return Err(Error::value("could not convert to float"));
    }
    let Value::Float(bytes) = float(vm, value, Args::default())? else {
        return Err(Error::value("not a number"));
    };
    if !bytes.is_finite() {
        return Err(Error::unsupported("the size of infinity"));
    }
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    #[allow(clippy::float_cmp)] // Python compares exactly too
    if bytes == 1.0 {
        return Ok(Value::Str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::string(format!("{} Bytes", fixed(bytes.trunc(), 0).replace("-0", "0"))));
    }
    let prefixes = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    let mut unit = base;
    let mut prefix = "";
    for name in prefixes {
        (unit, prefix) = (unit * base, name);
        if bytes < unit {
            break;
        }
    }
    Ok(Value::string(format!("{} {prefix}", fixed(base * bytes / unit, 1))))
}

/// An integer argument, for other filters.
pub(super) fn count(value: &Value<'_>) -> Result<usize> {
    Ok(usize::try_from(size_or(value, 0)?).unwrap_or(0))
}
