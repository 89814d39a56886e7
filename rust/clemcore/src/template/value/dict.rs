//! Python's dict: insertion order, keys equal across int, float and bool, hashable keys only.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

use super::shape::{ABSENT, Key};
use super::{Arena, MAX_NESTING, Object, Shape, Slice, Value, View};
use crate::template::budget::{look, spend};
use crate::template::error::{Error, Result};
use crate::template::ops::compare::equals;

/// From this size on, string keys are found by a hash table.
const INDEXED: usize = 12;

/// Longer keys are paid for where they are looked up.
const LONG: usize = 256;

/// An insertion-ordered map. Small ones, which is nearly all of them, are searched in order.
pub(crate) struct Dict<'a> {
    entries: Slice<'a, (Value<'a>, Value<'a>)>,
    depth: u32,
    /// Where the constant names of the template stand; empty when that is not known.
    places: &'a [u8],
    index: OnceCell<Box<Index>>,
}

/// Hash of a string key → positions of the entries with that hash.
struct Index {
    state: std::hash::RandomState,
    places: HashMap<u64, Vec<usize>>,
}

impl Default for Dict<'_> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<'a> Dict<'a> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: Slice::Owned(Vec::with_capacity(capacity)),
            depth: 0,
            places: &[],
            index: OnceCell::new(),
        }
    }

    /// A dict of these entries, whose keys differ, in an arena. The entries must not own memory.
    pub(crate) fn lent(
        arena: &'a Arena,
        entries: impl ExactSizeIterator<Item = (Value<'a>, Value<'a>)>,
    ) -> Result<Self> {
        let entries = arena.put_all(entries);
        let depth = entries.iter().map(|(key, value)| value.depth().max(key.depth())).max().unwrap_or(0);
        let dict = Self { entries: Slice::Lent(entries), depth, places: &[], index: OnceCell::new() };
        dict.check_depth()?;
        Ok(dict)
    }

    /// A dict of this shape in an arena, all of whose values are texts, which `read` gives for each place.
    #[inline]
    pub(crate) fn of_texts<E>(
        arena: &'a Arena,
        shape: Shape<'a>,
        mut read: impl FnMut(usize) -> std::result::Result<&'a str, E>,
    ) -> std::result::Result<&'a Self, E> {
        let entries = arena.try_put(shape.keys.len(), |place| {
            read(place).map(|text| (Value::Str(shape.keys[place]), Value::Str(text)))
        })?;
        Ok(arena.put_with(|| Self {
            entries: Slice::Lent(entries),
            depth: 0,
            places: shape.places,
            index: OnceCell::new(),
        }))
    }

    /// A dict of this shape in an arena, whose values `read` gives for each place. They must not own memory.
    pub(crate) fn shaped<E: From<Box<Error>>>(
        arena: &'a Arena,
        shape: Shape<'a>,
        mut read: impl FnMut(usize) -> std::result::Result<Value<'a>, E>,
    ) -> std::result::Result<Self, E> {
        let mut depth = 0;
        let entries = arena.try_put(shape.keys.len(), |place| {
            let value = read(place)?;
            depth = depth.max(value.depth());
            Ok::<_, E>((Value::Str(shape.keys[place]), value))
        })?;
        let dict =
            Self { entries: Slice::Lent(entries), depth, places: shape.places, index: OnceCell::new() };
        dict.check_depth()?;
        Ok(dict)
    }

    pub(crate) fn entries(&self) -> &[(Value<'a>, Value<'a>)] {
        &self.entries
    }

    pub(crate) fn into_entries(self) -> Vec<(Value<'a>, Value<'a>)> {
        match self.entries {
            Slice::Owned(entries) => entries,
            Slice::Lent(entries) => entries.to_vec(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth + 1
    }

    /// Adds or replaces; a replaced key keeps its place and its first spelling, as in Python.
    pub(crate) fn insert(&mut self, key: Value<'a>, value: Value<'a>) -> Result<()> {
        check_hashable(&key)?;
        self.depth = self.depth.max(value.depth()).max(key.depth());
        if self.depth >= MAX_NESTING {
            return Err(Error::recursion("containers are nested too deeply"));
        }
        match self.find(&key) {
            Some(place) => {
                if let Slice::Owned(entries) = &mut self.entries {
                    entries[place].1 = value;
                }
            }
            None => self.push_new(key, value),
        }
        Ok(())
    }

    /// Fails when the values nest too deeply.
    pub(crate) fn check_depth(&self) -> Result<()> {
        if self.depth >= MAX_NESTING {
            return Err(Error::recursion("containers are nested too deeply"));
        }
        Ok(())
    }

    /// Adds an entry whose key is known to be new and hashable.
    pub(crate) fn push_new(&mut self, key: Value<'a>, value: Value<'a>) {
        self.depth = self.depth.max(value.depth());
        if let (Some(index), Some(text)) = (self.index.get_mut(), key.as_str()) {
            let hash = index.state.hash_one(text);
            index.places.entry(hash).or_default().push(self.entries.len());
        }
        // Only a dict that is being built is added to, and that one owns its entries.
        if let Slice::Owned(entries) = &mut self.entries {
            entries.push((key, value));
        }
    }

    fn find(&self, key: &Value<'a>) -> Option<usize> {
        match key.as_str() {
            Some(text) => self.find_str(text),
            None => {
                spend(self.entries.len() / 4).ok()?;
                self.entries.iter().position(|(k, _)| equals(k, key))
            }
        }
    }

    fn find_str(&self, text: &str) -> Option<usize> {
        if text.len() > LONG {
            look(text.len().saturating_mul(4)).ok()?;
        }
        if self.entries.len() < INDEXED {
            return self.entries.iter().position(|(k, _)| k.as_str() == Some(text));
        }
        // What lies in an arena is never dropped, so it must not grow an index.
        if matches!(self.entries, Slice::Lent(_)) {
            spend(self.entries.len() / 16).ok()?;
            return self.entries.iter().position(|(k, _)| k.as_str() == Some(text));
        }
        let index = self.index.get_or_init(|| Box::new(Index::of(&self.entries)));
        let hash = index.state.hash_one(text);
        index.places.get(&hash)?.iter().copied().find(|&i| self.entries[i].0.as_str() == Some(text))
    }

    /// The value of a string key.
    pub(crate) fn get_str(&self, key: &str) -> Option<&Value<'a>> {
        self.find_str(key).map(|i| &self.entries[i].1)
    }

    /// The value of a constant name of the template.
    #[inline]
    pub(crate) fn get_key(&self, key: &Key) -> Option<&Value<'a>> {
        match self.places.get(key.number as usize) {
            None => self.get_str(&key.name),
            Some(&ABSENT) => None,
            Some(&place) => self.entries.get(usize::from(place)).map(|(_, value)| value),
        }
    }

    /// The value of any key; an unhashable one is an error.
    pub(crate) fn get(&self, key: &Value<'a>) -> Result<Option<&Value<'a>>> {
        check_hashable(key)?;
        Ok(self.find(key).map(|i| &self.entries[i].1))
    }
}

impl Index {
    fn of<'a>(entries: &[(Value<'a>, Value<'a>)]) -> Self {
        let mut index = Self { state: std::hash::RandomState::new(), places: HashMap::new() };
        for (place, (key, _)) in entries.iter().enumerate() {
            if let Some(text) = key.as_str() {
                index.places.entry(index.state.hash_one(text)).or_default().push(place);
            }
        }
        index
    }
}

/// How many tuples may be in a key.
const MOST_TUPLES: u32 = 100_000;

/// Lists, dicts and what contains them cannot be keys.
pub(crate) fn check_hashable(key: &Value<'_>) -> Result<()> {
    check_parts(key, &mut 0)
}

/// Tuples may hold one another many times over, so that they are counted.
fn check_parts(key: &Value<'_>, seen: &mut u32) -> Result<()> {
    match key {
        Value::List(_) | Value::Dict(_) => {
            Err(Error::type_error(format!("unhashable type: '{}'", key.type_name())))
        }
        Value::Tuple(items) => {
            *seen += 1;
            if *seen > MOST_TUPLES {
                return Err(Error::limit("a key has too many parts"));
            }
            spend(items.items.len())?;
            items.items.iter().try_for_each(|item| check_parts(item, seen))
        }
        Value::Object(object) => match &**object {
            Object::View(View::Keys | View::Items, _) => {
                Err(Error::type_error(format!("unhashable type: '{}'", key.type_name())))
            }
            Object::Group(..) => Err(Error::type_error("unhashable type: 'list'")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}
