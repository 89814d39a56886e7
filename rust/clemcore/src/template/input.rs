//! Values that a caller builds from memory it keeps: the texts in them are borrowed, not copied.

use std::rc::Rc;

use num_bigint::BigInt;

use super::error::Result;
use super::value::{Dict, Seq, Value};

/// A value for a render, made by the caller.
#[derive(Clone)]
pub struct Input<'a>(pub(crate) Value<'a>);

/// A dict for a render, filled entry by entry.
#[derive(Default)]
pub struct InputDict<'a>(Dict<'a>);

impl<'a> Input<'a> {
    /// `None`.
    #[must_use]
    pub fn none() -> Self {
        Self(Value::None)
    }

    /// A bool.
    #[must_use]
    pub fn bool(value: bool) -> Self {
        Self(Value::Bool(value))
    }

    /// An integer of 64 bits.
    #[must_use]
    pub fn int(value: i64) -> Self {
        Self(Value::Int(value))
    }

    /// An integer of any size, from its decimal digits; nothing when they are none.
    #[must_use]
    pub fn big_int(digits: &str) -> Option<Self> {
        digits.parse::<BigInt>().ok().map(|value| Self(Value::big(value)))
    }

    /// A float.
    #[must_use]
    pub fn float(value: f64) -> Self {
        Self(Value::Float(value))
    }

    /// A string.
    #[must_use]
    pub fn str(value: &'a str) -> Self {
        Self(Value::Str(value))
    }

    /// A list.
    ///
    /// # Errors
    /// When the items nest too deeply.
    pub fn list(items: Vec<Input<'a>>) -> Result<Self> {
        Ok(Self(Value::List(Rc::new(seq(items)?))))
    }

    /// A tuple.
    ///
    /// # Errors
    /// When the items nest too deeply.
    pub fn tuple(items: Vec<Input<'a>>) -> Result<Self> {
        Ok(Self(Value::Tuple(Rc::new(seq(items)?))))
    }

    /// Owned data, whose texts are borrowed.
    ///
    /// # Errors
    /// When it nests too deeply.
    pub fn data(data: &'a super::Data) -> Result<Self> {
        Value::from_data(data).map(Self)
    }
}

fn seq(items: Vec<Input<'_>>) -> Result<Seq<'_>> {
    Seq::new(items.into_iter().map(|item| item.0).collect())
}

impl<'a> InputDict<'a> {
    /// An empty dict with room for some entries.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Dict::with_capacity(capacity))
    }

    /// Adds an entry whose key is not there yet, as when another dict is copied.
    pub fn push(&mut self, key: Input<'a>, value: Input<'a>) {
        self.0.push_new(key.0, value.0);
    }

    /// Adds or replaces an entry.
    ///
    /// # Errors
    /// When the key cannot be one, or the value nests too deeply.
    pub fn insert(&mut self, key: Input<'a>, value: Input<'a>) -> Result<()> {
        self.0.insert(key.0, value.0)
    }

    /// The same message with its reasoning under each name that templates read: `thinking` comes first unless it is
    /// there, `reasoning_content` last unless it is there.
    ///
    /// # Errors
    /// When the value nests too deeply.
    pub fn with_reasoning(self, thought: Input<'a>) -> Result<Self> {
        let mut dict = Dict::with_capacity(self.0.len() + 2);
        dict.insert(Value::Str("thinking"), thought.0.clone())?;
        for (key, value) in self.0.entries() {
            dict.insert(key.clone(), value.clone())?;
        }
        dict.insert(Value::Str("reasoning_content"), thought.0)?;
        Ok(Self(dict))
    }

    /// The finished value.
    ///
    /// # Errors
    /// When it nests too deeply.
    pub fn finish(self) -> Result<Input<'a>> {
        self.0.check_depth()?;
        Ok(Input(Value::Dict(Rc::new(self.0))))
    }
}
