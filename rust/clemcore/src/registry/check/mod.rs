//! What is wrong with a registry file: every check, one file each, all in one pass.
mod aliases;
mod allow;
pub(super) mod clean;
mod dates;
mod entry;
pub(super) mod languages;
mod layers;
mod patterns;
mod secrets;
pub(super) mod shadow;
pub(super) mod sizes;
mod templates;
mod values;

use crate::catalogue as kind;
use crate::json::{self, Kind, Node};
use crate::problem::Faults;
use crate::report::Report;
use crate::schema::{self, Backend, OwnKey};
use crate::text::{Span, decode, similar};
use std::collections::HashMap;

use layers::Elsewhere;
pub use layers::check_layers;

/// Checks one file; `source` is its name in the report.
///
/// `backends` are known besides those that come with clemcore.
///
/// ```
/// let report = clemcore::registry::check("r.json", br#"[{"model_name": "m"},]"#, None);
/// let codes: Vec<_> = report.problems.iter().map(|problem| problem.kind.code).collect();
/// assert_eq!(codes, ["R042", "R010"]);
/// assert_eq!((report.problems[0].line, report.problems[0].column), (1, 2));
/// ```
#[must_use]
pub fn check(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> Report {
    examine(bytes, backends, |checked| checked.faults.into_report(&source.into(), checked.text))
}

/// A file that was read, with all that was found.
pub(crate) struct Checked<'t> {
    pub(crate) text: &'t str,
    root: Option<Node<'t>>,
    pub(crate) faults: Faults,
}

impl<'t> Checked<'t> {
    /// The entries; one object alone is a list of one.
    pub(super) fn entries(&self) -> &[Node<'t>] {
        self.root.as_ref().map_or(&[], entries_of)
    }

    /// The list of the entries, if there is one.
    pub(super) fn list(&self) -> Option<&Node<'t>> {
        self.root.as_ref().filter(|root| matches!(root.kind, Kind::List(_)))
    }
}

fn entries_of<'n, 't>(root: &'n Node<'t>) -> &'n [Node<'t>] {
    match &root.kind {
        Kind::List(entries) => entries,
        Kind::Object(_) => std::slice::from_ref(root),
        _ => &[],
    }
}

/// For how many different unknown keys of a file it is asked what they were meant to be.
const MANY_KEYS: usize = 1000;

/// What the checks of one file share.
pub(super) struct Context<'c> {
    faults: &'c mut Faults,
    backends: Option<&'c [Backend]>,
    /// Unknown keys seen, and what each was probably meant to be.
    near_misses: HashMap<String, Option<&'static str>>,
    /// Where syntax faults begin, in order.
    spoiled_at: Vec<usize>,
    /// The entry being checked, its name and its backend.
    entry: usize,
    node: Option<&'c Node<'c>>,
    model: Option<&'c str>,
    backend: Option<&'c str>,
    /// The key whose value is being checked.
    key: Span,
    /// Allows that something was found for.
    used: allow::Used,
    /// Whether chat templates and the like are compiled too, which loading has no time for.
    thorough: bool,
    /// What stands in later layers.
    elsewhere: Option<&'c Elsewhere>,
}

impl<'c> Context<'c> {
    /// Goes on to another entry.
    fn turn_to(&mut self, entry: usize, node: &'c Node<'c>) {
        self.entry = entry;
        self.node = Some(node);
        self.model = name_of(node);
        self.backend = node.get("backend").and_then(|member| member.value.as_str());
    }

    /// Notes a fault of the entry being checked.
    fn at(
        &mut self,
        kind: &'static crate::catalogue::Kind,
        span: Span,
        message: impl Into<String>,
    ) -> &mut crate::problem::Fault {
        if self.node.is_some_and(|node| allow::allows(node, kind)) {
            self.used.insert((self.entry, kind.code));
            return self.faults.silent(kind, span);
        }
        self.faults.at(kind, span, message).entry(self.entry, self.model)
    }

    /// Whether a syntax fault lies in a range, so that what was read there proves nothing.
    fn spoiled(&self, span: Span) -> bool {
        let at = self.spoiled_at.partition_point(|offset| *offset < span.start);
        self.spoiled_at.get(at).is_some_and(|offset| *offset < span.end)
    }

    /// The known key that an unknown one was probably meant to be.
    fn near_miss(&mut self, key: &str) -> Option<&'static str> {
        if let Some(near) = self.near_misses.get(key) {
            return *near;
        }
        // So many keys of one's own are no typing errors.
        if self.near_misses.len() >= MANY_KEYS {
            return None;
        }
        let known = schema::ENTRY.iter().chain(schema::MODEL_CONFIG).map(|field| field.name);
        let near = similar::near_miss(key, known);
        self.near_misses.insert(key.to_owned(), near);
        near
    }

    /// The entry's backend, where it is somebody's own.
    fn own_backend(&self) -> Option<&'c Backend> {
        let name = self.backend?;
        self.backends?.iter().find(|backend| backend.name == name && !backend.keys.is_empty())
    }

    /// What the entry's backend says about a key, where it is somebody's own.
    fn own_key(&self, path: &str, key: &str) -> Option<&'c OwnKey> {
        self.own_backend()?.key(path, key)
    }

    fn known_backends(&self) -> impl Iterator<Item = &str> {
        let further = self.backends.into_iter().flatten().map(|backend| backend.name.as_str());
        schema::BACKENDS.iter().copied().chain(further.filter(|name| !schema::BACKENDS.contains(name)))
    }
}

/// Reads and checks a file as far as loading it needs, and hands over the result while the text lives.
pub(super) fn read<R>(
    bytes: &[u8],
    backends: Option<&[Backend]>,
    then: impl for<'t> FnOnce(Checked<'t>) -> R,
) -> R {
    read_with(bytes, backends, false, None, then)
}

/// Reads a file and checks everything.
pub(crate) fn examine<R>(
    bytes: &[u8],
    backends: Option<&[Backend]>,
    then: impl for<'t> FnOnce(Checked<'t>) -> R,
) -> R {
    read_with(bytes, backends, true, None, then)
}

/// [`examine`] of a file that is loaded together with others.
fn examine_beside<R>(
    bytes: &[u8],
    backends: Option<&[Backend]>,
    elsewhere: Option<&Elsewhere>,
    then: impl for<'t> FnOnce(Checked<'t>) -> R,
) -> R {
    read_with(bytes, backends, true, elsewhere, then)
}

fn read_with<R>(
    bytes: &[u8],
    backends: Option<&[Backend]>,
    thorough: bool,
    elsewhere: Option<&Elsewhere>,
    then: impl for<'t> FnOnce(Checked<'t>) -> R,
) -> R {
    let mut faults = Faults::default();
    let decoded = decode::decode(bytes, &mut faults);
    let text = decoded.as_deref().unwrap_or_default();
    let root = decoded.as_deref().and_then(|text| json::parse(text, &mut faults));
    if let Some(root) = &root {
        check_root(root, &mut faults, backends, thorough, elsewhere);
    }
    then(Checked { text, root, faults })
}

fn check_root(
    root: &Node<'_>,
    faults: &mut Faults,
    backends: Option<&[Backend]>,
    thorough: bool,
    elsewhere: Option<&Elsewhere>,
) {
    let entries = entries_of(root);
    if !matches!(root.kind, Kind::List(_) | Kind::Object(_) | Kind::Broken) {
        let message = format!("a registry is a list of entries, not {}", root.kind_name());
        faults.at(&kind::NOT_A_LIST, root.span, message).help("write [{\"model_name\": …, \"backend\": …}]");
    }
    attribute(entries, faults);
    let mut spoiled_at: Vec<_> = faults.list.iter().map(|fault| fault.span.start).collect();
    spoiled_at.sort_unstable();
    let mut context = Context {
        faults,
        backends,
        near_misses: HashMap::new(),
        spoiled_at,
        entry: 0,
        node: None,
        model: None,
        backend: None,
        key: Span::default(),
        used: allow::Used::new(),
        thorough,
        elsewhere,
    };
    for (at, node) in entries.iter().enumerate() {
        context.turn_to(at, node);
        entry::check(node, &mut context);
    }
    shadow::check(entries, &mut context);
    if thorough {
        aliases::check(entries, &mut context);
        layers::check(entries, &mut context);
        allow::check(entries, &mut context);
    }
}

/// The `model_name` of an entry for reports.
fn name_of<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.get(super::MODEL_NAME)?.value.as_str()
}

/// Says of each syntax fault in which entry it lies.
fn attribute(entries: &[Node<'_>], faults: &mut Faults) {
    for fault in &mut faults.list {
        let at = entries.partition_point(|entry| entry.span.start <= fault.span.start);
        if let Some(at) = at.checked_sub(1).filter(|at| fault.span.start < entries[*at].span.end) {
            fault.entry(at, name_of(&entries[at]));
        }
    }
}
