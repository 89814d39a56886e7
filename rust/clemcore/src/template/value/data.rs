//! Owned plain data: what a caller hands in when it has no memory to borrow from.

use num_bigint::BigInt;

use super::{Dict, Seq, Value};
use crate::template::error::Result;

/// A plain value, as JSON has it, plus tuples, integers of any size and keys of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// Any other integer, in decimal digits with an optional sign.
    BigInt(String),
    /// A float.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Data>),
    /// A tuple.
    Tuple(Vec<Data>),
    /// A dict, in insertion order.
    Dict(Vec<(Data, Data)>),
}

impl<'a> Value<'a> {
    /// Views owned data as a value; texts are borrowed.
    pub(crate) fn from_data(data: &'a Data) -> Result<Self> {
        Ok(match data {
            Data::None => Self::None,
            Data::Bool(b) => Self::Bool(*b),
            Data::Int(i) => Self::Int(*i),
            Data::BigInt(digits) => Self::big(digits.parse::<BigInt>().unwrap_or_default()),
            Data::Float(f) => Self::Float(*f),
            Data::Str(s) => Self::Str(s),
            Data::List(items) => Self::List(seq(items)?.into()),
            Data::Tuple(items) => Self::Tuple(seq(items)?.into()),
            Data::Dict(pairs) => {
                let mut dict = Dict::with_capacity(pairs.len());
                for (key, value) in pairs {
                    dict.insert(Self::from_data(key)?, Self::from_data(value)?)?;
                }
                Self::Dict(dict.into())
            }
        })
    }
}

fn seq(items: &[Data]) -> Result<Seq<'_>> {
    Seq::new(items.iter().map(Value::from_data).collect::<Result<_>>()?)
}
