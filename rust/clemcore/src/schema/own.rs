//! Backends that are known besides those that come with clemcore, and the keys that they read.
use super::Type;

/// A backend of somebody's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backend {
    /// What entries call it.
    pub name: String,
    /// The keys that it reads beside the known ones, or otherwise than those.
    pub keys: Vec<OwnKey>,
}

/// A key that a backend of somebody's own reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnKey {
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
    pub(crate) fn key(&self, path: &str, key: &str) -> Option<&OwnKey> {
        self.keys.iter().find(|own| own.path.strip_prefix(path) == Some(key))
    }

    /// The names of its keys at a path.
    pub(crate) fn keys_at<'k>(&'k self, path: &'k str) -> impl Iterator<Item = &'k str> {
        let is_flat = path.is_empty();
        let names = self.keys.iter().filter_map(move |own| own.path.strip_prefix(path));
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
