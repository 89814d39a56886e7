//! The arguments of a call, and how they meet the parameters of a Python function.

use crate::template::error::{Error, Result};
use crate::template::value::Value;

/// Evaluated arguments. Keyword names are strings.
#[derive(Clone, Default)]
pub(crate) struct Args<'a> {
    pub(crate) pos: Vec<Value<'a>>,
    pub(crate) kw: Vec<(Value<'a>, Value<'a>)>,
}

impl<'a> Args<'a> {
    /// Takes a keyword argument out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let place = self.kw.iter().position(|(known, _)| known.as_str() == Some(name))?;
        Some(self.kw.remove(place).1)
    }

    /// Matches the arguments with parameters of which the first `required` have no default; `Missing` where not given.
    pub(crate) fn bind<const N: usize>(
        mut self,
        func: &str,
        names: &[&str; N],
        required: usize,
    ) -> Result<[Value<'a>; N]> {
        if self.pos.len() > N {
            let given = self.pos.len();
            return Err(Error::type_error(format!(
                "{func}() takes {N} positional arguments but {given} were given"
            )));
        }
        let mut values = [const { Value::Missing }; N];
        for (value, given) in values.iter_mut().zip(self.pos.drain(..)) {
            *value = given;
        }
        for (name, given) in self.kw {
            let name = name.as_str().unwrap_or_default();
            let Some(place) = names.iter().position(|known| *known == name) else {
                return Err(Error::type_error(format!(
                    "{func}() got an unexpected keyword argument '{name}'"
                )));
            };
            if !matches!(values[place], Value::Missing) {
                return Err(Error::type_error(format!("{func}() got multiple values for argument '{name}'")));
            }
            values[place] = given;
        }
        if let Some(place) = values.iter().take(required).position(|v| matches!(v, Value::Missing)) {
            let name = names[place];
            return Err(Error::type_error(format!(
                "{func}() missing 1 required positional argument: '{name}'"
            )));
        }
        Ok(values)
    }

    /// All parameters are required.
    pub(crate) fn exactly<const N: usize>(self, func: &str, names: &[&str; N]) -> Result<[Value<'a>; N]> {
        self.bind(func, names, N)
    }

    /// Parameters that may only be given by position, as most methods of built-in types have them.
    pub(crate) fn positional<const N: usize>(self, func: &str, required: usize) -> Result<[Value<'a>; N]> {
        self.no_keywords(func)?;
        let given = self.pos.len();
        if given < required || given > N {
            return Err(Error::type_error(format!(
                "{func}() takes from {required} to {N} arguments ({given} given)"
            )));
        }
        let mut values = [const { Value::Missing }; N];
        for (value, given) in values.iter_mut().zip(self.pos) {
            *value = given;
        }
        Ok(values)
    }

    pub(crate) fn no_keywords(&self, func: &str) -> Result<()> {
        if self.kw.is_empty() {
            Ok(())
        } else {
            Err(Error::type_error(format!("{func}() takes no keyword arguments")))
        }
    }
}

/// An argument used as an index or count: an integer of any kind, clipped to 64 bits.
pub(crate) fn integer(value: &Value<'_>) -> Result<i64> {
    match value {
        Value::Int(i) => Ok(*i),
        Value::Bool(b) => Ok(i64::from(*b)),
        Value::Big(i) if i.sign() == num_bigint::Sign::Minus => Ok(i64::MIN),
        Value::Big(_) => Ok(i64::MAX),
        other => {
            let name = other.type_name();
            Err(Error::type_error(format!("'{name}' object cannot be interpreted as an integer")))
        }
    }
}

/// An argument used as a number of things, where one beyond 64 bits is an error; with a default.
pub(crate) fn size_or(value: &Value<'_>, default: i64) -> Result<i64> {
    match value {
        Value::Big(_) => Err(Error::overflow("Python int too large to convert to C ssize_t")),
        _ => integer_or(value, default),
    }
}

/// Like [`integer`], with a default for an argument that was not given.
pub(crate) fn integer_or(value: &Value<'_>, default: i64) -> Result<i64> {
    if matches!(value, Value::Missing) { Ok(default) } else { integer(value) }
}

/// A string argument.
pub(crate) fn text<'v>(value: &'v Value<'_>, func: &str) -> Result<&'v str> {
    value.as_str().ok_or_else(|| {
        let name = value.type_name();
        Error::type_error(format!("{func}() argument must be str, not {name}"))
    })
}

/// Not given, or `None`.
pub(crate) fn absent(value: &Value<'_>) -> bool {
    matches!(value, Value::Missing | Value::None)
}
