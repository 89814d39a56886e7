//! From an alias to the entries that have it.
//!
//! A name always wins over an alias, wherever the two stand; among aliases the first entry wins. So aliases are only
//! asked for where no entry of the name itself fits, and the table is made when that happens first.
use super::ALIASES;
use super::layer::Layers;
use crate::value::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Which entries an alias can mean, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct AliasIndex {
    entries: OnceLock<HashMap<String, Vec<usize>>>,
}

impl AliasIndex {
    fn table(&self, layers: &Layers) -> &HashMap<String, Vec<usize>> {
        self.entries.get_or_init(|| {
            let mut table: HashMap<String, Vec<usize>> = HashMap::new();
            for entry in layers.aliased() {
                for alias in aliases(layers, entry) {
                    let entries = table.entry(alias).or_default();
                    if entries.last() != Some(&entry) {
                        entries.push(entry);
                    }
                }
            }
            table
        })
    }

    /// The entries that have the alias and another name, in order.
    pub(super) fn entries(&self, layers: &Layers, alias: &str) -> impl Iterator<Item = usize> {
        let entries = self.table(layers).get(alias).map_or(&[][..], Vec::as_slice).iter().copied();
        entries.filter(move |entry| !layers.is_named(*entry, alias.as_bytes()))
    }

    /// All aliases, in no order.
    pub(super) fn all(&self, layers: &Layers) -> impl Iterator<Item = &str> {
        self.table(layers).keys().map(String::as_str)
    }
}

/// The aliases of an entry; none where the key holds anything but a list.
fn aliases(layers: &Layers, entry: usize) -> Vec<String> {
    let Some(dict) = layers.dict(entry) else { return Vec::new() };
    let Some(Value::List(list)) = dict.get(ALIASES) else { return Vec::new() };
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
