//! Custom backends: known besides those that come with clemcore, with the keys that they read.
use super::Type;

/// A custom backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backend {
    /// What entries call it.
    pub name: String,
    /// The keys that it reads beside the known ones, or otherwise than those.
    pub keys: Vec<CustomKey>,
}

/// A key that a custom backend reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomKey {
    /// The key, with `model_config.` before it where it stands in there.
    pub path: String,
    /// What its value may be; empty for anything.
    pub types: Vec<Type>,
    /// The texts that it takes; empty for any.
    pub values: Vec<String>,
}

impl Backend {
    /// A backend of which no more is known than its name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), keys: Vec::new() }
    }

    /// What it says about the key at a path, `""` or `"model_config."`.
    pub(crate) fn key(&self, path: &str, key: &str) -> Option<&CustomKey> {
        self.keys.iter().find(|known| known.path.strip_prefix(path) == Some(key))
    }

    /// The names of its keys at a path.
    pub(crate) fn keys_at<'k>(&'k self, path: &'k str) -> impl Iterator<Item = &'k str> {
        let is_flat = path.is_empty();
        let names = self.keys.iter().filter_map(move |key| key.path.strip_prefix(path));
        names.filter(move |name| !(is_flat && name.starts_with("model_config.")))
    }
}

impl Type {
    /// The type that JSON Schema calls by this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Bool,
            "integer" => Self::Int,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::List,
            "object" => Self::Object,
            "null" => Self::Null,
            _ => return None,
        })
    }
}
