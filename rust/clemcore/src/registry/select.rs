//! Which entry a selector stands for.
//!
//! A selector names its model: by `model_name`, which is the name or an alias of the entry, or else by `model_id` or
//! `huggingface_id`. Of the entries that it names, the first that unifies with the rest of it counts. What else it
//! says (`backend`, prices, dates, …) narrows the choice, and never makes a match by itself.
use super::resolve::renamed;
use super::{MODEL_NAME, Registry};
use crate::json::Cursor;
use crate::schema::{self, Denied, Part};
use crate::unify::{OpaqueEq, unify_into};
use crate::value::{Dict, Value};

/// By what a selector names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The entry has the selector's name.
    Name,
    /// It has the selector's name as an alias.
    Alias,
    /// The selector gives no name, and the entry has its `model_id`.
    ModelId,
    /// The selector gives no name, and the entry has its `huggingface_id`.
    HuggingfaceId,
}

impl By {
    /// `"name"`, `"alias"`, `"model_id"` or `"huggingface_id"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Alias => "alias",
            Self::ModelId => "model_id",
            Self::HuggingfaceId => "huggingface_id",
        }
    }
}

const IDS: [By; 2] = [By::ModelId, By::HuggingfaceId];

/// The key under which a nested part of an entry stands.
const CONFIG: &str = "model_config";

/// The entry that a selector stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Which one.
    pub entry: usize,
    /// By what the selector names it.
    pub by: By,
    /// Selector and entry merged.
    pub spec: Dict,
    /// The fields that the selector adds to the entry.
    pub added: Vec<Added>,
}

/// A field of a selector that the entry leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Which one, as `model_config.dtype`.
    pub field: String,
    /// Why it may not be added, if so.
    pub denied: Option<Denied>,
}

impl Registry {
    /// The first entry that the selector names and that unifies with the rest of it.
    pub fn select(&self, selector: &Dict, opaque: &dyn OpaqueEq) -> Option<Selection> {
        self.named_by(selector).find_map(|(entry, by)| {
            let dict = self.layers.dict(entry)?;
            let added = added(selector, &dict);
            let asked = renamed(selector, &dict);
            Some(Selection { entry, by, spec: unify_into(&asked, dict, opaque)?, added })
        })
    }

    /// The entries that a selector names, in the order in which they are tried: those of its name, then those that
    /// have it as an alias; or those of its id.
    pub fn named_by<'r>(&'r self, selector: &'r Dict) -> Box<dyn Iterator<Item = (usize, By)> + 'r> {
        match selector.get(MODEL_NAME) {
            Some(Value::String(name)) => {
                let named = self.index.named(&self.layers, name).map(|at| (at, By::Name));
                let aliased = self.aliases.entries(&self.layers, name).map(|at| (at, By::Alias));
                Box::new(named.chain(aliased))
            }
            Some(_) => Box::new(std::iter::empty()),
            None => {
                let ids = IDS.map(|by| (by, selector.get(by.as_str()).and_then(Value::as_str)));
                let count = if ids.iter().all(|(_, id)| id.is_none()) { 0 } else { self.len() };
                Box::new((0..count).filter_map(move |at| Some((at, self.has_id(at, &ids)?))))
            }
        }
    }

    /// Which of the ids an entry has.
    fn has_id(&self, at: usize, ids: &[(By, Option<&str>)]) -> Option<By> {
        let mut found = None;
        if let Some((text, _)) = self.layers.entry_text(at)
            && id_in(text, ids, &mut found).is_some()
        {
            return found;
        }
        let entry = self.layers.dict(at)?;
        let has = |(by, id): &&(By, Option<&str>)| {
            id.is_some() && entry.get(by.as_str()).and_then(Value::as_str) == *id
        };
        ids.iter().find(has).map(|(by, _)| *by)
    }
}

/// Finds which of the ids the text of an entry has; `None` where that cannot be told without reading it whole.
fn id_in(text: &str, ids: &[(By, Option<&str>)], found: &mut Option<By>) -> Option<()> {
    let mut cursor = Cursor::new(text, 0);
    cursor.expect(b'{')?;
    if cursor.closes(b'}')? {
        return Some(());
    }
    loop {
        cursor.next()?;
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let first = cursor.next()?;
        match ids.iter().find(|(by, id)| by.as_str() == key && id.is_some()) {
            Some((by, id)) if first == b'"' => {
                if *id == Some(&*cursor.string()?) && found.is_none_or(|found| found == By::HuggingfaceId) {
                    *found = Some(*by);
                }
            }
            _ => cursor.skip()?,
        }
        if !cursor.goes_on(b'}')? {
            return Some(());
        }
    }
}

/// The fields that a selector adds to an entry, and whether it may.
#[must_use]
pub fn added(selector: &Dict, entry: &Dict) -> Vec<Added> {
    let backend = entry.get("backend").and_then(Value::as_str).unwrap_or_default();
    let none = Dict::new();
    let mut found = Vec::new();
    for (key, value) in selector.iter() {
        match (value, entry.get(key)) {
            (Value::Dict(asked), other) if key == CONFIG => {
                let has = other.and_then(Value::as_dict).unwrap_or(&none);
                let new = asked.keys().filter(|key| !has.contains_key(key));
                found.extend(new.map(|key| Added {
                    field: format!("{CONFIG}.{key}"),
                    denied: schema::denied(backend, Part::Config, key),
                }));
            }
            (_, None) => {
                found
                    .push(Added { field: key.to_owned(), denied: schema::denied(backend, Part::Entry, key) });
            }
            _ => {}
        }
    }
    found
}
