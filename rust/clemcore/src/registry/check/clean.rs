//! The same checks, asked for yes or no: what the quick scan of a file cannot decide by itself.
//!
//! Nothing is decided here. A value is clean when the checks of this module find nothing to report, as far as loading
//! asks them.
use super::entry::{self, Name};
use super::{Context, Manner, values};
use crate::json::{self, Node};
use crate::problem::Faults;
use crate::schema::{Backend, Field};

/// Whether nothing is to be said about the value of a known key, beyond its type.
pub(in crate::registry) fn value(
    field: &'static Field,
    node: &Node<'_>,
    backends: Option<&[Backend]>,
    thorough: bool,
) -> bool {
    let mut faults = Faults::default();
    let name = Name { path: "", field: field.name };
    let manner = Manner { thorough, ..Manner::loading(backends) };
    values::check(field, node, name, &mut Context::new(&mut faults, manner));
    faults.list.is_empty()
}

/// What is to be said about some entries of a text that has no other fault: the number of each, and where it begins.
pub(in crate::registry) fn entries(
    text: &str,
    entries: &[(usize, usize)],
    backends: Option<&[Backend]>,
) -> Faults {
    let mut faults = Faults::default();
    let manner = Manner::loading(backends);
    let mut context = Context::new(&mut faults, manner);
    for (at, start) in entries {
        let node = json::parse_at(text, *start, context.faults);
        context.turn_to(*at, &node);
        entry::check(&node, &mut context);
    }
    faults
}
