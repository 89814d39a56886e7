//! The checks of one entry that stands in no file.
use super::{Context, Manner, entry};
use crate::json::Node;
use crate::problem::{Faults, Problem};
use crate::value::Dict;

/// What is wrong with one entry that comes from no file, by everything that the check knows about single entries.
///
/// `backend` is judged in place of the entry's own, where one is given. Complaints that the entry allows are reported
/// too, chat templates are not compiled, and the places mean nothing.
///
/// ```
/// use clemcore::{registry::judge, value::{Dict, Value}};
/// let mut entry = Dict::with_capacity(3);
/// for (key, value) in [("model_name", "m"), ("backend", "openai"), ("base_url", "localhost/v1")] {
///     entry.insert(key, Value::from(value));
/// }
/// let problems = judge(&entry, None);
/// assert!(problems.iter().any(|problem| problem.kind.code == "R078"));
/// ```
#[must_use]
pub fn judge(entry: &Dict, backend: Option<&str>) -> Vec<Problem> {
    let node = Node::of_dict(entry);
    let mut faults = Faults::default();
    let manner = Manner { compiles: false, ..Manner::thorough(None) };
    let mut context = Context::new(&mut faults, manner);
    context.turn_to(0, &node);
    context.allowed.clear();
    context.backend = backend.map(str::to_owned).or(context.backend);
    entry::check(&node, &mut context);
    faults.into_report(&"".into(), "").problems
}
