//! The values that a template computes with: Python's, as far as a chat template can see them.
//!
//! Texts are borrowed from the caller's data or from the template wherever possible; what a render makes itself is
//! reference-counted. Containers are immutable, because the sandbox forbids every method that would change one.
//! Behaviour (arithmetic, comparison, text) lives in `ops` and `text`; this module only knows shapes.

mod data;
mod dict;
mod object;
mod shape;
mod shared;
mod undefined;

use std::rc::Rc;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

pub use data::Data;
pub(crate) use dict::{Dict, check_hashable};
pub(crate) use object::{Gen, Iter, LoopState, Object, Recurse, Select, Step, View, range_len};
pub use shape::Shape;
pub(crate) use shape::{Counter, Key, KeyNumbers};
pub use shared::Arena;
pub(crate) use shared::{ArenaVec, Shared, Slice};
pub(crate) use undefined::Undef;

use super::error::{Error, Result};

/// Containers nested deeper than this are refused, so that nothing recursive can overflow the stack.
pub(crate) const MAX_NESTING: u32 = 400;

/// A value of the template language.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    /// No value at all: an unset variable slot, a missing argument. Never visible to a template.
    Missing,
    Undefined(Rc<Undef<'a>>),
    None,
    Bool(bool),
    Int(i64),
    Big(Shared<'a, BigInt>),
    Float(f64),
    Str(&'a str),
    Owned(Rc<str>),
    Markup(Rc<str>),
    List(Shared<'a, Seq<'a>>),
    Tuple(Shared<'a, Seq<'a>>),
    Dict(Shared<'a, Dict<'a>>),
    Object(Shared<'a, Object<'a>>),
}

/// The items of a list or tuple, with the depth of nesting.
pub(crate) struct Seq<'a> {
    pub(crate) items: Slice<'a, Value<'a>>,
    pub(crate) depth: u32,
}

impl<'a> Value<'a> {
    pub(crate) fn string(text: String) -> Self {
        Self::Owned(Rc::from(text))
    }

    pub(crate) fn big(value: BigInt) -> Self {
        value.to_i64().map_or_else(|| Self::Big(value.into()), Self::Int)
    }

    pub(crate) fn size(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn list(items: Vec<Value<'a>>) -> Result<Self> {
        Ok(Self::List(Seq::new(items)?.into()))
    }

    pub(crate) fn tuple(items: Vec<Value<'a>>) -> Result<Self> {
        Ok(Self::Tuple(Seq::new(items)?.into()))
    }

    pub(crate) fn object(object: Object<'a>) -> Self {
        Self::Object(object.into())
    }

    /// The text of a string of any kind.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s),
            Self::Owned(s) | Self::Markup(s) => Some(s),
            _ => None,
        }
    }

    /// Becomes a copy of another value. For the usual kinds of values nothing is moved twice.
    #[inline]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        match other {
            Self::Str(text) => self.become_value(Self::Str(text)),
            Self::Dict(Shared::Lent(dict)) => self.become_value(Self::Dict(Shared::Lent(dict))),
            Self::Missing => self.become_value(Self::Missing),
            other => *self = other.clone(),
        }
    }

    /// Becomes another value. What the usual kinds of values were need not be dropped.
    #[inline]
    pub(crate) fn become_value(&mut self, other: Self) {
        match self {
            Self::Str(_) | Self::Missing | Self::Dict(Shared::Lent(_)) => {
                std::mem::forget(std::mem::replace(self, other));
            }
            _ => *self = other,
        }
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// The tuple that a group of `groupby` is, where that makes a difference.
    pub(crate) fn ungrouped(&self) -> Option<Self> {
        let Self::Object(object) = self else { return None };
        let Object::Group(key, list) = &**object else { return None };
        Self::tuple(vec![key.clone(), list.clone()]).ok()
    }

    /// A part of a string, borrowed when the whole is. Not for `Markup`, whose parts are `Markup`.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        match self {
            Self::Str(s) => Self::Str(&s[start..end]),
            Self::Owned(s) if start == 0 && end == s.len() => self.clone(),
            Self::Owned(s) => Self::Owned(Rc::from(&s[start..end])),
            Self::Markup(s) if start == 0 && end == s.len() => self.clone(),
            Self::Markup(s) => Self::Markup(Rc::from(&s[start..end])),
            _ => Self::Missing,
        }
    }

    /// How deep containers nest inside; 0 for a scalar.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::List(s) | Self::Tuple(s) => s.depth,
            Self::Dict(d) => d.depth(),
            Self::Object(o) => o.depth(),
            Self::Undefined(u) => u.depth(),
            _ => 0,
        }
    }

    /// Python's `type(x).__name__`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) | Self::Owned(_) => "str",
            Self::Markup(_) => "Markup",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Object(o) => o.type_name(),
        }
    }
}

impl<'a> Seq<'a> {
    pub(crate) fn new(items: Vec<Value<'a>>) -> Result<Self> {
        let depth = nested(items.iter())?;
        Ok(Self { items: Slice::Owned(items), depth })
    }
}

/// One more than the depth of the deepest item, or an error beyond the bound.
pub(crate) fn nested<'v, 'a: 'v>(items: impl Iterator<Item = &'v Value<'a>>) -> Result<u32> {
    let depth = items.map(Value::depth).max().unwrap_or(0) + 1;
    if depth > MAX_NESTING {
        return Err(Error::recursion("containers are nested too deeply"));
    }
    Ok(depth)
}
