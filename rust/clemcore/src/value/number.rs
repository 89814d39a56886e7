//! Equality of numbers as Python decides it: exact, whatever the two are written as.
use super::Value;

/// Whether two numbers are equal; `None` where one of the two is not a number.
///
/// A boolean is not a number here, although Python counts `True` as 1.
pub(crate) fn numbers_equal(left: &Value, right: &Value) -> Option<bool> {
    use Value::{BigInt, Float, Int};
    Some(match (left, right) {
        (Int(a), Int(b)) => a == b,
        (BigInt(a), BigInt(b)) => a == b,
        // A BigInt never fits 64 bits, so it is not an Int.
        (Int(_), BigInt(_)) | (BigInt(_), Int(_)) => false,
        #[allow(clippy::float_cmp, reason = "equality is what is asked")]
        (Float(a), Float(b)) => a == b,
        (Int(a), Float(b)) | (Float(b), Int(a)) => int_equals_float(*a, *b),
        (BigInt(a), Float(b)) | (Float(b), BigInt(a)) => big_equals_float(a, *b),
        _ => return None,
    })
}

/// 2 to the power of 63: the first float above every `i64`.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

fn int_equals_float(int: i64, float: f64) -> bool {
    // The cast is exact: a float in this range without a fraction is an i64.
    #[allow(clippy::cast_possible_truncation, reason = "range and fraction are checked before")]
    let exact = (-TWO_63..TWO_63).contains(&float) && float.fract() == 0.0 && float as i64 == int;
    exact
}

fn big_equals_float(digits: &str, float: f64) -> bool {
    // `{:.0}` prints every digit of a float, and a float of this size has no fraction.
    float.is_finite() && float.abs() >= TWO_63 && format!("{float:.0}") == digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_floats_compare_exactly() {
        let equal = |a: Value, b: Value| numbers_equal(&a, &b);
        assert_eq!(equal(Value::Int(1), Value::Float(1.0)), Some(true));
        assert_eq!(equal(Value::Int(0), Value::Float(-0.0)), Some(true));
        assert_eq!(
            equal(Value::Int(9_007_199_254_740_993), Value::Float(9_007_199_254_740_992.0)),
            Some(false)
        );
        assert_eq!(equal(Value::Int(i64::MAX), Value::Float(TWO_63)), Some(false));
        assert_eq!(equal(Value::Int(i64::MIN), Value::Float(-TWO_63)), Some(true));
        assert_eq!(equal(Value::BigInt("9223372036854775808".into()), Value::Float(TWO_63)), Some(true));
        assert_eq!(equal(Value::BigInt("9223372036854775809".into()), Value::Float(TWO_63)), Some(false));
        let ten_22 = Value::BigInt("10000000000000000000000".into());
        assert_eq!(equal(ten_22.clone(), Value::Float(1e22)), Some(true));
        assert_eq!(equal(ten_22, Value::Float(f64::INFINITY)), Some(false));
        assert_eq!(equal(Value::Float(f64::NAN), Value::Float(f64::NAN)), Some(false));
        assert_eq!(equal(Value::Bool(true), Value::Int(1)), None);
    }
}
