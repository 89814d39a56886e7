//! The settings of one backend: the keys of an entry that this backend reads.
use super::{ENTRY, Field, MODEL_CONFIG, config_field};

/// A key that a backend reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// What is known of it.
    pub field: &'static Field,
    /// Whether it is written into `model_config`. In the flat layout of 2024 it stands in the entry itself.
    pub is_nested: bool,
}

/// The settings of a backend: what it reads from `model_config`, or from the entry itself where some keys stand. A backend
/// that the schema does not know has the settings that all backends read.
///
/// ```
/// let names: Vec<_> = clemcore::schema::settings("slurk").iter().map(|setting| setting.field.name).collect();
/// assert!(names.contains(&"on_close") && names.contains(&"slurk_host"));
/// assert!(!names.contains(&"dtype") && !names.contains(&"temperature"));
/// ```
#[must_use]
pub fn settings(backend: &str) -> Vec<Setting> {
    let nested = MODEL_CONFIG.iter().filter(|field| field.backends.is_empty() || field.is_read_by(backend));
    let flat = ENTRY.iter().filter(|field| field.nests && field.is_read_by(backend));
    let setting = |is_nested| move |field| Setting { field, is_nested };
    nested.map(setting(true)).chain(flat.map(setting(false))).collect()
}

/// The key of an entry that has no effect in `model_config`, where nothing looks for it.
///
/// ```
/// assert!(clemcore::schema::misplaced("temperature").is_some_and(|field| field.is_argument));
/// assert!(clemcore::schema::misplaced("base_url").is_none());
/// ```
#[must_use]
pub fn misplaced(name: &str) -> Option<&'static Field> {
    config_field(name).filter(|field| {
        let stands_there = MODEL_CONFIG.iter().any(|nested| nested.name == name);
        !field.nests && !stands_there
    })
}

/// What a key at the top of an entry is to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// The backend reads it.
    Field,
    /// Only other backends read it.
    OfOthers,
    /// The schema does not have it.
    Unknown,
}

/// What a key at the top of an entry is to a backend, in both layouts.
///
/// ```
/// use clemcore::schema::{KeyUse, use_of_key};
/// assert_eq!(use_of_key("chat_template_kwargs", "huggingface_local"), KeyUse::Field);
/// assert_eq!(use_of_key("chat_template_kwargs", "openai"), KeyUse::OfOthers);
/// assert_eq!(use_of_key("response_format", "openai"), KeyUse::Unknown);
/// ```
#[must_use]
pub fn use_of_key(name: &str, backend: &str) -> KeyUse {
    let mut fields = ENTRY.iter().chain(MODEL_CONFIG).filter(|field| field.name == name).peekable();
    if fields.peek().is_none() {
        return KeyUse::Unknown;
    }
    let is_read = fields.any(|field| field.backends.is_empty() || field.is_read_by(backend));
    if is_read { KeyUse::Field } else { KeyUse::OfOthers }
}
