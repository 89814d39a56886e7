//! What a registry entry may say: every known key, as data.
//!
//! From here come the checks of types, the "did you mean", the JSON Schema and later the reference page. Unknown keys
//! are legal everywhere; backends of other people read their own.
mod backends;
mod entry;
mod json_schema;
mod model_config;

pub use backends::{BACKENDS, RETIRED};
pub use entry::ENTRY;
pub use json_schema::json_schema;
pub use model_config::MODEL_CONFIG;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A known key.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value may be; the first is what is usually written.
    pub types: &'static [Type],
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Which backends read it; empty for all. In entries of others its value is not judged.
    pub backends: &'static [&'static str],
    /// What is asked of its value, beside the type.
    pub rule: Rule,
}

/// The types of JSON that a key can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A list of texts.
    Strings,
    /// Any list.
    List,
    /// An object with any keys.
    Object,
    /// Nothing known, `null`.
    Null,
}

impl Type {
    /// In the words of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Strings => "a list of strings",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Null => "null",
        }
    }
}

/// What is asked of a value, beside its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Plain,
    /// It must be there and say something.
    Required,
    /// A date.
    Date,
    /// A number of tokens, as `128k`.
    Size,
    /// A Python regular expression.
    Pattern,
    /// Older readers only look whether it is there.
    Presence,
}

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
