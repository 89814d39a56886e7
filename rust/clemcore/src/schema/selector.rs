//! Which fields a selector may add to an entry that leaves them open.
//!
//! A field may be added if the entry's backend reads it, if it describes the model, or if it is a generation argument.
//! Custom backends read what they like, so entries of theirs take any field.
use super::{
    BACKENDS, ENTRY, Field, MODEL_CONFIG, PASSES_ON, argument_names, config_field, entry_field, misplaced,
    senders,
};
use crate::text::similar;

/// Fields that describe the model, although only some backends read them.
const DESCRIPTIONS: &[&str] =
    &["deprecation_date", "max_input_tokens", "max_output_tokens", "prices", "thinking", "multimodality"];

/// Generation arguments that stand in `model_config`, too.
const REASONING: &[&str] = &["reasoning", "reasoning_effort"];

/// Second names of packaged backends.
const SECOND_NAMES: &[(&str, &str)] = &[("_player_human", "human"), ("_player_programmed", "mock")];

/// The part of an entry that a field stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The entry itself.
    Entry,
    /// Its `model_config`.
    Config,
}

/// Why a selector may not add a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Other backends read it.
    Unread(&'static [&'static str]),
    /// It has an effect in the entry itself only.
    Misplaced,
    /// Nothing reads it; perhaps it was meant to be this one.
    Unknown(Option<&'static str>),
}

/// Why a selector may not add a field to an entry of a backend; `None` where it may.
///
/// ```
/// use clemcore::schema::{Denied, Part, denied};
/// assert_eq!(denied("openai", Part::Entry, "temperature"), None);
/// assert_eq!(denied("openai", Part::Entry, "modle_id"), Some(Denied::Unknown(Some("model_id"))));
/// assert!(matches!(denied("openai", Part::Entry, "huggingface_id"), Some(Denied::Unread(_))));
/// assert_eq!(denied("a_custom_one", Part::Entry, "modle_id"), None);
/// ```
#[must_use]
pub fn denied(backend: &str, part: Part, key: &str) -> Option<Denied> {
    if !BACKENDS.contains(&backend) {
        return None;
    }
    let backend = SECOND_NAMES.iter().find(|(name, _)| *name == backend).map_or(backend, |(_, name)| name);
    match part {
        Part::Entry => denied_in_entry(backend, key),
        Part::Config => match config_field(key) {
            _ if misplaced(key).is_some() => Some(Denied::Misplaced),
            None if senders(key).is_some() => Some(Denied::Misplaced),
            known => denied_by(backend, known, || nearest(part, key)),
        },
    }
}

fn denied_in_entry(backend: &str, key: &str) -> Option<Denied> {
    let known = entry_field(key);
    if known.is_some_and(|field| field.is_argument) || REASONING.contains(&key) || DESCRIPTIONS.contains(&key)
    {
        return None;
    }
    match senders(key) {
        Some(backends) if backends.contains(&backend) => None,
        Some(backends) if known.is_none() => Some(Denied::Unread(backends)),
        _ => denied_by(backend, known, || nearest(Part::Entry, key))
            // An unknown name that is not similar to a known one, is an argument of the server's own.
            .filter(|denied| *denied != Denied::Unknown(None) || !PASSES_ON.contains(&backend)),
    }
}

fn denied_by(
    backend: &str,
    known: Option<&'static Field>,
    meant: impl FnOnce() -> Option<&'static str>,
) -> Option<Denied> {
    match known {
        Some(field) if field.backends.is_empty() || field.is_read_by(backend) => None,
        Some(field) => Some(Denied::Unread(field.backends)),
        None => Some(Denied::Unknown(meant())),
    }
}

/// The name that a misspelt one was perhaps meant to be.
fn nearest(part: Part, key: &str) -> Option<&'static str> {
    let nested = MODEL_CONFIG.iter().map(|field| field.name);
    if part == Part::Config {
        return similar::near_miss(key, nested);
    }
    let known = ENTRY.iter().map(|field| field.name).chain(argument_names());
    similar::near_miss(key, known.chain(nested))
}
