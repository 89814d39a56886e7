//! Which entry a selector means, and why others refuse it.
use super::{LOOKUP_SOURCE, MODEL_NAME, Registry};
use crate::json::Cursor;
use crate::text::nearest;
use crate::unify::{ById, Mismatch, OpaqueEq, mismatches, unify_into, values_unify};
use crate::value::{Dict, Value};
use std::borrow::Cow;

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
    ///
    /// Where no entry of the selector's name does, those that have it as an alias are tried; the merged dict has
    /// the entry's own name.
    #[must_use]
    pub fn resolve(&self, selector: &Dict) -> Option<(usize, Dict)> {
        self.resolve_with(selector, &ById)
    }

    /// [`Registry::resolve`] where `opaque` decides about values that JSON cannot hold.
    pub fn resolve_with(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Option<(usize, Dict)> {
        let merged = |index: usize| Some((index, unify_into(selector, self.layers.dict(index)?, opaque)?));
        match selector.get(MODEL_NAME) {
            Some(Value::String(name)) => self
                .index
                .candidates(&self.layers, name)
                .find_map(merged)
                .or_else(|| self.resolve_alias(name, selector, opaque)),
            _ => (0..self.len()).filter(|index| !self.contradicts(*index, selector, opaque)).find_map(merged),
        }
    }

    /// The first entry with the alias that unifies.
    fn resolve_alias(&self, alias: &str, selector: &Dict, opaque: &dyn OpaqueEq) -> Option<(usize, Dict)> {
        self.aliases.entries(&self.layers, alias).find_map(|index| {
            let entry = self.layers.dict(index)?;
            Some((index, unify_into(&renamed(selector, &entry), entry, opaque)?))
        })
    }

    /// Whether the text of an entry contradicts a selector, as far as can be seen without making a dict of it.
    fn contradicts(&self, index: usize, selector: &Dict, opaque: &dyn OpaqueEq) -> bool {
        let Some((text, source)) = self.layers.entry_text(index) else { return false };
        contradicts(text, source, selector, opaque).unwrap_or(false)
    }

    /// For each entry that the selector names and that refuses it: where and why.
    #[must_use]
    pub fn refusals(&self, selector: &Dict) -> Vec<Refusal> {
        self.refusals_with(selector, &ById)
    }

    /// [`Registry::refusals`] where `opaque` decides about values that JSON cannot hold.
    pub fn refusals_with(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Vec<Refusal> {
        let refusal = |(index, _)| {
            let entry = self.layers.dict(index)?;
            let mismatches = mismatches(&renamed(selector, &entry), &entry, opaque);
            (!mismatches.is_empty()).then_some(Refusal { entry: index, mismatches })
        };
        self.named_by(selector).filter_map(refusal).collect()
    }

    /// The names and aliases most like `name`, best first: to be shown, never to be used silently.
    #[must_use]
    pub fn nearest(&self, name: &str, limit: usize) -> Vec<String> {
        self.nearest_with(name, &[], limit)
    }

    /// [`Registry::nearest`] among further names, too.
    #[must_use]
    pub fn nearest_with(&self, name: &str, further: &[String], limit: usize) -> Vec<String> {
        let names = (0..self.len()).filter_map(|index| match self.layers.name(index)? {
            Cow::Borrowed(name) => std::str::from_utf8(name).ok().map(Cow::Borrowed),
            Cow::Owned(name) => String::from_utf8(name).ok().map(Cow::Owned),
        });
        let aliases = self.aliases.all(&self.layers).map(Cow::Borrowed);
        let further = further.iter().map(|name| Cow::Borrowed(name.as_str()));
        nearest::nearest(name, names.chain(aliases).chain(further), limit)
    }
}

/// The selector with the name that the entry has: what it asked for by an alias.
pub(super) fn renamed<'s>(selector: &'s Dict, entry: &Dict) -> Cow<'s, Dict> {
    match entry.get(MODEL_NAME) {
        Some(name @ Value::String(_)) if selector.get(MODEL_NAME) != Some(name) => {
            let mut selector = selector.clone();
            selector.insert(MODEL_NAME, name.clone());
            Cow::Owned(selector)
        }
        _ => Cow::Borrowed(selector),
    }
}

/// Whether a value in the text of an entry contradicts the selector's; `None` where that cannot be told.
///
/// The keys are passed in order, and the first contradiction ends it; values of other keys are skipped unread.
fn contradicts(text: &str, source: &str, selector: &Dict, opaque: &dyn OpaqueEq) -> Option<bool> {
    let mut cursor = Cursor::new(text, 0);
    let mut wanted = selector.len();
    cursor.expect(b'{')?;
    if wanted == 0 || cursor.closes(b'}')? {
        return None;
    }
    let mut has_source = false;
    loop {
        cursor.next()?;
        let key = cursor.string()?;
        cursor.expect(b':')?;
        cursor.next()?;
        has_source |= key == LOOKUP_SOURCE;
        let Some(value) = selector.get(&key) else {
            cursor.skip()?;
            if cursor.goes_on(b'}')? {
                continue;
            }
            break;
        };
        wanted -= 1;
        let agrees = match (value, cursor.byte()?) {
            (Value::String(text), b'"') => *text == cursor.string()?,
            _ => values_unify(value, &cursor.value(1)?, opaque),
        };
        if !agrees || wanted == 0 {
            return Some(!agrees);
        }
        if !cursor.goes_on(b'}')? {
            break;
        }
    }
    let other_source = |value: &Value| !values_unify(value, &Value::from(source), opaque);
    Some(!has_source && selector.get(LOOKUP_SOURCE).is_some_and(other_source))
}
