//! From a model name to the entries that have it.
use super::{Entry, MODEL_NAME};
use crate::value::Value;
use std::collections::HashMap;

/// Which entries a name can mean, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct NameIndex {
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Entries whose name is missing or no string: they may unify with any name.
    nameless: Vec<usize>,
}

impl NameIndex {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut index = Self { by_name: HashMap::with_capacity(entries.len()), nameless: Vec::new() };
        for (at, entry) in entries.iter().enumerate() {
            match entry.dict.get(MODEL_NAME) {
                Some(Value::String(name)) => index.by_name.entry(name.as_str().into()).or_default().push(at),
                _ => index.nameless.push(at),
            }
        }
        index
    }

    /// The entries that `name` can mean, in order.
    pub(super) fn candidates(&self, name: &str) -> Vec<usize> {
        let named = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        if self.nameless.is_empty() {
            return named.to_vec();
        }
        let mut all = [named, &self.nameless].concat();
        all.sort_unstable();
        all
    }

    /// The entries of exactly that name.
    pub(super) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every name once, in the order of the entries.
    pub(super) fn names<'e>(&self, entries: &'e [Entry]) -> Vec<&'e str> {
        let first = |at: usize, name: &str| self.named(name).first() == Some(&at);
        entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| entry.dict.get(MODEL_NAME)?.as_str().filter(|name| first(at, name)))
            .collect()
    }
}
