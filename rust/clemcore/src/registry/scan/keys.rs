//! The keys of one file: each different one is judged once, by the same functions as in the full check.
use super::super::check::{between, effect, values};
use crate::json::Cursor;
use crate::schema::{self, Field, Rule, Type};
use crate::text::{mask, similar};

/// More different keys make no registry of the usual kind; the slow way can judge it.
const MOST: usize = 512;
const SLOTS: usize = 2048;
/// A longer search in the table means that somebody chose the keys so.
const PROBES: usize = 8;

/// What a value is, as one bit; and what a field takes, as several.
pub(super) type Types = u16;
pub(super) const NULL: Types = 1;
pub(super) const FALSE: Types = 1 << 1;
pub(super) const TRUE: Types = 1 << 2;
pub(super) const INT: Types = 1 << 3;
pub(super) const FLOAT: Types = 1 << 4;
pub(super) const STRING: Types = 1 << 5;
/// A list of strings only.
pub(super) const STRINGS: Types = 1 << 6;
pub(super) const MIXED: Types = 1 << 7;
pub(super) const OBJECT: Types = 1 << 8;

/// A known field at one level of an entry.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) field: &'static Field,
    pub(super) takes: Types,
    /// The bit of an id that some backends need.
    pub(super) id: u8,
}

/// The fields that some backends need.
fn needed() -> impl Iterator<Item = (usize, &'static Field)> {
    schema::ENTRY.iter().filter(|field| field.rule == Rule::Needed).enumerate()
}

/// The ids that a backend needs, each as a bit; the last bit stands for all that have none of their own.
pub(super) fn needed_by(backend: &str) -> u8 {
    let needs = |field: &Field| field.backends.contains(&backend);
    needed().filter(|(_, field)| needs(field)).fold(0, |ids, (at, _)| ids | 1 << at.min(7))
}

impl Known {
    fn new(field: &'static Field) -> Self {
        let bits = |of: &Type| match of {
            Type::Bool => TRUE | FALSE,
            Type::Int => INT,
            Type::Number => INT | FLOAT,
            Type::String => STRING,
            Type::Strings => STRINGS,
            Type::List => STRINGS | MIXED,
            Type::Object => OBJECT,
            Type::Null => NULL,
        };
        let id =
            needed().find(|(at, other)| other.name == field.name && *at < 7).map_or(0, |(at, _)| 1 << at);
        Self { id, field, takes: field.types.iter().map(bits).fold(0, |all, bits| all | bits) }
    }
}

/// What is to be thought of a key at one level.
#[derive(Clone, Copy)]
pub(super) enum Standing {
    Known(Known),
    /// Nobody knows it, which is legal.
    Own,
    /// It looks like a known one.
    NearMiss,
}

/// The levels at which the schema knows keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Entry,
    Config,
    Inner,
}

pub(super) struct Key<'t> {
    pub(super) text: &'t str,
    ends: Ends,
    /// The list or object that stood last under this key in an entry, if nothing was to be said about it.
    last: &'t str,
    /// Whether a key of this name holds a secret.
    pub(super) secret: bool,
    pub(super) role: Role,
    entry: Option<Standing>,
    config: Option<Standing>,
}

/// The keys that the scan itself has to do with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    ModelName,
    Backend,
    Aliases,
    ModelConfig,
    Other,
}

impl Key<'_> {
    /// Passes the value that stood under this key last, if it stands there again. The license and the languages of an
    /// entry are mostly those of the entry before.
    #[inline]
    pub(super) fn repeats(&self, cursor: &mut Cursor<'_>) -> bool {
        let rest = cursor.text.as_bytes().get(cursor.at..).unwrap_or_default();
        let repeats = !self.last.is_empty() && rest.starts_with(self.last.as_bytes());
        if repeats {
            cursor.at += self.last.len();
        }
        repeats
    }
}

pub(super) struct Keys<'t> {
    list: Vec<Key<'t>>,
    slots: Box<[u16]>,
}

impl<'t> Keys<'t> {
    pub(super) fn new() -> Self {
        Self { list: Vec::with_capacity(64), slots: vec![0; SLOTS].into_boxed_slice() }
    }

    /// The number of a key; `None` where there are too many.
    #[inline]
    pub(super) fn number(&mut self, text: &'t str) -> Option<usize> {
        let ends = Ends::of(text.as_bytes());
        let hash = ends.hash();
        for probe in 0..PROBES {
            let slot = (hash + probe) % SLOTS;
            let Some(found) = usize::from(self.slots[slot]).checked_sub(1) else {
                return self.add(text, ends, slot);
            };
            let key = &self.list[found];
            if key.ends == ends && (ends.is_all() || key.text == text) {
                return Some(found);
            }
        }
        None
    }

    #[cold]
    fn add(&mut self, text: &'t str, ends: Ends, slot: usize) -> Option<usize> {
        if self.list.len() >= MOST {
            return None;
        }
        let role = match text {
            super::super::MODEL_NAME => Role::ModelName,
            "backend" => Role::Backend,
            super::super::ALIASES => Role::Aliases,
            "model_config" => Role::ModelConfig,
            _ => Role::Other,
        };
        let key =
            Key { text, ends, last: "", secret: mask::is_secret_name(text), role, entry: None, config: None };
        self.list.push(key);
        self.slots[slot] = u16::try_from(self.list.len()).ok()?;
        Some(self.list.len() - 1)
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> &Key<'t> {
        &self.list[number]
    }

    /// Remembers a list or an object of an entry about which nothing is to be said.
    #[inline]
    pub(super) fn remember(&mut self, number: usize, value: &'t str) {
        // That an entry has other names is noted where they are read.
        if self.list[number].role != Role::Aliases {
            self.list[number].last = value;
        }
    }

    /// What is to be thought of a key; `None` where nobody judges keys.
    #[inline]
    pub(super) fn standing(&mut self, number: usize, level: Level) -> Option<Standing> {
        let key = &mut self.list[number];
        let (known, lookup): (_, fn(&str) -> Option<&'static Field>) = match level {
            Level::Entry => (&mut key.entry, schema::entry_field),
            Level::Config => (&mut key.config, schema::config_field),
            Level::Inner => return None,
        };
        Some(*known.get_or_insert_with(|| judge(key.text, lookup)))
    }
}

fn judge(text: &str, lookup: fn(&str) -> Option<&'static Field>) -> Standing {
    if let Some(field) = lookup(text) {
        return Standing::Known(Known::new(field));
    }
    let names = schema::ENTRY.iter().chain(schema::MODEL_CONFIG).map(|field| field.name);
    if similar::near_miss(text, names).is_some() { Standing::NearMiss } else { Standing::Own }
}

/// Whether loading has nothing to say about a field, and the full check may.
pub(super) fn is_for_the_thorough(field: &'static Field, level: Level, kind: Types) -> bool {
    field.rule == Rule::Template
        || !field.deprecated.is_empty()
        || !field.refused.is_empty()
        || field.name == "lint"
        || between::may_concern(field.name, kind == TRUE)
        || values::is_literal(field, level == Level::Entry)
        || effect::may_concern_known(field, level == Level::Config)
}

/// The first and the last eight bytes of a text, and its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    first: u64,
    last: u64,
    length: usize,
}

impl Ends {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let length = text.len();
        if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last), length };
        }
        // Of a short text the two ends overlap, or all is in one of them.
        let (first, last) = match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
            _ => (text.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)), 0),
        };
        Self { first: u64::from(first), last: u64::from(last), length }
    }

    /// Whether this is the whole text.
    #[inline]
    fn is_all(self) -> bool {
        self.length <= 16
    }

    /// Who makes keys collide is sent the slow way, see [`PROBES`].
    #[inline]
    pub(super) fn hash(self) -> usize {
        let mixed =
            (self.first ^ self.last.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(mixed >> 48).unwrap_or_default()
    }
}
