//! Python's format specification mini-language (`format(value, spec)`), for strings and numbers.

use num_bigint::BigInt;

use super::float;
use crate::template::budget::{look, make, spend};
use crate::template::error::{Error, Result};
use crate::template::ops::number::words;
use crate::template::text::repr::write_str;
use crate::template::text::unicode::decimal_value;
use crate::template::value::Value;

/// A parsed specification.
struct Spec {
    fill: char,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// `format(value, spec)`.
pub(crate) fn format_value(value: &Value<'_>, spec: &str) -> Result<String> {
    if spec.is_empty() {
        let mut out = String::new();
        write_str(value, &mut out)?;
        return Ok(out);
    }
    match value {
        Value::Str(_) | Value::Owned(_) => {
            let value = value.as_str().unwrap_or_default();
            make(value.len())?;
            text(value, &parse(spec)?)
        }
        Value::Bool(b) => integer(&BigInt::from(u8::from(*b)), &parse(spec)?),
        Value::Int(i) => integer(&BigInt::from(*i), &parse(spec)?),
        Value::Big(i) => integer(i, &parse(spec)?),
        Value::Float(f) => real(*f, &parse(spec)?),
        Value::Undefined(_) | Value::Markup(_) => {
            Err(Error::unsupported("a format specification for this value"))
        }
        other => {
            let name = other.type_name();
            Err(Error::type_error(format!("unsupported format string passed to {name}.__format__")))
        }
    }
}

fn parse(spec: &str) -> Result<Spec> {
    look(spec.len().saturating_mul(8))?;
    if spec.chars().any(|c| !c.is_ascii() && decimal_value(c).is_some()) {
        return Err(Error::unsupported("a format specification with other digits"));
    }
    let mut chars: Vec<char> = spec.chars().collect();
    chars.reverse();
    let next = |chars: &mut Vec<char>, wanted: &str| chars.pop_if(|c| wanted.contains(*c));
    let mut parsed = Spec {
        fill: ' ',
        align: None,
        sign: None,
        alternate: false,
        width: 0,
        group: None,
        precision: None,
        kind: None,
    };
    if chars.len() > 1 && "<>=^".contains(chars[chars.len() - 2]) {
        parsed.fill = chars.pop().unwrap_or(' ');
        parsed.align = chars.pop();
    } else {
        parsed.align = next(&mut chars, "<>=^");
    }
    parsed.sign = next(&mut chars, "+- ");
    if next(&mut chars, "z").is_some() {
        return Err(Error::unsupported("the z option of a format specification"));
    }
    parsed.alternate = next(&mut chars, "#").is_some();
    if next(&mut chars, "0").is_some() && parsed.align.is_none() {
        (parsed.fill, parsed.align) = ('0', Some('='));
    }
    parsed.width = digits(&mut chars)?.unwrap_or(0);
    parsed.group = next(&mut chars, ",_");
    if next(&mut chars, ".").is_some() {
        parsed.precision = digits(&mut chars)?;
        if parsed.precision.is_none() {
            return Err(Error::value("Format specifier missing precision"));
        }
    }
    parsed.kind = chars.pop();
    if !chars.is_empty() {
        return Err(Error::value("Invalid format specifier"));
    }
    make(parsed.width.saturating_add(parsed.precision.unwrap_or(0)))?;
    Ok(parsed)
}

fn digits(chars: &mut Vec<char>) -> Result<Option<usize>> {
    let mut found = None;
    while let Some(digit) = chars.last().and_then(|c| c.to_digit(10)) {
        chars.pop();
        let value = found.unwrap_or(0usize).checked_mul(10).and_then(|v| v.checked_add(digit as usize));
        found = Some(value.ok_or_else(|| Error::value("Too many decimal digits in format string"))?);
    }
    Ok(found)
}

fn pad(body: &str, sign: &str, spec: &Spec, default: char) -> String {
    let length = body.chars().count() + sign.len();
    let missing = spec.width.saturating_sub(length);
    let fill = |n: usize| std::iter::repeat_n(spec.fill, n).collect::<String>();
    match spec.align.unwrap_or(default) {
        '<' => format!("{sign}{body}{}", fill(missing)),
        '^' => format!("{}{sign}{body}{}", fill(missing / 2), fill(missing - missing / 2)),
        '=' => format!("{sign}{}{body}", fill(missing)),
        _ => format!("{}{sign}{body}", fill(missing)),
    }
}

fn text(value: &str, spec: &Spec) -> Result<String> {
    if !matches!(spec.kind, None | Some('s')) {
        let kind = spec.kind.unwrap_or('s');
        return Err(Error::value(format!("Unknown format code '{kind}' for object of type 'str'")));
    }
    if spec.sign.is_some()
        || spec.alternate
        || spec.group.is_some()
        || spec.align == Some('=') && spec.fill != '0'
    {
        return Err(Error::value("this option is not allowed in string format specifier"));
    }
    let cut: String = value.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    // A zero before the width pads strings on the right.
    let spec = Spec { align: if spec.align == Some('=') { Some('<') } else { spec.align }, ..*spec };
    Ok(pad(&cut, "", &spec, '<'))
}

fn sign_of(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    }
}

fn integer(value: &BigInt, spec: &Spec) -> Result<String> {
    let (radix, prefix) = match spec.kind {
        None | Some('d' | 'n') => (10, ""),
        Some('b') => (2, "0b"),
        Some('o') => (8, "0o"),
        Some('x') => (16, "0x"),
        Some('X') => (16, "0X"),
        Some('c') => return Err(Error::unsupported("the format code c")),
        Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
            let float = super::super::ops::number::big_to_float(value)?;
            return real(float, spec);
        }
        Some(kind) => {
            return Err(Error::value(format!("Unknown format code '{kind}' for object of type 'int'")));
        }
    };
    if spec.precision.is_some() {
        return Err(Error::value("Precision not allowed in integer format specifier"));
    }
    spend(words(value.bits()))?;
    let mut body = value.magnitude().to_str_radix(radix);
    if spec.kind == Some('X') {
        body.make_ascii_uppercase();
    }
    let negative = value.sign() == num_bigint::Sign::Minus;
    let sign = format!("{}{}", sign_of(negative, spec), if spec.alternate { prefix } else { "" });
    let every = if radix == 10 { 3 } else { 4 };
    if spec.group == Some(',') && radix != 10 {
        return Err(Error::value("Cannot specify ',' with this format code"));
    }
    Ok(pad(&grouped(&body, spec, every, sign.len()), &sign, spec, '>'))
}

/// Inserts the thousands separator; zeros that pad to the width are grouped too.
fn grouped(body: &str, spec: &Spec, every: usize, sign: usize) -> String {
    let Some(mark) = spec.group else { return body.to_owned() };
    let (whole, rest) = body.split_at(body.find(['.', 'e', 'E', '%']).unwrap_or(body.len()));
    let mut count = whole.len();
    if spec.fill == '0' && spec.align == Some('=') {
        // As few zeros as fill the width: of `every + 1` characters one is a separator, but never the first.
        let room = spec.width.saturating_sub(rest.len() + sign);
        count = count.max(room - room.saturating_sub(1) / (every + 1));
    }
    let mut out = String::with_capacity(count + count / every + rest.len());
    let digits = std::iter::repeat_n('0', count - whole.len()).chain(whole.chars());
    for (i, digit) in digits.enumerate() {
        if i > 0 && (count - i).is_multiple_of(every) {
            out.push(mark);
        }
        out.push(digit);
    }
    out + rest
}

fn real(value: f64, spec: &Spec) -> Result<String> {
    let negative = value.is_sign_negative() && !value.is_nan();
    // A large number becomes infinite as a percentage.
    let magnitude = if spec.kind == Some('%') { value.abs() * 100.0 } else { value.abs() };
    if !matches!(spec.kind, None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%')) {
        let kind = spec.kind.unwrap_or('f');
        return Err(Error::value(format!("Unknown format code '{kind}' for object of type 'float'")));
    }
    let mut body = if magnitude.is_finite() {
        let text = finite(magnitude, spec);
        let text = if spec.alternate { float::with_point(text) } else { text };
        if spec.kind == Some('%') { text + "%" } else { text }
    } else {
        (if value.is_nan() { "nan" } else { "inf" }).to_owned()
            + if spec.kind == Some('%') { "%" } else { "" }
    };
    if matches!(spec.kind, Some('E' | 'F' | 'G')) {
        body.make_ascii_uppercase();
    }
    let sign = sign_of(negative, spec);
    Ok(pad(&grouped(&body, spec, 3, sign.len()), sign, spec, '>'))
}

fn finite(value: f64, spec: &Spec) -> String {
    let precision = spec.precision.unwrap_or(6);
    match spec.kind {
        None => match spec.precision {
            None => {
                let mut out = String::new();
                float::repr(value, &mut out);
                out
            }
            Some(precision) => plain_general(value, precision.max(1)),
        },
        Some('e' | 'E') => float::scientific(value, precision),
        Some('f' | 'F' | '%') => float::fixed(value, precision),
        Some(_) => float::general(value, precision, spec.alternate),
    }
}

/// No presentation type but a precision: like `g`, but with one decimal at least and an earlier exponent.
fn plain_general(value: f64, precision: usize) -> String {
    let exponent = float::exponent(value, precision);
    let last = i32::try_from(precision - 1).unwrap_or(i32::MAX);
    let text = if exponent >= last && exponent >= 0 {
        if exponent == last {
            let text = float::scientific(value, precision - 1);
            let (mantissa, exp) = text.split_once('e').unwrap_or((&text, ""));
            let mantissa = if mantissa.contains('.') {
                mantissa.trim_end_matches('0').trim_end_matches('.')
            } else {
                mantissa
            };
            format!("{mantissa}e{exp}")
        } else {
            float::general(value, precision, false)
        }
    } else {
        float::general(value, precision, false)
    };
    if text.contains(['.', 'e']) { text } else { text + ".0" }
}
