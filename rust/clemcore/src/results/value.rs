//! One score, as a scorer gave it, and its text in `raw.csv`.
use crate::template::text::float;
use crate::text::repr::text_of;
use crate::value::Value;
use std::fmt::Write as _;

/// A score. What is neither a number nor nothing is kept as text, so that it can be seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Score {
    Int(i64),
    /// Also "no score", which is NaN.
    Float(f64),
    Bool(bool),
    Text(Box<str>),
}

impl Score {
    /// The score that a JSON value is.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Float(f64::NAN),
            Value::Bool(flag) => Self::Bool(flag),
            Value::Int(number) => Self::Int(number),
            Value::BigInt(digits) => Self::Float(digits.parse().unwrap_or(f64::NAN)),
            Value::Float(number) => Self::Float(number),
            Value::String(text) => Self::Text(text.into()),
            other => Self::Text(text_of(&other).into()),
        }
    }

    /// The score that a field of `raw.csv` is.
    pub(super) fn read(field: &str) -> Self {
        if field.is_empty() || field == "nan" {
            return Self::Float(f64::NAN);
        }
        if let Ok(number) = field.parse() {
            return Self::Int(number);
        }
        // Rust also takes words such as "infinity", which are texts here.
        let is_number = field.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        match field {
            "inf" => Self::Float(f64::INFINITY),
            "-inf" => Self::Float(f64::NEG_INFINITY),
            "True" => Self::Bool(true),
            "False" => Self::Bool(false),
            _ if is_number => field.parse().map_or_else(|_| Self::Text(field.into()), Self::Float),
            _ => Self::Text(field.into()),
        }
    }

    /// The score as a number; NaN where there is none, `None` for a text that is not a number.
    #[allow(clippy::cast_precision_loss, reason = "as pandas does when it averages")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Self::Text(text) => match Self::read(text.trim()) {
                Self::Text(_) | Self::Bool(_) => None,
                other => other.number(),
            },
        }
    }

    /// 1 - score; NaN for a text. An integer gives one, unless its column has floats.
    pub(super) fn complement(&self, as_float: bool) -> Self {
        match self {
            Self::Int(number) if !as_float => Self::Int(1_i64.saturating_sub(*number)),
            Self::Bool(flag) if !as_float => Self::Int(1 - i64::from(*flag)),
            _ => Self::Float(1.0 - self.number().unwrap_or(f64::NAN)),
        }
    }

    /// Appends the text of the score; in a column of floats, every number is written as one.
    pub(super) fn write(&self, as_float: bool, out: &mut String) {
        match self {
            Self::Float(number) => write_float(*number, out),
            Self::Text(text) => out.push_str(&super::csv::field(text)),
            Self::Int(number) if !as_float => {
                let _ = write!(out, "{number}");
            }
            Self::Int(_) => write_float(self.number().unwrap_or(f64::NAN), out),
            Self::Bool(flag) => out.push_str(match (as_float, flag) {
                (true, true) => "1.0",
                (true, false) => "0.0",
                (false, true) => "1",
                (false, false) => "0",
            }),
        }
    }
}

/// The text of a float in a CSV file: that of Python, and nothing for NaN.
pub(super) fn write_float(number: f64, out: &mut String) {
    #[allow(clippy::cast_possible_truncation, reason = "checked by the comparison")]
    let whole = number as i32;
    #[allow(clippy::float_cmp, reason = "whole numbers are the most frequent, and need no search for digits")]
    if f64::from(whole) == number && (whole != 0 || number.is_sign_positive()) {
        let _ = write!(out, "{whole}.0");
    } else if !number.is_nan() {
        float::repr(number, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(score: &Score, as_float: bool) -> String {
        let mut out = String::new();
        score.write(as_float, &mut out);
        out
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (number, wanted) in
            [(1e-5, "1e-05"), (1e16, "1e+16"), (-0.0, "-0.0"), (33.33, "33.33"), (100.0, "100.0")]
        {
            assert_eq!(text(&Score::Float(number), true), wanted);
        }
        assert_eq!(text(&Score::Float(f64::NAN), true), "");
        assert_eq!(text(&Score::Int(7), false), "7");
        assert_eq!(text(&Score::Int(7), true), "7.0");
        assert_eq!(text(&Score::Bool(true), true), "1.0");
    }

    #[test]
    fn what_is_written_is_read() {
        for score in [Score::Int(-3), Score::Float(0.1 + 0.2), Score::Float(1e300), Score::Text("won".into())]
        {
            assert_eq!(Score::read(&text(&score, false)), score);
        }
        assert!(matches!(Score::read(""), Score::Float(number) if number.is_nan()));
        assert_eq!(Score::read("infinity"), Score::Text("infinity".into()));
    }

    #[test]
    fn lists_and_objects_are_shown_as_python_shows_them() {
        let (value, _) = crate::json::read("x", br#"[1, 2.0, "x", {"a'": null, "b": true}]"#).unwrap();
        assert_eq!(Score::of(value), Score::Text(r#"[1, 2.0, 'x', {"a'": None, 'b': True}]"#.into()));
    }

    #[test]
    fn a_text_that_is_a_number_counts_as_one() {
        assert_eq!(Score::Text("0.5".into()).number(), Some(0.5));
        assert_eq!(Score::Text("won".into()).number(), None);
        assert_eq!(Score::Bool(true).complement(false), Score::Int(0));
    }
}
