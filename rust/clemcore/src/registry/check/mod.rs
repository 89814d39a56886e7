//! What is wrong with a registry file: every check, one file each, all in one pass.
mod addresses;
mod aliases;
mod allow;
pub(super) mod between;
pub(super) mod clean;
mod dates;
pub(super) mod effect;
mod entry;
mod foreign;
mod forms;
mod judgement;
pub(super) mod languages;
mod layers;
mod patterns;
mod prices;
mod secrets;
mod servers;
pub(super) mod shadow;
pub(super) mod sizes;
mod templates;
pub(super) mod unrunnable;
pub(super) mod values;

use crate::catalogue as kind;
use crate::json::{self, Cursor, Kind, Node, Root};
use crate::problem::{Fault, Faults, Words};
use crate::report::Report;
use crate::schema::{self, Backend, CustomKey};
use crate::text::{Span, decode, similar};
use std::borrow::Cow;
use std::collections::HashMap;

use super::scan;
pub use addresses::{address_fault, address_key, servers_file};
pub use judgement::judge;
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
    read(bytes, Manner::thorough(backends), |checked| {
        checked.faults.into_report(&source.into(), checked.text)
    })
}

/// [`check`] without the quick pass: what it must not differ from.
#[doc(hidden)]
#[must_use]
pub fn check_slowly(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> Report {
    let manner = Manner { quick: false, ..Manner::thorough(backends) };
    read(bytes, manner, |checked| checked.faults.into_report(&source.into(), checked.text))
}

/// How a file is read.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'m> {
    /// Backends that are known besides those that come with clemcore.
    backends: Option<&'m [Backend]>,
    /// Whether everything is checked, which loading has no time for.
    thorough: bool,
    /// Whether entries of which a quick pass is sure need not be read.
    quick: bool,
    /// Which faults are kept however many there are.
    wanted: Option<fn(&Fault) -> bool>,
    /// What stands in later layers.
    elsewhere: Option<&'m Elsewhere>,
    /// Whether chat templates are compiled.
    compiles: bool,
}

impl<'m> Manner<'m> {
    /// Everything is checked.
    pub(crate) const fn thorough(backends: Option<&'m [Backend]>) -> Self {
        Self { backends, thorough: true, quick: true, wanted: None, elsewhere: None, compiles: true }
    }

    /// The same, where certain faults are kept however many there are.
    pub(crate) const fn wanting(self, wanted: fn(&Fault) -> bool) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// The same, with the quick pass.
    pub(crate) const fn quickly(self) -> Self {
        Self { quick: true, ..self }
    }

    /// As far as loading needs it, without the quick pass.
    pub(crate) const fn loading(backends: Option<&'m [Backend]>) -> Self {
        Self { thorough: false, quick: false, ..Self::thorough(backends) }
    }
}

/// A file that was read, with all that was found.
pub(crate) struct Checked<'t> {
    pub(crate) text: &'t str,
    /// The list of the entries, if there is one.
    pub(crate) list: Option<Span>,
    /// The entries; one object alone is a list of one.
    pub(crate) entries: Vec<Entry<'t>>,
    pub(crate) faults: Faults,
}

/// What is remembered of an entry when its turn is over: a file can have millions.
#[derive(Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) span: Span,
    /// Its name, if that is a string, and where it stands.
    pub(crate) name: Option<(Cow<'t, str>, Span)>,
    /// Whether a fault of syntax lies in it, so that what was read there proves little.
    pub(super) spoiled: bool,
    pub(crate) aliased: bool,
    /// Whether it allows complaints.
    pub(super) allows: bool,
}

impl<'t> Entry<'t> {
    fn of(node: &Node<'t>, spoiled: bool) -> Self {
        let name = node.get(super::MODEL_NAME).and_then(|member| match &member.value.kind {
            Kind::String(text) => Some((text.clone(), member.value.span)),
            _ => None,
        });
        let aliased = node.get(super::ALIASES).is_some();
        Self { span: node.span, name, spoiled, aliased, allows: allow::list(node).is_some() }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|(name, _)| &**name)
    }

    /// Reads the entry once more; only for those that are not spoiled.
    pub(super) fn node(&self, text: &'t str) -> Node<'t> {
        json::parse_at(text, self.span.start, &mut Faults::default())
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
    /// Where syntax faults begin in the entry being checked, in order.
    spoiled_at: Vec<usize>,
    /// The entry being checked, its name and its backend, and the codes that it allows.
    entry: usize,
    model: Option<String>,
    backend: Option<String>,
    allowed: Vec<String>,
    /// The key whose value is being checked.
    key: Span,
    /// Allows that something was found for.
    used: allow::Used,
    thorough: bool,
    compiles: bool,
    elsewhere: Option<&'c Elsewhere>,
}

impl<'c> Context<'c> {
    fn new(faults: &'c mut Faults, manner: Manner<'c>) -> Self {
        Context {
            faults,
            backends: manner.backends,
            near_misses: HashMap::new(),
            spoiled_at: Vec::new(),
            entry: 0,
            model: None,
            backend: None,
            allowed: Vec::new(),
            key: Span::default(),
            used: allow::Used::new(),
            thorough: manner.thorough,
            compiles: manner.compiles,
            elsewhere: manner.elsewhere,
        }
    }

    /// Goes on to another entry.
    fn turn_to(&mut self, entry: usize, node: &Node<'_>) {
        self.entry = entry;
        self.model = text_of(node, super::MODEL_NAME);
        self.backend = text_of(node, "backend");
        self.allowed = allow::codes(node);
    }

    /// Notes a fault of the entry being checked.
    fn at(&mut self, kind: &'static crate::catalogue::Kind, span: Span, message: impl Words) -> &mut Fault {
        if !self.allowed.is_empty() && allow::allows(&self.allowed, kind) {
            self.used.insert((self.entry, kind.code));
            return self.faults.silent(kind, span);
        }
        self.faults.at(kind, span, message).entry(self.entry, self.model.as_deref())
    }

    /// Counts a fault of which there are too many to be told, and says so; what would be told need not be found out.
    fn tallies(&mut self, kind: &'static crate::catalogue::Kind) -> bool {
        self.allowed.is_empty() && self.faults.tallies(kind)
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
        // So many keys of one's own are not typing errors.
        if self.near_misses.len() >= MANY_KEYS {
            return None;
        }
        let known = schema::ENTRY.iter().chain(schema::MODEL_CONFIG).map(|field| field.name);
        let near = similar::near_miss(key, known);
        self.near_misses.insert(key.to_owned(), near);
        near
    }

    /// The entry's backend, where it is a custom one.
    fn custom_backend(&self) -> Option<&'c Backend> {
        let name = self.backend.as_deref()?;
        self.backends?.iter().find(|backend| backend.name == name && !backend.keys.is_empty())
    }

    /// The entry's backend, where clemcore knows which keys it reads.
    fn known_backend(&self) -> Option<&'static str> {
        let name = self.backend.as_deref()?;
        schema::BACKENDS.iter().copied().find(|known| *known == name)
    }

    /// What the entry's custom backend says about a key.
    fn custom_key(&self, path: &str, key: &str) -> Option<&'c CustomKey> {
        self.custom_backend()?.key(path, key)
    }

    fn known_backends(&self) -> impl Iterator<Item = &str> {
        let further = self.backends.into_iter().flatten().map(|backend| backend.name.as_str());
        schema::BACKENDS.iter().copied().chain(further.filter(|name| !schema::BACKENDS.contains(name)))
    }
}

/// Reads and checks a file, and hands over the result while the text lives.
pub(crate) fn read<R>(bytes: &[u8], manner: Manner<'_>, then: impl for<'t> FnOnce(Checked<'t>) -> R) -> R {
    let mut faults = manner.wanted.map_or_else(Faults::default, Faults::with_all);
    let decoded = decode::decode(bytes, &mut faults);
    let text = decoded.as_deref().unwrap_or_default();
    let fresh = faults.list.len();
    let context = Context::new(&mut faults, manner);
    let mut reader = Reader { context, entries: Vec::new(), encoding: (0, fresh), fresh };
    let list = match decoded.as_deref() {
        None => None,
        Some(text) if foreign::check(text, reader.context.faults) => None,
        // A fault of the encoding lies in an entry.
        Some(text) if manner.quick && matches!(decoded, Some(Cow::Borrowed(_))) => {
            reader.quickly(text).or_else(|| reader.fully(text))
        }
        Some(text) => reader.fully(text),
    };
    let Reader { mut context, entries, .. } = reader;
    if !context.faults.overfull() {
        shadow::check(text, &entries, &mut context);
        if manner.thorough {
            aliases::check(text, &entries, &mut context);
            layers::check(text, &entries, &mut context);
            allow::check(text, &entries, &mut context);
        }
    }
    then(Checked { text, list, entries, faults })
}

/// Reads entries one after the other, and checks each while it is there.
struct Reader<'c, 't> {
    context: Context<'c>,
    entries: Vec<Entry<'t>>,
    /// Faults of the encoding: how many lie before the next entry, and how many there are.
    encoding: (usize, usize),
    /// From where on faults of syntax may lie in the next entry.
    fresh: usize,
}

impl<'t> Reader<'_, 't> {
    /// Reads a text of which a quick pass knows where the entries are, and looks at those of which it is not sure;
    /// gives the place of the list. `None` where that pass gives up.
    fn quickly(&mut self, text: &'t str) -> Option<Span> {
        let Context { backends, thorough, .. } = self.context;
        // The quick pass knows no keys but those of the schema.
        if backends.into_iter().flatten().any(|backend| !backend.keys.is_empty()) {
            return None;
        }
        let scanned = scan::scan(text, backends, thorough)?;
        let mut doubtful = scanned.doubtful.into_iter().peekable();
        let mut aliased = scanned.places.aliased.into_iter().peekable();
        self.entries.reserve_exact(scanned.places.list.len());
        for (at, place) in scanned.places.list.into_iter().enumerate() {
            if self.context.faults.overfull() {
                break;
            }
            let aliased = aliased.next_if_eq(&at).is_some();
            if doubtful.next_if(|(entry, _)| *entry == at).is_some() {
                let node = json::parse_at(text, place.start, self.context.faults);
                self.entry(&node);
                continue;
            }
            let name_span = Span::new(place.name_start - 1, place.name_end + 1);
            let name = Cursor::new(text, name_span.start).string().map(|name| (name, name_span));
            let span = Span::new(place.start, place.end);
            self.entries.push(Entry { span, name, spoiled: false, aliased, allows: false });
        }
        Some(Span::new(scanned.list.0, scanned.list.1))
    }

    /// Reads a text with the parser that knows every fault; gives the place of the list.
    fn fully(&mut self, text: &'t str) -> Option<Span> {
        // The parser has the faults while it reads, and lends them to the check of each entry.
        let mut faults = std::mem::take(self.context.faults);
        let root = json::parse_items(text, &mut faults, &mut |node, faults| {
            std::mem::swap(self.context.faults, faults);
            self.entry(&node);
            std::mem::swap(self.context.faults, faults);
        });
        *self.context.faults = faults;
        match root? {
            Root::List(span) => return Some(span),
            Root::Other(node) if foreign::is_no_entry(&node) => {
                foreign::report(&node, self.context.faults);
            }
            Root::Other(node) if matches!(node.kind, Kind::Object(_)) => self.entry(&node),
            Root::Other(node) if matches!(node.kind, Kind::Broken) => {}
            Root::Other(node) => {
                let message = format_args!("a registry is a list of entries, not {}", node.kind_name());
                let help = "write [{\"model_name\": …, \"backend\": …}]";
                self.context.faults.at(&kind::NOT_A_LIST, node.span, message).help(help);
            }
        }
        None
    }

    fn entry(&mut self, node: &Node<'t>) {
        let at = self.entries.len();
        self.context.turn_to(at, node);
        let spoiled = self.attribute(node.span);
        self.entries.push(Entry::of(node, spoiled));
        if !self.context.faults.overfull() {
            entry::check(node, &mut self.context);
        }
        self.fresh = self.context.faults.all().len();
    }

    /// Says of the syntax faults in an entry in which one they lie; whether there are any.
    fn attribute(&mut self, span: Span) -> bool {
        let Context { faults, spoiled_at, entry, model, .. } = &mut self.context;
        spoiled_at.clear();
        let mut attribute = |fault: &mut Fault| {
            // A byte order mark stands before what is an entry, and spoils nothing.
            if (span.start..span.end).contains(&fault.span.start) && *fault.kind != kind::BYTE_ORDER_MARK {
                spoiled_at.push(fault.span.start);
                fault.entry(*entry, model.as_deref());
            }
        };
        let faults = faults.all();
        while self.encoding.0 < self.encoding.1 && faults[self.encoding.0].span.start < span.end {
            attribute(&mut faults[self.encoding.0]);
            self.encoding.0 += 1;
        }
        faults[self.fresh..].iter_mut().for_each(attribute);
        spoiled_at.sort_unstable();
        !spoiled_at.is_empty()
    }
}

/// The text under a key of an entry.
fn text_of(node: &Node<'_>, key: &str) -> Option<String> {
    node.get(key)?.value.as_str().map(str::to_owned)
}
