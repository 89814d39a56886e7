//! Dicts that look alike: the messages of a conversation have the same keys in the same order, so where a name stands
//! is worked out once for all of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Arena;

/// The place of a name that the dict does not have.
pub(crate) const ABSENT: u8 = u8::MAX;

/// A constant name that a template reads from dicts.
pub(crate) struct Key {
    pub(crate) name: Box<str>,
    /// Its number among those of the template.
    pub(crate) number: u32,
    /// A dict cannot have a method or private attribute of this name.
    pub(crate) plain: bool,
    /// What `loop` has under this name.
    pub(crate) counter: Option<Counter>,
}

/// What `loop` counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    Index,
    Index0,
    First,
    Last,
}

impl Counter {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "index0" => Self::Index0,
            "first" => Self::First,
            "last" => Self::Last,
            _ => return None,
        })
    }
}

/// The numbers of the constant names of a template.
#[derive(Default)]
pub(crate) struct KeyNumbers(HashMap<Box<str>, u32, BuildHasherDefault<NameHasher>>);

/// FNV-1a. Names are few and short, and what is hashed comes from the template.
pub(crate) struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 =
            bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl KeyNumbers {
    /// The number of a name, a new one where it is new.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(name.into(), number);
        number
    }

    /// The shape of dicts with these keys, which differ.
    pub(crate) fn shape<'a>(
        &self,
        arena: &'a Arena,
        keys: impl ExactSizeIterator<Item = &'a str>,
    ) -> Shape<'a> {
        let keys = arena.put_all(keys);
        if keys.len() >= usize::from(ABSENT) {
            return Shape { keys, places: &[] };
        }
        let places = arena.put_copies(ABSENT, self.0.len());
        for (place, key) in (0..).zip(keys) {
            if let Some(number) = self.0.get(*key) {
                places[*number as usize] = place;
            }
        }
        Shape { keys, places }
    }
}

/// What dicts with the same keys in the same order share.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    pub(crate) keys: &'a [&'a str],
    /// Number of a constant name of the template → place of its entry. Empty when nothing is known.
    pub(crate) places: &'a [u8],
}
