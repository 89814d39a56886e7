//! `text % values`: Python's printf-style formatting.

use num_bigint::{BigInt, Sign};
use num_traits::FromPrimitive;

use super::float;
use super::repr::{ascii, write_repr, write_str};
use crate::template::budget::{grow, look, spend};
use crate::template::error::{Error, Result};
use crate::template::ops::number::{big_to_float, words};
use crate::template::value::{Object, Value};

/// One conversion: flags, width, precision.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each flag of printf is one")]
struct Conversion {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// The values being formatted: positional ones are consumed in turn.
struct Values<'v, 'a> {
    all: &'v Value<'a>,
    items: &'v [Value<'a>],
    used: usize,
    named: bool,
}

/// `format % values`.
pub(crate) fn printf(format: &str, values: &Value<'_>) -> Result<String> {
    if let Some(tuple) = values.ungrouped() {
        return printf(format, &tuple);
    }
    let single = std::slice::from_ref(values);
    let items = match values {
        Value::Tuple(seq) => &seq.items,
        _ => single,
    };
    let mut values = Values { all: values, items, used: 0, named: false };
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = conversion(&rest[at + 1..], &mut values, &mut out)?;
        look(0)?;
    }
    out.push_str(rest);
    values.finish()?;
    Ok(out)
}

impl<'a> Values<'_, 'a> {
    fn next(&mut self) -> Result<Value<'a>> {
        let value = self.items.get(self.used).cloned();
        self.used += 1;
        value.ok_or_else(|| Error::type_error("not enough arguments for format string"))
    }

    fn by_name(&mut self, name: &str) -> Result<Value<'a>> {
        self.named = true;
        match self.all {
            Value::Dict(dict) => {
                let found = dict.get_str(name).cloned();
                found.ok_or_else(|| Error::value(format!("KeyError: '{name}'")))
            }
            Value::Undefined(undef) => Err(undef.error()),
            Value::List(_) => Err(Error::type_error("list indices must be integers or slices, not str")),
            _ => Err(Error::type_error("format requires a mapping")),
        }
    }

    /// Values left over are an error, except for a mapping (which to Python is all that can be subscripted).
    fn finish(&self) -> Result<()> {
        let mapping = match self.all {
            Value::Dict(_) | Value::List(_) | Value::Undefined(_) => true,
            Value::Object(object) => matches!(&**object, Object::Range { .. } | Object::TemplateReference),
            _ => false,
        };
        if self.used < self.items.len() && !self.named && !mapping {
            return Err(Error::type_error("not all arguments converted during string formatting"));
        }
        Ok(())
    }
}

/// One conversion after its `%`; gives what follows it.
fn conversion<'f>(format: &'f str, values: &mut Values<'_, '_>, out: &mut String) -> Result<&'f str> {
    if let Some(rest) = format.strip_prefix('%') {
        out.push('%');
        return Ok(rest);
    }
    let mut rest = format;
    let mut value = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let mut depth = 1;
        let end = inside.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let end = end.ok_or_else(|| Error::value("incomplete format key"))?;
        value = Some(values.by_name(&inside[..end])?);
        rest = &inside[end + 1..];
    }
    let mut spec = Conversion::default();
    rest = flags(rest, &mut spec);
    rest = number(rest, values, &mut |n, negative| {
        spec.left |= negative;
        spec.width = n;
    })?;
    if let Some(after) = rest.strip_prefix('.') {
        spec.precision = Some(0);
        rest = number(after, values, &mut |n, negative| spec.precision = Some(if negative { 0 } else { n }))?;
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let Some(kind) = rest.chars().next() else { return Err(Error::value("incomplete format")) };
    rest = &rest[kind.len_utf8()..];
    let value = match value {
        Some(value) => value,
        None => values.next()?,
    };
    grow(out, spec.width.saturating_add(spec.precision.unwrap_or(0)))?;
    convert(kind, &value, &spec, out)?;
    Ok(rest)
}

fn flags<'f>(mut rest: &'f str, spec: &mut Conversion) -> &'f str {
    loop {
        match rest.as_bytes().first() {
            Some(b'-') => spec.left = true,
            Some(b'+') => spec.plus = true,
            Some(b' ') => spec.space = true,
            Some(b'0') => spec.zero = true,
            Some(b'#') => spec.alternate = true,
            _ => return rest,
        }
        rest = &rest[1..];
    }
}

fn number<'f>(
    rest: &'f str,
    values: &mut Values<'_, '_>,
    set: &mut dyn FnMut(usize, bool),
) -> Result<&'f str> {
    if let Some(after) = rest.strip_prefix('*') {
        let n = match values.next()? {
            Value::Int(n) => n,
            Value::Bool(flag) => i64::from(flag),
            _ => return Err(Error::type_error("* wants int")),
        };
        set(usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX), n < 0);
        return Ok(after);
    }
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end > 0 {
        let n = rest[..end].parse().map_err(|_| Error::value("width too big"))?;
        set(n, false);
    }
    Ok(&rest[end..])
}

fn convert(kind: char, value: &Value<'_>, spec: &Conversion, out: &mut String) -> Result<()> {
    match kind {
        's' | 'r' | 'a' => {
            let mut text = String::new();
            match kind {
                's' => write_str(value, &mut text)?,
                'r' => write_repr(value, &mut text)?,
                _ => text = ascii(value)?,
            }
            grow(out, text.len())?;
            if let Some(precision) = spec.precision {
                text = text.chars().take(precision).collect();
            }
            pad("", &text, spec, false, out);
        }
        'c' => pad("", &character(value)?, spec, false, out),
        'd' | 'i' | 'u' => integer(&whole(value, kind)?, 10, "", kind, spec, out)?,
        'o' => integer(&index(value, kind)?, 8, "0o", kind, spec, out)?,
        'x' => integer(&index(value, kind)?, 16, "0x", kind, spec, out)?,
        'X' => integer(&index(value, kind)?, 16, "0X", kind, spec, out)?,
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => real(float_of(value)?, kind, spec, out),
        _ => {
            let code = u32::from(kind);
            return Err(Error::value(format!("unsupported format character '{kind}' (0x{code:x})")));
        }
    }
    Ok(())
}

fn character(value: &Value<'_>) -> Result<String> {
    let found = match value {
        Value::Int(code) => u32::try_from(*code).ok().and_then(char::from_u32),
        Value::Bool(code) => char::from_u32(u32::from(*code)),
        other => other.as_str().filter(|s| s.chars().count() == 1).and_then(|s| s.chars().next()),
    };
    found.map(String::from).ok_or_else(|| Error::type_error("%c requires int or char"))
}

fn whole(value: &Value<'_>, kind: char) -> Result<BigInt> {
    match value {
        Value::Float(f) => BigInt::from_f64(f.trunc())
            .ok_or_else(|| Error::overflow("cannot convert float infinity or NaN to integer")),
        _ => integer_value(value).ok_or_else(|| wrong(value, kind, "a real number")),
    }
}

fn index(value: &Value<'_>, kind: char) -> Result<BigInt> {
    integer_value(value).ok_or_else(|| wrong(value, kind, "an integer"))
}

fn integer_value(value: &Value<'_>) -> Option<BigInt> {
    match value {
        Value::Bool(b) => Some(BigInt::from(u8::from(*b))),
        Value::Int(i) => Some(BigInt::from(*i)),
        Value::Big(i) => Some((**i).clone()),
        _ => None,
    }
}

fn wrong(value: &Value<'_>, kind: char, wanted: &str) -> Box<Error> {
    if let Value::Undefined(undef) = value {
        return undef.error();
    }
    Error::type_error(format!("%{kind} format: {wanted} is required, not {}", value.type_name()))
}

fn float_of(value: &Value<'_>) -> Result<f64> {
    match value {
        Value::Float(f) => Ok(*f),
        Value::Undefined(undef) => Err(undef.error()),
        _ => match integer_value(value) {
            Some(i) => big_to_float(&i),
            None => Err(Error::type_error(format!("must be real number, not {}", value.type_name()))),
        },
    }
}

fn sign(negative: bool, spec: &Conversion) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn integer(
    value: &BigInt,
    radix: u32,
    prefix: &str,
    kind: char,
    spec: &Conversion,
    out: &mut String,
) -> Result<()> {
    spend(words(value.bits()))?;
    let mut digits = value.magnitude().to_str_radix(radix);
    if kind == 'X' {
        digits.make_ascii_uppercase();
    }
    if let Some(precision) = spec.precision {
        digits.insert_str(0, &"0".repeat(precision.saturating_sub(digits.len())));
    }
    let sign = sign(value.sign() == Sign::Minus, spec);
    let lead = if spec.alternate { format!("{sign}{prefix}") } else { sign.to_owned() };
    pad(&lead, &digits, spec, true, out);
    Ok(())
}

fn real(value: f64, kind: char, spec: &Conversion, out: &mut String) {
    let precision = spec.precision.unwrap_or(6);
    let magnitude = value.abs();
    let mut text = if magnitude.is_finite() {
        let text = match kind.to_ascii_lowercase() {
            'e' => float::scientific(magnitude, precision),
            'f' => float::fixed(magnitude, precision),
            _ => float::general(magnitude, precision, spec.alternate),
        };
        if spec.alternate { float::with_point(text) } else { text }
    } else {
        String::from(if value.is_nan() { "nan" } else { "inf" })
    };
    if kind.is_ascii_uppercase() {
        text.make_ascii_uppercase();
    }
    pad(sign(value.is_sign_negative() && !value.is_nan(), spec), &text, spec, true, out);
}

fn pad(lead: &str, body: &str, spec: &Conversion, number: bool, out: &mut String) {
    let missing = spec.width.saturating_sub(lead.chars().count() + body.chars().count());
    let fill = |out: &mut String, c: char| out.extend(std::iter::repeat_n(c, missing));
    if spec.left {
        out.push_str(lead);
        out.push_str(body);
        fill(out, ' ');
    } else if spec.zero && number {
        out.push_str(lead);
        fill(out, '0');
        out.push_str(body);
    } else {
        fill(out, ' ');
        out.push_str(lead);
        out.push_str(body);
    }
}
