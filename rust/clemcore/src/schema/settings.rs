//! The settings of one backend: the keys of an entry that this backend reads.
use super::{ENTRY, Field, MODEL_CONFIG};

/// A key that a backend reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// What is known of it.
    pub field: &'static Field,
    /// Whether it is written into `model_config`. In the flat layout of 2024 it stands in the entry itself.
    pub is_nested: bool,
}

/// The settings of a backend: everything in `model_config` that it reads, and the keys of the entry itself that only
/// some backends read, generation arguments left out. A backend that the schema does not know has those that all backends read.
///
/// ```
/// let names: Vec<_> = clemcore::schema::settings("slurk").iter().map(|setting| setting.field.name).collect();
/// assert!(names.contains(&"on_close") && names.contains(&"slurk_host"));
/// assert!(!names.contains(&"dtype") && !names.contains(&"temperature"));
/// ```
#[must_use]
pub fn settings(backend: &str) -> Vec<Setting> {
    let nested = MODEL_CONFIG.iter().filter(|field| field.backends.is_empty() || field.is_read_by(backend));
    let flat = ENTRY
        .iter()
        .filter(|field| field.is_read_by(backend) && !field.is_argument && !stands_in_config(field));
    let setting = |is_nested| move |field| Setting { field, is_nested };
    nested.map(setting(true)).chain(flat.map(setting(false))).collect()
}

fn stands_in_config(field: &Field) -> bool {
    MODEL_CONFIG.iter().any(|nested| nested.name == field.name)
}
