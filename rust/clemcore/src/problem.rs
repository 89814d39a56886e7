//! One thing that is wrong with a registry, with its place; and the list in which a pass collects them.
//!
//! A pass never stops at the first fault: it notes a [`Fault`] with byte offsets and goes on. Lines, columns and
//! excerpts are made once, at the end, so that a clean file never pays for them.
use crate::catalogue::{Kind, NUMBER_FORM};
use crate::fix::Remedy;
use crate::report::{Excerpt, Report};
use crate::text::{Span, lines::Lines, mask};
use std::fmt;
use std::sync::Arc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file is used, but probably does not say what was meant.
    Warning,
    /// Worth knowing.
    Hint,
}

impl Severity {
    /// `"error"`, `"warning"` or `"hint"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// One thing that is wrong, as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The row of the catalogue.
    pub kind: &'static Kind,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The file, as the caller named it.
    pub source: Arc<str>,
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character in Unicode characters, from 1.
    pub column: usize,
    /// Line of the place after the last character.
    pub end_line: usize,
    /// Column after the last character.
    pub end_column: usize,
    /// Which entry of the list, from 0.
    pub entry: Option<usize>,
    /// The entry's `model_name`.
    pub model: Option<String>,
    /// The field, as `model_config.eos_to_cull` or `languages[2]`.
    pub field: Option<String>,
    /// The source line around the place, with secrets hidden.
    pub excerpt: Excerpt,
}

/// How many problems of one severity are kept of one file; further warnings and hints are counted.
///
/// A file with more is not of the kind that is fixed by reading on, and a report must not outgrow the file. With more
/// errors than this the rest of the file is not checked, and the report says so.
pub const KEPT: usize = 1000;

/// Words of a fault, written out only if it is kept.
pub(crate) trait Words {
    /// The words.
    fn text(self) -> String;
}

impl Words for String {
    fn text(self) -> String {
        self
    }
}

impl Words for &str {
    fn text(self) -> String {
        self.to_owned()
    }
}

impl Words for fmt::Arguments<'_> {
    fn text(self) -> String {
        self.to_string()
    }
}

/// A problem before its place is worked out.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: &'static Kind,
    pub(crate) span: Span,
    message: String,
    help: Option<String>,
    entry: Option<usize>,
    model: Option<String>,
    field: Option<String>,
    related: Option<usize>,
    /// Whether it is only counted, so that nobody reads its words.
    mute: bool,
    /// What fixes it, where there is only one way.
    pub(crate) remedy: Option<Remedy>,
}

impl Fault {
    const fn new(kind: &'static Kind, span: Span, message: String) -> Self {
        Self {
            kind,
            span,
            message,
            help: None,
            entry: None,
            model: None,
            field: None,
            related: None,
            mute: false,
            remedy: None,
        }
    }

    /// What fixes the fault without a doubt.
    pub(crate) fn remedy(&mut self, remedy: Option<Remedy>) -> &mut Self {
        self.remedy = remedy;
        self
    }

    /// Another place in the same text; its line and column replace `{place}` in the help.
    pub(crate) fn related(&mut self, offset: usize) -> &mut Self {
        self.related = Some(offset);
        self
    }

    /// The entry in which it lies.
    pub(crate) fn entry(&mut self, entry: usize, model: Option<&str>) -> &mut Self {
        if self.mute {
            return self;
        }
        self.entry = Some(entry);
        self.model = model.map(|model| cut(model.chars().take(NAME + 1).collect()));
        self
    }

    /// Takes out of the words of the fault what its excerpt hides too.
    fn hide_secrets(&mut self, text: &str, masks: &[Span]) {
        let from = masks.partition_point(|mask| mask.end <= self.span.start);
        let hidden: Vec<&str> = masks[from..]
            .iter()
            .take_while(|mask| mask.start < self.span.end)
            .map(|mask| mask::shown(&text[mask.start..mask.end]))
            .collect();
        let clean = |words: &mut String| {
            for secret in &hidden {
                *words = words.replace(secret, "***");
            }
            *words = mask::mask_text(words);
        };
        clean(&mut self.message);
        if *self.kind == NUMBER_FORM && !hidden.is_empty() {
            // It repeats the digits in another form.
            self.help = None;
        }
        self.help.iter_mut().chain(&mut self.model).chain(&mut self.field).for_each(clean);
    }

    pub(crate) fn help(&mut self, help: impl Words) -> &mut Self {
        if !self.mute {
            self.help = Some(help.text());
        }
        self
    }

    pub(crate) fn field(&mut self, field: impl Words) -> &mut Self {
        if !self.mute {
            self.field = Some(cut(field.text()));
        }
        self
    }
}

/// The faults of one file.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) list: Vec<Fault>,
    /// What no excerpt may show.
    masks: Vec<Span>,
    counts: [usize; 3],
    /// The last fault, where it is one too many; it may be wanted all the same.
    spill: Option<Box<Fault>>,
    /// Takes what is said about a fault that is only counted, or not to be reported.
    muted: Option<Box<Fault>>,
    /// Which faults are kept however many there are, and that the text is read to its end then.
    wanted: Option<fn(&Fault) -> bool>,
}

impl Faults {
    /// A list that keeps every fault that is wanted, for fixing has to know them all.
    pub(crate) fn with_all(wanted: fn(&Fault) -> bool) -> Self {
        Self { wanted: Some(wanted), ..Self::default() }
    }

    /// Notes a fault; help and field can be added to what is returned.
    pub(crate) fn at(&mut self, kind: &'static Kind, span: Span, message: impl Words) -> &mut Fault {
        self.settle();
        let is_spent = self.is_spent(kind);
        self.counts[kind.severity as usize] += 1;
        if is_spent && self.wanted.is_none() {
            return self.mute(kind, span);
        }
        let fault = Fault::new(kind, span, message.text());
        if is_spent {
            return self.spill.insert(Box::new(fault));
        }
        let at = self.list.len();
        self.list.push(fault);
        &mut self.list[at]
    }

    /// Whether so many faults of this severity are kept that one more is only counted.
    fn is_spent(&self, kind: &Kind) -> bool {
        self.counts[kind.severity as usize] >= KEPT
    }

    /// Counts a fault that would only be counted; whether it is one.
    pub(crate) fn tallies(&mut self, kind: &Kind) -> bool {
        let tallies = self.is_spent(kind) && self.wanted.is_none();
        self.counts[kind.severity as usize] += usize::from(tallies);
        tallies
    }

    /// A fault of which nobody reads the words.
    fn mute(&mut self, kind: &'static Kind, span: Span) -> &mut Fault {
        let fault = self.muted.get_or_insert_with(|| Box::new(Fault::new(kind, span, String::new())));
        fault.mute = true;
        fault
    }

    /// Keeps the last fault if it is wanted; only now all that belongs to it was added.
    fn settle(&mut self) {
        if let (Some(wanted), Some(fault)) = (self.wanted, self.spill.take()) {
            self.list.extend(Some(*fault).filter(wanted));
        }
    }

    /// The faults in the order in which they were noted.
    pub(crate) fn all(&mut self) -> &mut Vec<Fault> {
        self.settle();
        &mut self.list
    }

    /// Some of the faults, with what must not be shown.
    pub(crate) fn of(self, wanted: &[usize]) -> Self {
        let mut list: Vec<_> = self.list.into_iter().map(Some).collect();
        let list = wanted.iter().filter_map(|at| list[*at].take()).collect();
        Self { list, masks: self.masks, ..Self::default() }
    }

    /// Takes a fault that is not to be reported.
    pub(crate) fn silent(&mut self, kind: &'static Kind, span: Span) -> &mut Fault {
        self.mute(kind, span)
    }

    /// Hides a range of the text in every excerpt.
    pub(crate) fn hide(&mut self, span: Span) {
        self.masks.push(span);
    }

    /// Whether there are so many errors that reading on helps nobody.
    pub(crate) fn overfull(&self) -> bool {
        self.wanted.is_none() && self.counts[Severity::Error as usize] > KEPT
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.counts[Severity::Error as usize] > 0
    }

    /// Works out places and excerpts.
    pub(crate) fn into_report(mut self, source: &Arc<str>, text: &str) -> Report {
        let mut report = Report::with_counts(self.counts, self.overfull());
        if self.list.is_empty() {
            return report;
        }
        let lines = Lines::new(text);
        self.masks = merged(self.masks);
        self.list.sort_by_key(|fault| fault.span);
        for mut fault in self.list {
            fault.hide_secrets(text, &self.masks);
            let start = lines.place(fault.span.start);
            let end = lines.place(fault.span.end);
            let help = match (fault.help, fault.related.map(|offset| lines.place(offset))) {
                (Some(help), Some(place)) => {
                    Some(help.replace("{place}", &format!("{}:{}", place.line, place.column)))
                }
                (help, _) => help,
            };
            report.problems.push(Problem {
                kind: fault.kind,
                message: fault.message,
                help,
                source: Arc::clone(source),
                line: start.line,
                column: start.column,
                end_line: end.line,
                end_column: end.column,
                entry: fault.entry,
                model: fault.model,
                field: fault.field,
                excerpt: Excerpt::new(text, &lines, fault.span, &self.masks),
            });
        }
        report
    }
}

/// How many characters of a name or path a report keeps; a file can make them as long as itself.
const NAME: usize = 200;

fn cut(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(NAME) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// The same ranges in order and without overlap.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup_by(|next, before| {
        let overlap = next.start <= before.end;
        if overlap {
            before.end = before.end.max(next.end);
        }
        overlap
    });
    spans
}

impl fmt::Display for Problem {
    /// One line: `model_registry.json:3:7: error[R010]: a comma after the last item`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, source, line, column, message, .. } = self;
        write!(f, "{source}:{line}:{column}: {}[{}]: {message}", kind.severity.as_str(), kind.code)
    }
}
