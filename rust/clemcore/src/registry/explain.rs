//! How a selector came to its entry: what was tried, what refused it, and where each field of the result comes from.
use super::resolve::renamed;
use super::select::By;
use super::{LOOKUP_SOURCE, MODEL_NAME, Registry};
use crate::patch::{self, Change};
use crate::text::nearest::FEW;
use crate::unify::{Mismatch, OpaqueEq, mismatches, unify_with};
use crate::value::{Dict, Value};

/// The key of a selector under which stand fields that replace those of the entry.
pub const OVERRIDE: &str = "override";

/// What happened to a selector.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Entries that were compared, in the order in which they were; of many, those with the fewest contradictions.
    pub tried: Vec<Trial>,
    /// How many more were compared.
    pub omitted: usize,
    /// How many were not: the selector does not name them, or they come after the one that was found.
    pub passed: usize,
    /// The entry that was found; `None` where none fits.
    pub found: Option<Found>,
    /// Names like one that nothing has.
    pub near: Vec<String>,
}

/// An entry that was compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Which one.
    pub entry: usize,
    /// By what the selector names it.
    pub by: By,
    /// What contradicts the selector (`left` is the selector's value); nothing where the entry was found.
    pub mismatches: Vec<Mismatch>,
}

/// The entry that was found, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which one.
    pub entry: usize,
    /// Selector and entry merged, with the override applied.
    pub spec: Dict,
    /// Each field of it, in order.
    pub fields: Vec<Field>,
    /// What the override changed.
    pub changes: Vec<Change>,
    /// Entries that the selector names too, that fit too, and that come later.
    pub also: Vec<usize>,
}

/// A field of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where, as `model_config.thinking_mode`; an object that is merged of several is shown field by field.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The selector alone.
    Selector,
    /// The entry alone.
    Entry,
    /// Both say the same.
    Both,
    /// The override.
    Override,
    /// Set on loading: the file of the entry.
    Layer,
}

impl Origin {
    /// `"selector"`, `"entry"`, `"selector and entry"`, `"override"` or `"layer"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Selector => "selector",
            Self::Entry => "entry",
            Self::Both => "selector and entry",
            Self::Override => "override",
            Self::Layer => "layer",
        }
    }
}

/// How many entries are shown.
const SHOWN: usize = 10;

impl Registry {
    /// Says how a selector comes to its entry. What `override` holds plays no part in finding it.
    pub fn explain(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Explanation {
        let mut plain = selector.clone();
        let replaced = plain.remove(OVERRIDE);
        let mut trials = Trials::default();
        let found = self.first_fit(&plain, opaque, &mut trials);
        let (tried, omitted, compared) = trials.finish();
        let is_strange = found.is_none() && compared == 0;
        let name = plain.get(MODEL_NAME).and_then(Value::as_str);
        let near = name.filter(|_| is_strange).map_or_else(Vec::new, |name| self.nearest(name, FEW));
        Explanation {
            tried,
            omitted,
            passed: self.len() - compared,
            found: found.and_then(|(at, by)| self.merge(&plain, at, by, replaced.as_ref(), opaque)),
            near,
        }
    }

    fn first_fit(&self, selector: &Dict, opaque: &dyn OpaqueEq, trials: &mut Trials) -> Option<(usize, By)> {
        self.named_by(selector).find(|(at, by)| {
            let Some(entry) = self.layers.dict(*at) else { return false };
            let mismatches = mismatches(&renamed(selector, &entry), &entry, opaque);
            let fits = mismatches.is_empty();
            trials.add(Trial { entry: *at, by: *by, mismatches });
            fits
        })
    }

    /// What comes of the entry that was found.
    fn merge(
        &self,
        selector: &Dict,
        at: usize,
        by: By,
        replaced: Option<&Value>,
        opaque: &dyn OpaqueEq,
    ) -> Option<Found> {
        let entry = self.layers.dict(at)?;
        let mut asked = selector.clone();
        if by == By::Alias {
            // It asked by another name: this one is the entry's.
            asked.insert(MODEL_NAME, entry.get(MODEL_NAME)?.clone());
        }
        let merged = unify_with(&asked, &entry, opaque)?;
        if by == By::Alias {
            asked.remove(MODEL_NAME);
        }
        let none = Dict::new();
        let replaced = replaced.and_then(Value::as_dict).unwrap_or(&none);
        let patched = patch::apply(&merged, replaced);
        let mut fields = Vec::new();
        collect(&patched.dict, Sources { asked: &asked, entry: &entry, replaced }, "", &mut fields);
        let source = self.layers.place(at).and_then(|(source, _)| source);
        let is_set = |field: &&mut Field| field.name == LOOKUP_SOURCE && field.value.as_str() == source;
        fields.iter_mut().filter(is_set).for_each(|field| field.origin = Origin::Layer);
        Some(Found {
            entry: at,
            spec: patched.dict,
            fields,
            changes: patched.changes,
            also: self.also(selector, at, opaque),
        })
    }

    /// Later entries that the selector could have meant.
    fn also(&self, selector: &Dict, found: usize, opaque: &dyn OpaqueEq) -> Vec<usize> {
        let later = self.named_by(selector).skip_while(|(at, _)| *at != found).skip(1);
        let fits = |at: &usize| {
            self.layers
                .dict(*at)
                .is_some_and(|entry| mismatches(&renamed(selector, &entry), &entry, opaque).is_empty())
        };
        later.map(|(at, _)| at).filter(fits).take(SHOWN).collect()
    }
}

/// The entries that were compared, of which the nearest are kept.
#[derive(Default)]
struct Trials {
    kept: Vec<(usize, Trial)>,
    count: usize,
}

impl Trials {
    fn add(&mut self, trial: Trial) {
        self.kept.push((self.count, trial));
        self.count += 1;
        if self.kept.len() > 8 * SHOWN {
            self.thin();
        }
    }

    fn thin(&mut self) {
        self.kept.sort_by_key(|(order, trial)| (trial.mismatches.len(), *order));
        self.kept.truncate(SHOWN);
        self.kept.sort_by_key(|(order, _)| *order);
    }

    /// Those that are shown, how many are not, and how many there were.
    fn finish(mut self) -> (Vec<Trial>, usize, usize) {
        self.thin();
        let tried: Vec<_> = self.kept.into_iter().map(|(_, trial)| trial).collect();
        let omitted = self.count - tried.len();
        (tried, omitted, self.count)
    }
}

/// What a result was made of.
#[derive(Clone, Copy)]
struct Sources<'s> {
    asked: &'s Dict,
    entry: &'s Dict,
    replaced: &'s Dict,
}

fn collect(result: &Dict, sources: Sources<'_>, path: &str, fields: &mut Vec<Field>) {
    let none = Dict::new();
    for (key, value) in result.iter() {
        let name = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let values = [sources.asked, sources.entry, sources.replaced].map(|dict| dict.get(key));
        let dicts = values.map(|value| value.and_then(Value::as_dict));
        if let (Value::Dict(result), true) = (value, dicts.iter().flatten().count() > 1) {
            let [asked, entry, replaced] = dicts.map(|dict| dict.unwrap_or(&none));
            collect(result, Sources { asked, entry, replaced }, &name, fields);
            continue;
        }
        let origin = match values {
            [_, _, Some(_)] => Origin::Override,
            [Some(_), Some(_), None] => Origin::Both,
            [Some(_), None, None] => Origin::Selector,
            [None, _, None] => Origin::Entry,
        };
        fields.push(Field { name, value: value.clone(), origin });
    }
}
