//! What a registry entry may say: every known key, as data.
//!
//! From here come the checks of types, the "did you mean", the JSON Schema and the reference page. Unknown keys are
//! legal everywhere; backends of other people read their own.
mod arguments;
mod backends;
mod custom_backend;
mod entry;
mod field;
mod json_schema;
mod model_config;
mod page;
mod selector;
mod settings;

pub use arguments::{PASSES_ON, argument_names, senders};
pub use backends::{BACKENDS, NOT_INCLUDED, RETIRED, absence};
pub use custom_backend::{Backend, CustomKey};
pub use entry::{ENTRY, SELECTOR};
pub(crate) use field::range_words;
pub use field::{Field, Rule, Type};
pub use json_schema::json_schema;
pub use model_config::MODEL_CONFIG;
pub use page::{explain, page};
pub use selector::{Denied, Part, denied};
pub use settings::{KeyUse, Setting, misplaced, settings, use_of_key};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The keys that every entry has.
pub const REQUIRED: &[&str] = &["model_name", "backend"];

type Fields = HashMap<&'static str, &'static Field>;

/// The known field of that name in an entry, in both layouts: flat keys of 2024 stand in the entry itself.
#[must_use]
pub fn entry_field(name: &str) -> Option<&'static Field> {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| by_name(MODEL_CONFIG, ENTRY));
    FIELDS.get(name).copied()
}

/// The known field of that name in `model_config`; there a key of the entry means the same.
#[must_use]
pub fn config_field(name: &str) -> Option<&'static Field> {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        let mut fields = by_name(ENTRY, MODEL_CONFIG);
        fields.retain(|_, field| field.rule != Rule::Required);
        fields
    });
    FIELDS.get(name).copied()
}

/// All fields of both lists; those of the second count where a name is in both.
fn by_name(first: &'static [Field], second: &'static [Field]) -> Fields {
    first.iter().chain(second).map(|field| (field.name, field)).collect()
}
