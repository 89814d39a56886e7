//! What a registry entry or a selector is made of: the values of JSON, as Python reads them.
//!
//! Integers have any size and floats keep their bits, because a registry decides what is measured and a number
//! that changed on the way is a lie. What JSON cannot hold (a tuple, a function) travels as [`Value::Opaque`]:
//! this crate knows only its number, the binding knows the object.
mod dict;
mod number;

pub use dict::Dict;
pub(crate) use number::numbers_equal;

/// One value of a registry entry or a selector.
///
/// `==` is structural (`Int(1) != Float(1.0)`); what unifies with what is decided in [`crate::unify`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, Python's `None`.
    Null,
    /// `true` or `false`; never equal to a number.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// A larger integer, as its decimal digits without leading zeros (and `-` in front).
    BigInt(Box<str>),
    /// A number written with a fraction or an exponent.
    Float(f64),
    /// Text; compared code point by code point, without normalisation.
    String(String),
    /// An ordered list; never a set.
    List(Vec<Value>),
    /// An object; its keys keep their order.
    Dict(Dict),
    /// An object of the caller that JSON cannot hold, by its number in the caller's table.
    Opaque(u32),
}

impl Value {
    /// The text, where the value is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The dict, where the value is one.
    #[must_use]
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items)
    }
}

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}
