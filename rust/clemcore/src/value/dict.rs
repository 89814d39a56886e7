//! A dict that keeps the order of its keys, as Python's does.
use super::Value;
use hashbrown::DefaultHashBuilder;
use indexmap::IndexMap;

/// Keys and values in the order in which they were inserted.
///
/// A type of its own, so that how it is stored can change without touching anything else.
///
/// ```
/// use clemcore::value::{Dict, Value};
/// let dict: Dict = [("model_name", "m"), ("backend", "mock")].into_iter().collect();
/// assert_eq!(dict.get("backend"), Some(&Value::from("mock")));
/// assert_eq!(dict.keys().collect::<Vec<_>>(), ["model_name", "backend"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dict(Box<IndexMap<String, Value, DefaultHashBuilder>>);

impl Dict {
    /// An empty dict.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty dict with room for `capacity` keys.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Box::new(IndexMap::with_capacity_and_hasher(capacity, DefaultHashBuilder::default())))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Whether `key` is there.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets `key`; a key that is there keeps its place, a new one comes last.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        self.0.insert(key.into(), value)
    }

    /// Removes `key`; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// Sorts by keys, and puts other keys, which are not there, before all.
    pub(crate) fn sort_behind(&mut self, first: Vec<(&str, Value)>) {
        self.0.sort_unstable_keys();
        for (at, (key, value)) in first.into_iter().enumerate() {
            self.0.shift_insert(at, key.to_owned(), value);
        }
    }

    /// Keys and values in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Keys in order.
    #[must_use]
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(Box::new(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
    }
}
