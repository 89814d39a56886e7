//! Values that a caller builds from memory it keeps: the texts in them are borrowed, not copied.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::Num as _;

use super::error::Error;
use super::error::Result;
use super::value::{Arena, Dict, MAX_NESTING, Seq, Shape, Shared, Slice, Value, nested};

/// Python writes no integer of more than 4300 decimal digits, which are as many as these.
const MAX_HEX_DIGITS: usize = 3572;

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

    /// An integer beyond 64 bits in an arena, as Python's `hex` writes it. `None` for very large ones.
    #[must_use]
    pub fn big_int_in(arena: &'a Arena, hex: &str) -> Option<Self> {
        let (sign, digits) = hex.strip_prefix('-').map_or((Sign::Plus, hex), |rest| (Sign::Minus, rest));
        let digits = digits.strip_prefix("0x").filter(|digits| digits.len() <= MAX_HEX_DIGITS)?;
        let magnitude = BigUint::from_str_radix(digits, 16).ok()?;
        Some(Self(Value::Big(Shared::Lent(arena.put_integer(BigInt::from_biguint(sign, magnitude))))))
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

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// A list.
    ///
    /// # Errors
    /// When the items nest too deeply.
    pub fn list(items: Vec<Input<'a>>) -> Result<Self> {
        Ok(Self(Value::List(seq(items)?.into())))
    }

    /// A tuple.
    ///
    /// # Errors
    /// When the items nest too deeply.
    pub fn tuple(items: Vec<Input<'a>>) -> Result<Self> {
        Ok(Self(Value::Tuple(seq(items)?.into())))
    }

    /// A list (or tuple) in an arena, of everything in `items` from `start` on. No item may own memory.
    ///
    /// # Errors
    /// When the items nest too deeply.
    pub fn list_in(arena: &'a Arena, items: &mut Vec<Input<'a>>, start: usize, tuple: bool) -> Result<Self> {
        let items = arena.put_all(items.drain(start..).map(|item| item.0));
        let depth = nested(items.iter())?;
        let seq = Shared::Lent(arena.put(Seq { items: Slice::Lent(items), depth }));
        Ok(Self(if tuple { Value::Tuple(seq) } else { Value::List(seq) }))
    }

    /// A list of dicts in an arena, as many as `count`; `read` gives each.
    ///
    /// # Errors
    /// What `read` fails with, or when the dicts nest too deeply.
    #[inline]
    pub fn records_in<E: From<Box<Error>>>(
        arena: &'a Arena,
        count: usize,
        mut read: impl FnMut(usize) -> std::result::Result<Record<'a>, E>,
    ) -> std::result::Result<Self, E> {
        let mut depth = 0;
        let items = arena.try_put(count, |place| {
            let Record(dict) = read(place)?;
            depth = depth.max(dict.depth());
            Ok::<_, E>(Value::Dict(Shared::Lent(dict)))
        })?;
        if depth >= MAX_NESTING {
            return Err(Error::recursion("containers are nested too deeply").into());
        }
        let seq = arena.put_with(|| Seq { items: Slice::Lent(items), depth: depth + 1 });
        Ok(Self(Value::List(Shared::Lent(seq))))
    }

    /// A list (or tuple) in an arena of as many items as `count`; `read` gives each. No item may own memory.
    ///
    /// # Errors
    /// What `read` fails with, or when the items nest too deeply.
    pub fn read_list_in<E: From<Box<Error>>>(
        arena: &'a Arena,
        count: usize,
        tuple: bool,
        mut read: impl FnMut(usize) -> std::result::Result<Input<'a>, E>,
    ) -> std::result::Result<Self, E> {
        let items = arena.try_put(count, |place| read(place).map(|input| input.0))?;
        let depth = nested(items.iter())?;
        let seq = Shared::Lent(arena.put(Seq { items: Slice::Lent(items), depth }));
        Ok(Self(if tuple { Value::Tuple(seq) } else { Value::List(seq) }))
    }

    /// Owned data, whose texts are borrowed.
    ///
    /// # Errors
    /// When it nests too deeply.
    pub fn data(data: &'a super::Data) -> Result<Self> {
        Value::from_data(data).map(Self)
    }
}

/// A dict in an arena, as a conversation is made of.
#[derive(Clone, Copy)]
pub struct Record<'a>(&'a Dict<'a>);

impl<'a> Record<'a> {
    /// A dict of keys and values in turn from `start` on. The keys differ; nothing may own memory.
    ///
    /// # Errors
    /// When the values nest too deeply.
    pub fn of_items(arena: &'a Arena, items: &mut Vec<Input<'a>>, start: usize) -> Result<Self> {
        let pairs = Pairs(items.drain(start..));
        let dict = Dict::lent(arena, pairs)?;
        Ok(Self(arena.put(dict)))
    }

    /// A dict of a known shape; `read` gives the value for each key in turn. No value may own memory.
    ///
    /// # Errors
    /// What `read` fails with, or when the values nest too deeply.
    pub fn shaped<E: From<Box<Error>>>(
        arena: &'a Arena,
        shape: Shape<'a>,
        mut read: impl FnMut(usize) -> std::result::Result<Input<'a>, E>,
    ) -> std::result::Result<Self, E> {
        let dict = Dict::shaped(arena, shape, |place| read(place).map(|input| input.0))?;
        Ok(Self(arena.put(dict)))
    }

    /// A dict of a known shape, all of whose values are texts; `read` gives one for each key in turn.
    ///
    /// # Errors
    /// What `read` fails with.
    #[inline]
    pub fn of_texts<E>(
        arena: &'a Arena,
        shape: Shape<'a>,
        read: impl FnMut(usize) -> std::result::Result<&'a str, E>,
    ) -> std::result::Result<Self, E> {
        Dict::of_texts(arena, shape, read).map(Self)
    }
}

impl<'a> From<Record<'a>> for Input<'a> {
    fn from(record: Record<'a>) -> Self {
        Self(Value::Dict(Shared::Lent(record.0)))
    }
}

/// Takes keys and values in turn.
struct Pairs<I>(I);

impl<'a, I: ExactSizeIterator<Item = Input<'a>>> Iterator for Pairs<I> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?.0, self.0.next()?.0))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 2, Some(self.0.len() / 2))
    }
}

impl<'a, I: ExactSizeIterator<Item = Input<'a>>> ExactSizeIterator for Pairs<I> {}

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

    /// The finished value.
    ///
    /// # Errors
    /// When it nests too deeply.
    pub fn finish(self) -> Result<Input<'a>> {
        self.0.check_depth()?;
        Ok(Input(Value::Dict(self.0.into())))
    }
}
