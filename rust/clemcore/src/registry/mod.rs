//! A registry: layers of files, their entries, and the one that a selector means.
//!
//! The first entry that a selector names and that unifies with it is the one ([`Registry::select`]), in the order of
//! the layers and of the files. Plain unification ([`Registry::resolve`]) is the arithmetic beneath it. An index by
//! name makes both quick; it never changes which entry is found.
//!
//! Loading reads the bytes once ([`scan`]) and keeps them; an entry becomes a dict when it is asked for.
mod alias;
mod check;
mod explain;
mod index;
mod layer;
mod resolve;
mod scan;
mod select;

pub use check::sizes::context_tokens;
pub(crate) use check::{Manner, read};
pub use check::{address_fault, address_key, check, check_layers, check_slowly, judge, servers_file};
pub use explain::{Explanation, Field, Found, OVERRIDE, Origin, Trial};
pub use layer::Text;
pub(crate) use layer::{Outline, outline};
pub use resolve::Refusal;
pub use select::{Added, By, Selection, added};

use crate::json;
use crate::problem::Faults;
use crate::report::Report;
use crate::schema::Backend;
use crate::value::{Dict, Value};
use alias::AliasIndex;
use check::shadow;
use index::NameIndex;
use layer::{Layer, Layers, Read};
use std::sync::Arc;

/// The registry that is compiled in: `model_registry.json` at the top of the repository.
pub const PACKAGED: &str = include_str!("../../../../model_registry.json");

/// The key under which an entry says where it comes from.
pub const LOOKUP_SOURCE: &str = "lookup_source";

/// The key by which entries are selected and indexed.
pub const MODEL_NAME: &str = "model_name";

/// The key under which an entry has further names.
pub const ALIASES: &str = "aliases";

/// Entries in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    layers: Layers,
    index: NameIndex,
    aliases: AliasIndex,
    warnings: Report,
}

impl Registry {
    /// Reads layers, each a name and the bytes of a file; earlier layers come first. The bytes are copied.
    ///
    /// `backends` are known besides those that come with clemcore.
    ///
    /// # Errors
    /// The problems of all layers, where any of them is an error. Warnings never stop a registry; they are kept.
    pub fn load<S: AsRef<str>, B: AsRef<[u8]>>(
        layers: &[(S, B)],
        backends: Option<&[Backend]>,
    ) -> Result<Self, Report> {
        let shared = |bytes: &[u8]| Text::Shared(Arc::new(Arc::<[u8]>::from(bytes)));
        let layers = layers.iter().map(|(source, bytes)| (source.as_ref(), shared(bytes.as_ref())));
        Self::load_texts(layers, backends)
    }

    /// [`Registry::load`] of texts that are kept where they are.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn load_texts<'s>(
        layers: impl IntoIterator<Item = (&'s str, Text)>,
        backends: Option<&[Backend]>,
    ) -> Result<Self, Report> {
        let read = layers.into_iter().map(|(source, text)| layer::read(source, text, backends));
        Self::of_layers(read.collect(), backends)
    }

    /// [`Registry::load`] without the quick pass: what it must not differ from.
    ///
    /// # Errors
    /// As [`Registry::load`].
    #[doc(hidden)]
    pub fn load_slowly(layers: &[(&str, &[u8])], backends: Option<&[Backend]>) -> Result<Self, Report> {
        let read = |(source, bytes): &(&str, &[u8])| {
            layer::read_slowly(source, Text::Shared(Arc::new(Arc::<[u8]>::from(*bytes))), backends)
        };
        Self::of_layers(layers.iter().map(read).collect(), backends)
    }

    fn of_layers(layers: Vec<Read>, backends: Option<&[Backend]>) -> Result<Self, Report> {
        let (mut registry, mut reports, mut unsure) = (Self::default(), Vec::new(), Vec::new());
        for read in layers {
            registry.layers.push(read.layer);
            unsure.push(read.unsure);
            reports.push(read.report);
        }
        registry.index = NameIndex::new(&registry.layers);
        // That entries hide each other is seen here, and told by the full check; so is everything beside an error.
        let broken = reports.iter().any(|report| !report.is_usable());
        let again = if broken { unsure } else { registry.hiding(&unsure) };
        for (at, layer) in registry.layers.iter().enumerate() {
            if let (true, Layer::Text { source, text, .. }) = (again[at], layer) {
                reports[at] = layer::read_slowly(source, text.clone(), backends).report;
            }
        }
        for report in reports {
            registry.warnings.extend(report);
        }
        if registry.warnings.is_usable() { Ok(registry) } else { Err(registry.warnings) }
    }

    /// In which of the layers in question one entry hides another.
    fn hiding(&self, unsure: &[bool]) -> Vec<bool> {
        let mut hiding = vec![false; unsure.len()];
        for group in self.index.groups() {
            let mut earlier: Vec<_> = unsure.iter().map(|_| shadow::Earlier::default()).collect();
            for index in group {
                let Some((layer, _)) = self.layers.locate(index) else { continue };
                if unsure[layer]
                    && !hiding[layer]
                    && let Some((text, _)) = self.layers.entry_text(index)
                {
                    let entry = json::parse_at(text, 0, &mut Faults::default());
                    hiding[layer] = earlier[layer].hide(index, entry);
                }
            }
        }
        hiding
    }

    /// A registry of entries that come from no file. They are taken as they are, without a check.
    #[must_use]
    pub fn from_specs(specs: Vec<Dict>) -> Self {
        let mut layers = Layers::default();
        layers.push(Layer::Dicts(specs));
        Self { index: NameIndex::new(&layers), layers, ..Self::default() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An entry, with its `lookup_source`; read from the text anew each time.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<Dict> {
        self.layers.dict(index)
    }

    /// The file and line where an entry begins; its `lookup_source` and 0 for one that comes from no file.
    #[must_use]
    pub fn location(&self, index: usize) -> Option<(String, usize)> {
        let (source, line) = self.layers.place(index)?;
        let source = match source {
            Some(source) => source.to_owned(),
            None => {
                self.entry(index)?.get(LOOKUP_SOURCE).and_then(Value::as_str).unwrap_or_default().to_owned()
            }
        };
        Some((source, line))
    }

    /// The layers, each with the number of its entries; the source of one that comes from no file is `None`.
    pub fn layers(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        self.layers.iter().map(|layer| (layer.source(), layer.len()))
    }

    /// The names of all models, in order, each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |index| self.layers.name(index).map(|name| String::from_utf8_lossy(&name).into_owned());
        self.index.firsts(&self.layers).filter_map(name).collect()
    }

    /// What was found on loading; never an error.
    #[must_use]
    pub const fn warnings(&self) -> &Report {
        &self.warnings
    }
}
