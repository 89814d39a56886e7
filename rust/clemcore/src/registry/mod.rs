//! A registry: layers of files, their entries, and the one that a selector means.
//!
//! The first entry that unifies with the selector is the one, in the order of the layers and of the files. An index
//! by name makes that quick; it never changes which entry is found.
mod check;
mod index;
mod layer;
mod resolve;

pub use check::check;
pub use check::sizes::context_tokens;
pub(crate) use layer::{Outline, outline};
pub use resolve::Refusal;

use crate::report::Report;
use crate::value::{Dict, Value};
use index::NameIndex;
use std::sync::Arc;

/// The registry that is compiled in: `model_registry.json` at the top of the repository.
pub const PACKAGED: &str = include_str!("../../../../model_registry.json");

/// The key under which an entry says where it comes from.
pub const LOOKUP_SOURCE: &str = "lookup_source";

/// The key by which entries are selected and indexed.
pub const MODEL_NAME: &str = "model_name";

/// One entry and its place.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    dict: Dict,
    source: Option<Arc<str>>,
    line: usize,
}

/// Entries in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: Vec<Entry>,
    index: NameIndex,
    warnings: Report,
}

impl Registry {
    /// Reads layers, each a name and the bytes of a file; earlier layers come first.
    ///
    /// `backends` are known besides those that come with clemcore.
    ///
    /// # Errors
    /// The problems of all layers, where any of them is an error. Warnings never stop a registry; they are kept.
    pub fn load<S: AsRef<str>, B: AsRef<[u8]>>(
        layers: &[(S, B)],
        backends: Option<&[String]>,
    ) -> Result<Self, Report> {
        let mut entries = Vec::new();
        let mut warnings = Report::default();
        for (source, bytes) in layers {
            let report = layer::read(source.as_ref(), bytes.as_ref(), backends, &mut entries);
            warnings.extend(report);
        }
        if !warnings.is_usable() {
            return Err(warnings);
        }
        Ok(Self { index: NameIndex::new(&entries), entries, warnings })
    }

    /// A registry of entries that come from no file. They are taken as they are, without a check.
    #[must_use]
    pub fn from_specs(specs: Vec<Dict>) -> Self {
        let entries: Vec<_> = specs.into_iter().map(|dict| Entry { dict, source: None, line: 0 }).collect();
        Self { index: NameIndex::new(&entries), entries, warnings: Report::default() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// An entry, with its `lookup_source`.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<&Dict> {
        self.entries.get(index).map(|entry| &entry.dict)
    }

    /// The file and line where an entry begins; its `lookup_source` and 0 for one that comes from no file.
    #[must_use]
    pub fn location(&self, index: usize) -> Option<(&str, usize)> {
        let entry = self.entries.get(index)?;
        let named = || entry.dict.get(LOOKUP_SOURCE).and_then(Value::as_str);
        Some((entry.source.as_deref().or_else(named).unwrap_or_default(), entry.line))
    }

    /// The names of all models, in order, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.index.names(&self.entries)
    }

    /// What was found on loading; never an error.
    #[must_use]
    pub const fn warnings(&self) -> &Report {
        &self.warnings
    }
}
