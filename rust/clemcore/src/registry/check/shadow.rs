//! Entries that no selector can reach.
//!
//! A selector gets the first entry that does not contradict it. So an entry is out of reach exactly when an earlier
//! one says nothing that it does not say too: whatever contradicts the earlier one then contradicts the later one.
//! "Says nothing more" means, for each key of the earlier entry: an equal value, a list of the same length whose
//! items say nothing more, or an object whose keys say nothing more (so `{}` says nothing at all).
//!
//! Together, several earlier entries can hide one that none of them hides alone; that is not looked for, because a
//! selector with one more key tells them apart in practice.
use super::Context;
use crate::catalogue as kind;
use crate::fix::Remedy;
use crate::json::{Node, to_dict};
use crate::registry::{ALIASES, MODEL_NAME};
use crate::text::Span;
use crate::unify::{ById, leaves_equal};
use crate::value::{Dict, Value};
use std::collections::HashMap;

/// With how many earlier entries of its name an entry is compared; more of one name are no registry.
pub(in crate::registry) const COMPARED: usize = 100;

/// Reports entries that are out of reach; those with syntax faults are not judged.
pub(super) fn check<'c>(entries: &'c [Node<'_>], context: &mut Context<'c>) {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        // An entry without a name is an error, so only entries of one name can hide each other.
        if let Some(name) = entry.get(MODEL_NAME).and_then(|member| member.value.as_str())
            && !context.spoiled(entry.span)
        {
            by_name.entry(name).or_default().push(at);
        }
    }
    let mut groups: Vec<_> = by_name.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    for group in groups {
        check_group(entries, &group, context);
    }
}

fn check_group<'c>(entries: &'c [Node<'_>], group: &[usize], context: &mut Context<'c>) {
    let dicts: Vec<_> = group.iter().map(|at| to_dict(entries[*at].members().unwrap_or_default())).collect();
    for (later, dict) in dicts.iter().enumerate().skip(1) {
        let hides = |earlier: &usize| hides(&dicts[*earlier], dict);
        if let Some(earlier) = (0..later.min(COMPARED)).find(hides) {
            let same = self::hides(dict, &dicts[earlier]);
            report(entries, group[earlier], group[later], same, context);
        } else if context.thorough
            && let Some(earlier) = (0..later.min(COMPARED)).find(|earlier| alike(&dicts[*earlier], dict))
        {
            same_name(entries, group[earlier], group[later], context);
        }
    }
}

/// Whether name and backend tell the two apart.
fn alike(earlier: &Dict, later: &Dict) -> bool {
    let backend = |dict: &Dict| dict.get("backend").and_then(Value::as_str).map(str::to_owned);
    // An entry that says more comes first on purpose: it is for those who ask for what it says.
    backend(earlier) == backend(later) && !hides(later, earlier)
}

fn same_name<'c>(entries: &'c [Node<'_>], earlier: usize, later: usize, context: &mut Context<'c>) {
    let node = &entries[later];
    context.turn_to(later, node);
    let span = node.get(MODEL_NAME).map_or(node.span, |member| member.value.span);
    let message = format!("entry {earlier} has the same name and backend, and says something else");
    context
        .at(&kind::SAME_NAME, span, message)
        .related(entries[earlier].span.start)
        .help("the name alone always means the one at {place}; give this one a name of its own");
}

fn report<'c>(entries: &'c [Node<'_>], earlier: usize, later: usize, same: bool, context: &mut Context<'c>) {
    let node = &entries[later];
    context.turn_to(later, node);
    let span = Span::new(node.span.start, node.span.start + 1);
    let first = entries[earlier].span.start;
    if same {
        let message = format!("this entry says the same as entry {earlier}");
        context
            .at(&kind::DUPLICATE_ENTRY, span, message)
            .related(first)
            .help("remove one; the other is at {place}")
            .remedy(Some(Remedy::Remove(node.span)));
    } else {
        let message = format!("no selector reaches this entry: entry {earlier} says less and comes first");
        context
            .at(&kind::UNREACHABLE_ENTRY, span, message)
            .related(first)
            .help("put it before the one at {place}, or let them differ in a key that both have");
    }
}

/// Whether every selector that fits `later` fits `earlier` too.
///
/// An entry with aliases is reached by these too, unless the earlier one has the same.
pub(in crate::registry) fn hides(earlier: &Dict, later: &Dict) -> bool {
    (earlier.contains_key(ALIASES) || !later.contains_key(ALIASES)) && says_all_of(earlier, later)
}

fn says_all_of(earlier: &Dict, later: &Dict) -> bool {
    earlier.iter().all(|(key, value)| later.get(key).is_some_and(|other| says_less(value, other)))
}

fn says_less(earlier: &Value, later: &Value) -> bool {
    match (earlier, later) {
        (Value::Dict(a), Value::Dict(b)) => says_all_of(a, b),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| says_less(a, b))
        }
        (Value::Dict(_) | Value::List(_), _) | (_, Value::Dict(_) | Value::List(_)) => false,
        _ => leaves_equal(earlier, later, &ById),
    }
}
