//! Unification of two dicts: the only rule by which a selector matches an entry.
//!
//! Two dicts unify when no key that both have says two different things; the result has the keys of both. Dicts
//! inside are merged, lists must have one length and unify item by item, everything else must be equal as Python
//! says it. The result has the left dict's keys in their order, then the right one's new keys sorted by code point,
//! also inside. Where both sides agree, the left value stays (`1` with `1.0` gives `1`).
//!
//! This is nltk's `featstruct.unify` on plain dicts and lists, with two repairs:
//! * a dict never unifies with a list (nltk let `{}` unify with `[]`, and crashed or compared by index otherwise);
//! * a boolean never unifies with a number (Python says `True == 1`, a registry must not).
//!
//! One thing of nltk is not kept: it copied a value that occurs twice *as one object* into one object again. Values
//! here own what they contain, so each place is merged for itself.
//!
//! ```
//! use clemcore::{unify::unify, value::{Dict, Value}};
//! let selector: Dict = [("model_name", Value::from("m")), ("seed", Value::from(7))].into_iter().collect();
//! let entry: Dict = [("model_name", "m"), ("backend", "mock")].into_iter().collect();
//! let merged = unify(&selector, &entry).unwrap();
//! assert_eq!(merged.keys().collect::<Vec<_>>(), ["model_name", "seed", "backend"]);
//!
//! let other: Dict = [("backend", "openai")].into_iter().collect();
//! assert!(unify(&other, &entry).is_none());
//! ```
use crate::value::{Dict, Value, numbers_equal};

/// Decides equality where at least one side is an [`Value::Opaque`].
///
/// This crate cannot know; the binding asks Python.
pub trait OpaqueEq {
    /// Whether the two values are equal.
    fn equal(&self, left: &Value, right: &Value) -> bool;
}

/// The rule where nothing is known about opaque values: each equals itself only.
#[derive(Debug, Clone, Copy)]
pub struct ById;

impl OpaqueEq for ById {
    fn equal(&self, left: &Value, right: &Value) -> bool {
        matches!((left, right), (Value::Opaque(a), Value::Opaque(b)) if a == b)
    }
}

/// Merges two dicts; `None` where they contradict each other.
#[must_use]
pub fn unify(left: &Dict, right: &Dict) -> Option<Dict> {
    unify_with(left, right, &ById)
}

/// [`unify`] where `opaque` decides about values that JSON cannot hold.
pub fn unify_with(left: &Dict, right: &Dict, opaque: &dyn OpaqueEq) -> Option<Dict> {
    unify_into(left, right.clone(), opaque)
}

/// [`unify_with`] that takes the right dict apart instead of copying from it.
pub(crate) fn unify_into(left: &Dict, mut right: Dict, opaque: &dyn OpaqueEq) -> Option<Dict> {
    let mut first = Vec::with_capacity(left.len());
    for (key, value) in left.iter() {
        let value = match right.remove(key) {
            Some(other) => unify_values(value, other, opaque)?,
            None => value.clone(),
        };
        first.push((key, value));
    }
    // UTF-8 sorts as code points do, which is Python's order of strings.
    right.sort_behind(first);
    Some(right)
}

fn unify_values(left: &Value, right: Value, opaque: &dyn OpaqueEq) -> Option<Value> {
    match (left, right) {
        (Value::Dict(a), Value::Dict(b)) => unify_into(a, b, opaque).map(Value::Dict),
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            let items: Option<Vec<_>> = a.iter().zip(b).map(|(a, b)| unify_values(a, b, opaque)).collect();
            items.map(Value::List)
        }
        (_, right) => leaves_equal(left, &right, opaque).then(|| left.clone()),
    }
}

/// Whether two dicts unify, without building the result.
pub fn unifies(left: &Dict, right: &Dict, opaque: &dyn OpaqueEq) -> bool {
    // Walk the smaller one: most selectors are small.
    if left.len() <= right.len() {
        left.iter().all(|(key, value)| right.get(key).is_none_or(|other| values_unify(value, other, opaque)))
    } else {
        right.iter().all(|(key, value)| left.get(key).is_none_or(|other| values_unify(other, value, opaque)))
    }
}

/// Whether two values unify.
pub(crate) fn values_unify(left: &Value, right: &Value, opaque: &dyn OpaqueEq) -> bool {
    match (left, right) {
        (Value::Dict(a), Value::Dict(b)) => unifies(a, b, opaque),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values_unify(a, b, opaque))
        }
        _ => leaves_equal(left, right, opaque),
    }
}

/// Equality of two values of which at most one is a dict or a list of its kind.
pub(crate) fn leaves_equal(left: &Value, right: &Value, opaque: &dyn OpaqueEq) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Opaque(_), _) | (_, Value::Opaque(_)) => opaque.equal(left, right),
        _ => numbers_equal(left, right).unwrap_or(false),
    }
}

/// One place where two dicts contradict each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Where, as `model_config.extra_body` or `languages[2]`.
    pub field: String,
    /// What the left side says.
    pub left: Value,
    /// What the right side says.
    pub right: Value,
}

/// Every place where the two contradict each other, in the left one's order; none where they unify.
pub fn mismatches(left: &Dict, right: &Dict, opaque: &dyn OpaqueEq) -> Vec<Mismatch> {
    let mut found = Vec::new();
    dict_mismatches(left, right, "", opaque, &mut found);
    found
}

fn dict_mismatches(left: &Dict, right: &Dict, path: &str, opaque: &dyn OpaqueEq, found: &mut Vec<Mismatch>) {
    for (key, value) in left.iter() {
        if let Some(other) = right.get(key) {
            let field = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            value_mismatches(value, other, field, opaque, found);
        }
    }
}

fn value_mismatches(
    left: &Value,
    right: &Value,
    field: String,
    opaque: &dyn OpaqueEq,
    found: &mut Vec<Mismatch>,
) {
    match (left, right) {
        (Value::Dict(a), Value::Dict(b)) => dict_mismatches(a, b, &field, opaque, found),
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                value_mismatches(a, b, format!("{field}[{index}]"), opaque, found);
            }
        }
        _ if leaves_equal(left, right, opaque) => {}
        _ => found.push(Mismatch { field, left: left.clone(), right: right.clone() }),
    }
}
