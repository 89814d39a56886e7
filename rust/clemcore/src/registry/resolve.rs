//! Which entry a selector means, and why others refuse it.
use super::{MODEL_NAME, Registry};
use crate::text::similar;
use crate::unify::{ById, Mismatch, OpaqueEq, mismatches, unifies, unify_with};
use crate::value::{Dict, Value};

/// Why an entry does not fit a selector.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Which entry.
    pub entry: usize,
    /// Where the two contradict each other; `left` is the selector's value.
    pub mismatches: Vec<Mismatch>,
}

impl Registry {
    /// The first entry that unifies with `selector`, and the two merged.
    #[must_use]
    pub fn resolve(&self, selector: &Dict) -> Option<(usize, Dict)> {
        self.resolve_with(selector, &ById)
    }

    /// [`Registry::resolve`] where `opaque` decides about values that JSON cannot hold.
    pub fn resolve_with(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Option<(usize, Dict)> {
        let fits = |at: &usize| unifies(selector, &self.entries[*at].dict, opaque);
        let index = match selector.get(MODEL_NAME) {
            Some(Value::String(name)) => self.index.candidates(name).into_iter().find(fits),
            _ => (0..self.entries.len()).find(fits),
        }?;
        Some((index, unify_with(selector, &self.entries[index].dict, opaque)?))
    }

    /// For each entry with the selector's name that refuses it: where and why.
    #[must_use]
    pub fn refusals(&self, selector: &Dict) -> Vec<Refusal> {
        self.refusals_with(selector, &ById)
    }

    /// [`Registry::refusals`] where `opaque` decides about values that JSON cannot hold.
    pub fn refusals_with(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Vec<Refusal> {
        let Some(Value::String(name)) = selector.get(MODEL_NAME) else { return Vec::new() };
        self.index
            .named(name)
            .iter()
            .map(|&entry| Refusal {
                entry,
                mismatches: mismatches(selector, &self.entries[entry].dict, opaque),
            })
            .filter(|refusal| !refusal.mismatches.is_empty())
            .collect()
    }

    /// The names most like `name`, best first: to be shown, never to be used silently.
    #[must_use]
    pub fn nearest(&self, name: &str, limit: usize) -> Vec<&str> {
        similar::nearest(name, self.names(), limit)
    }
}
