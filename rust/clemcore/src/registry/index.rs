//! From a model name to the entries that have it.
//!
//! The table holds numbers of entries, not names: a name is compared where it stands in the text. The hash has another
//! key in each process, so a file cannot hold names that were chosen to collide.
use super::layer::Layers;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

const NONE: usize = usize::MAX;

/// Which entries a name can mean, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct NameIndex {
    /// The first entry of each name.
    first: HashTable<usize>,
    /// For each entry the next one of its name.
    next: Vec<usize>,
    /// Entries whose name is missing or no string: they may unify with any name.
    nameless: Vec<usize>,
    hasher: DefaultHashBuilder,
}

impl NameIndex {
    pub(super) fn new(layers: &Layers) -> Self {
        let count = layers.len();
        let hasher = DefaultHashBuilder::default();
        let mut first = HashTable::with_capacity(count);
        let (mut next, mut nameless) = (vec![NONE; count], Vec::new());
        let hash = |at: usize| hasher.hash_one(layers.name(at).as_deref().unwrap_or_default());
        // From the last to the first, so that each can be put before the next one of its name.
        for at in (0..count).rev() {
            let Some(name) = layers.name(at) else {
                nameless.push(at);
                continue;
            };
            let sum = hasher.hash_one(&*name);
            match first.find_mut(sum, |other| layers.is_named(*other, &name)) {
                Some(head) => next[at] = std::mem::replace(head, at),
                None => {
                    first.insert_unique(sum, at, |other| hash(*other));
                }
            }
        }
        nameless.reverse();
        Self { first, next, nameless, hasher }
    }

    fn first(&self, layers: &Layers, name: &[u8]) -> usize {
        let found = self.first.find(self.hasher.hash_one(name), |other| layers.is_named(*other, name));
        found.copied().unwrap_or(NONE)
    }

    fn chain(&self, first: usize) -> impl Iterator<Item = usize> {
        let exists = |at: usize| (at != NONE).then_some(at);
        std::iter::successors(exists(first), move |at| exists(self.next[*at]))
    }

    /// The entries of exactly that name, in order.
    pub(super) fn named(&self, layers: &Layers, name: &str) -> impl Iterator<Item = usize> {
        self.chain(self.first(layers, name.as_bytes()))
    }

    /// The entries that `name` can mean, in order.
    pub(super) fn candidates(&self, layers: &Layers, name: &str) -> impl Iterator<Item = usize> {
        let mut named = self.named(layers, name).peekable();
        let mut nameless = self.nameless.iter().copied().peekable();
        std::iter::from_fn(move || match (named.peek(), nameless.peek()) {
            (Some(a), Some(b)) if b < a => nameless.next(),
            (Some(_), _) => named.next(),
            (None, _) => nameless.next(),
        })
    }

    /// The entries that are the first of their name, in order.
    pub(super) fn firsts(&self, layers: &Layers) -> impl Iterator<Item = usize> {
        (0..self.next.len())
            .filter(move |at| layers.name(*at).is_some_and(|name| self.first(layers, &name) == *at))
    }

    /// The entries of each name that several have.
    pub(super) fn groups(&self) -> impl Iterator<Item = Vec<usize>> {
        self.first.iter().filter(|head| self.next[**head] != NONE).map(|head| self.chain(*head).collect())
    }
}
