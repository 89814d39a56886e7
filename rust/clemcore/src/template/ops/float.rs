//! Python's float arithmetic where it differs from the machine's.

use crate::template::error::{Error, ErrorKind, Result};

/// `a % b`: the result has the sign of `b`.
pub(crate) fn modulo(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 {
        return Err(Error::new(ErrorKind::ZeroDivision, "float modulo by zero"));
    }
    let rest = a % b;
    if rest == 0.0 {
        return Ok(0.0f64.copysign(b));
    }
    Ok(if (rest < 0.0) == (b < 0.0) { rest } else { rest + b })
}

/// `a // b`.
pub(crate) fn floor_div(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 {
        return Err(Error::new(ErrorKind::ZeroDivision, "float floor division by zero"));
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return Ok(0.0f64.copysign(a / b));
    }
    let floor = quotient.floor();
    Ok(if quotient - floor > 0.5 { floor + 1.0 } else { floor })
}

/// `a ** b`.
pub(crate) fn power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        let message = "0.0 cannot be raised to a negative power";
        return Err(Error::new(ErrorKind::ZeroDivision, message));
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return Err(Error::unsupported("a complex number"));
    }
    let result = a.powf(b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(Error::overflow("(34, 'Numerical result out of range')"));
    }
    Ok(result)
}
