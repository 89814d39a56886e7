//! How Python writes floats: the shortest digits that read back, in its own layout.

use std::fmt::Write as _;

/// `repr(value)` of a float.
pub(crate) fn repr(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    } else {
        finite(value, out);
    }
}

/// The JSON text of a float: `repr`, with JavaScript's names for what JSON does not have.
pub(crate) fn json(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        finite(value, out);
    }
}

fn finite(value: f64, out: &mut String) {
    // Not `{value:e}`: of two shortest texts that are equally near, Python takes the even one.
    let text = serde_json::Value::from(value).to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.strip_prefix('-').map_or(mantissa, |rest| {
        out.push('-');
        rest
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let zeros = all.len() - digits.len();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        out.push_str("0.0");
        return;
    }
    let before = i32::try_from(whole.len()).unwrap_or(0) - i32::try_from(zeros).unwrap_or(0);
    layout(digits, exponent + before - 1, out);
}

/// Decimal layout for exponents from -4 to 15, scientific beyond.
fn layout(digits: &str, exponent: i32, out: &mut String) {
    let point = exponent + 1;
    if (-4..16).contains(&exponent) {
        match usize::try_from(point) {
            Ok(point) if point >= digits.len() => {
                out.push_str(digits);
                out.extend(std::iter::repeat_n('0', point - digits.len()));
                out.push_str(".0");
            }
            Ok(point) if point > 0 => {
                out.push_str(&digits[..point]);
                out.push('.');
                out.push_str(&digits[point..]);
            }
            _ => {
                out.push_str("0.");
                out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
                out.push_str(digits);
            }
        }
        return;
    }
    out.push_str(&digits[..1]);
    if digits.len() > 1 {
        out.push('.');
        out.push_str(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", exponent.abs());
}

/// A double has no digits but zeros beyond so many decimals; `format!` panics beyond 65,535.
const EXACT: usize = 1074;

/// `value` in fixed notation with `precision` decimals (`%.3f`).
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    let exact = precision.min(EXACT);
    let mut text = format!("{value:.exact$}");
    text.extend(std::iter::repeat_n('0', precision - exact));
    text
}

/// `value` in scientific notation (`%.3e`): at least two digits of exponent.
pub(crate) fn scientific(value: f64, precision: usize) -> String {
    let exact = precision.min(EXACT);
    let mut text = format!("{value:.exact$e}");
    let at = text.find('e').unwrap_or(text.len());
    let exponent: i32 = text.get(at + 1..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    text.truncate(at);
    text.extend(std::iter::repeat_n('0', precision - exact));
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

/// The exponent of `value` in scientific notation, when it is rounded to so many digits.
pub(crate) fn exponent(value: f64, digits: usize) -> i32 {
    let rounded = format!("{value:.*e}", digits.saturating_sub(1).min(EXACT));
    rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// `value` in general notation (`%.6g`); `alternate` keeps trailing zeros.
pub(crate) fn general(value: f64, precision: usize, alternate: bool) -> String {
    // Further zeros would be cut off again.
    let precision = if alternate { precision } else { precision.min(EXACT) }.max(1);
    let exponent = i64::from(exponent(value, precision));
    let wide = i64::try_from(precision).unwrap_or(i64::MAX);
    if exponent < -4 || exponent >= wide {
        let text = scientific(value, precision - 1);
        let (mantissa, exp) = text.split_once('e').unwrap_or((&text, ""));
        return format!("{}e{exp}", if alternate { mantissa } else { trim_zeros(mantissa) });
    }
    let decimals = usize::try_from((wide - 1).saturating_sub(exponent)).unwrap_or(0);
    let text = fixed(value, decimals);
    if alternate { text } else { trim_zeros(&text).to_owned() }
}

/// The text of a number with a point, whether digits follow it or not.
pub(crate) fn with_point(mut text: String) -> String {
    if !text.contains('.') {
        text.insert(text.find('e').unwrap_or(text.len()), '.');
    }
    text
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::repr;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for wanted in [
            "0.0",
            "-0.0",
            "1.0",
            "-1.5",
            "100.0",
            "0.1",
            "0.0001",
            "1e-05",
            "1.5e-05",
            "1000000000000000.0",
            "1e+16",
            "1.2345e+20",
            "5e-324",
            "1.7976931348623157e+308",
            "123456789012345.67",
            "inf",
            "nan",
            // Both neighbours are as near and as short.
            "2190386050976700.2",
            "-2190386050976700.8",
        ] {
            let value = wanted.parse().unwrap_or(f64::NAN);
            let mut out = String::new();
            repr(value, &mut out);
            assert_eq!(out, wanted);
        }
    }
}
