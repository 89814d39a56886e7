//! Containers that are counted, or that lie in the memory that a caller set aside for one render.

use std::cell::{OnceCell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use bumpalo::Bump;
pub(crate) use bumpalo::collections::Vec as ArenaVec;
use num_bigint::BigInt;

use super::Value;

/// Longer texts that a render makes are counted and freed one by one.
const MAX_TEXT: usize = 4 << 10;
/// So are all texts in an arena that has grown beyond this.
const MAX_TEXTS: usize = 8 << 20;

/// Memory for the containers of one render's input. Nothing in it is dropped one by one: it is all given back at once.
#[derive(Default)]
pub struct Arena {
    memory: Bump,
    /// Large integers own memory of their own, so they lie where they are dropped.
    integers: OnceCell<typed_arena::Arena<BigInt>>,
    /// The memory of vectors of an earlier render, empty. (Vectors in `memory` are slower to fill.)
    spare: RefCell<Vec<Vec<Value<'static>>>>,
}

/// No more vectors than this are kept, and none longer than this.
const SPARE: (usize, usize) = (2, 4096);

impl Arena {
    /// Forgets everything, keeping the memory for the next render.
    pub fn reset(&mut self) {
        self.memory.reset();
        self.integers.take();
    }

    /// How much memory is kept.
    #[must_use]
    pub fn size(&self) -> usize {
        self.memory.allocated_bytes()
    }

    pub(crate) fn put<T>(&self, value: T) -> &T {
        self.memory.alloc(value)
    }

    /// Puts a text that a render made here, as long as that does not add up to much.
    pub(crate) fn put_text(&self, text: &str) -> Option<&str> {
        let room = text.len() <= MAX_TEXT && self.memory.allocated_bytes() <= MAX_TEXTS;
        room.then(|| &*self.memory.alloc_str(text))
    }

    /// An empty vector that lives here.
    pub(crate) fn vector<T>(&self, capacity: usize) -> ArenaVec<'_, T> {
        ArenaVec::with_capacity_in(capacity, &self.memory)
    }

    /// An empty vector of values.
    pub(crate) fn values<'v>(&self) -> Vec<Value<'v>> {
        self.spare.borrow_mut().pop().map_or_else(Vec::new, emptied)
    }

    /// Keeps the memory of a vector for [`Self::values`].
    pub(crate) fn keep_values(&self, values: Vec<Value<'_>>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE.0 && values.capacity() <= SPARE.1 {
            spare.push(emptied(values));
        }
    }

    pub(crate) fn put_integer(&self, value: BigInt) -> &BigInt {
        self.integers.get_or_init(typed_arena::Arena::new).alloc(value)
    }

    pub(crate) fn put_copies<T: Copy>(&self, value: T, count: usize) -> &mut [T] {
        self.memory.alloc_slice_fill_copy(count, value)
    }

    /// Puts a value here that is made where it will lie.
    #[inline]
    pub(crate) fn put_with<T>(&self, make: impl FnOnce() -> T) -> &T {
        self.memory.alloc_with(make)
    }

    /// What `make` gives for each place; the first failure ends it.
    #[inline]
    pub(crate) fn try_put<T, E>(
        &self,
        count: usize,
        make: impl FnMut(usize) -> std::result::Result<T, E>,
    ) -> std::result::Result<&[T], E> {
        self.memory.alloc_slice_try_fill_with(count, make).map(|items| &*items)
    }

    pub(crate) fn put_all<T>(&self, values: impl ExactSizeIterator<Item = T>) -> &[T] {
        self.memory.alloc_slice_fill_iter(values)
    }
}

/// The same memory without its values, which may then be values of any lifetime.
#[allow(clippy::unnecessary_filter_map, reason = "the type changes: it gets another lifetime")]
fn emptied<'v>(values: Vec<Value<'_>>) -> Vec<Value<'v>> {
    // Collecting an iterator over a vector into one of the same layout reuses the memory.
    values.into_iter().filter_map(|_| None).collect()
}

/// A container that several values share.
pub(crate) enum Shared<'a, T> {
    Counted(Rc<T>),
    Lent(&'a T),
}

impl<T> Shared<'_, T> {
    /// Whether both are the same object.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq::<T>(&raw const **self, &raw const **other)
    }
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Counted(value) => Self::Counted(Rc::clone(value)),
            Self::Lent(value) => Self::Lent(value),
        }
    }
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Counted(value) => value,
            Self::Lent(value) => value,
        }
    }
}

impl<T> From<T> for Shared<'_, T> {
    fn from(value: T) -> Self {
        Self::Counted(Rc::new(value))
    }
}

/// The items of a container.
pub(crate) enum Slice<'a, T> {
    Owned(Vec<T>),
    Lent(&'a [T]),
}

impl<T> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(items) => items,
            Self::Lent(items) => items,
        }
    }
}
