//! Fields that replace those of a specification on purpose, and what that changed.
//!
//! The rule is JSON Merge Patch (RFC 7396): an object changes the fields that it names and leaves the others, `null`
//! removes a field, and every other value (lists too) takes the place of the old one.
//!
//! ```
//! use clemcore::{patch, value::{Dict, Value}};
//! let spec: Dict = [("model_name", Value::from("m")), ("temperature", Value::from(1))].into_iter().collect();
//! let patch: Dict = [("temperature", Value::Null), ("seed", Value::from(7))].into_iter().collect();
//! let patched = patch::apply(&spec, &patch);
//! assert_eq!(patched.dict.keys().collect::<Vec<_>>(), ["model_name", "seed"]);
//! assert_eq!(patched.changes[0].field, "temperature");
//! assert_eq!(patched.changes[1].old, None);
//! ```
use crate::value::{Dict, Value};

/// A field that a patch changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where, as `model_config.thinking_mode`.
    pub field: String,
    /// What was there; `None` where nothing was.
    pub old: Option<Value>,
    /// What is there now; `None` where it was removed.
    pub new: Option<Value>,
}

/// A dict after a patch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patched {
    /// The dict; fields that stay keep their places, new ones come last.
    pub dict: Dict,
    /// What changed, in the order of the patch; a field that has the wanted value already is no change.
    pub changes: Vec<Change>,
}

/// Applies a patch to a copy of `target`.
#[must_use]
pub fn apply(target: &Dict, patch: &Dict) -> Patched {
    let mut changes = Vec::new();
    let dict = merged(target, patch, "", &mut changes);
    Patched { dict, changes }
}

fn merged(target: &Dict, patch: &Dict, place: &str, changes: &mut Vec<Change>) -> Dict {
    let mut dict = target.clone();
    for (key, value) in patch.iter() {
        let field = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
        let old = target.get(key);
        let new = match (old, value) {
            (Some(Value::Dict(old)), Value::Dict(patch)) => {
                dict.insert(key, Value::Dict(merged(old, patch, &field, changes)));
                continue;
            }
            (_, Value::Null) => None,
            (_, Value::Dict(patch)) => Some(Value::Dict(merged(&Dict::new(), patch, "", &mut Vec::new()))),
            (_, value) => Some(value.clone()),
        };
        if old != new.as_ref() {
            changes.push(Change { field, old: old.cloned(), new: new.clone() });
        }
        match new {
            Some(new) => dict.insert(key, new),
            None => dict.remove(key),
        };
    }
    dict
}
