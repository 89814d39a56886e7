//! Fixes what can be fixed without a doubt, and leaves every other byte of the file as it is.
//!
//! A fault that has only one possible meaning carries its remedy; the remedies are spliced into the text, and the text
//! is checked again until there is none left. Remarks, names, numbers that could mean two things: those are left to
//! the owner. A complaint that an entry allows is not fixed either.
mod diff;
mod remedy;

use crate::catalogue::{BYTE_ORDER_MARK, MERGE_CONFLICT};
use crate::problem::{Fault, KEPT, Problem};
use crate::registry::{Manner, check, read};
use crate::report::Report;
use crate::schema::Backend;
use crate::text::Span;
pub(crate) use remedy::Remedy;
use remedy::syntax_remedy;

/// A text that was fixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The text; the old one where nothing was to be fixed.
    pub text: String,
    /// What was fixed, with places in the text of the round in which it was; at most [`KEPT`] of a round.
    pub problems: Vec<Problem>,
    /// How many were fixed.
    pub count: usize,
    /// What is left.
    pub rest: Report,
    before: Option<String>,
}

/// How often a text is fixed and checked again; each round fixes all that lies apart.
const ROUNDS: usize = 40;

/// Fixes a registry; `source` names the file in reports, `backends` are known besides clemcore's own.
///
/// ```
/// let fixed = clemcore::fix::fix("r.json", b"[{'model_name': 'm', 'backend': 'mock', 'open_weight': True,},]", None);
/// assert_eq!(fixed.text, r#"[{"model_name": "m", "backend": "mock", "open_weight": true}]"#);
/// assert_eq!(fixed.problems.len(), 8);
/// assert!(fixed.rest.problems.is_empty());
/// ```
#[must_use]
pub fn fix(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> Fixed {
    let (mut text, mut problems, mut count) = (None::<String>, Vec::new(), 0);
    for _ in 0..ROUNDS {
        let bytes = text.as_ref().map_or(bytes, String::as_bytes);
        let Some(round) = round(source, bytes, backends) else { break };
        text = Some(round.text);
        problems.extend(round.problems);
        count += round.count;
    }
    let rest = check(source, text.as_ref().map_or(bytes, String::as_bytes), backends);
    let old = String::from_utf8_lossy(bytes).into_owned();
    match text {
        Some(text) => Fixed { text, problems, count, rest, before: Some(old) },
        None => Fixed { text: old, problems, count, rest, before: None },
    }
}

impl Fixed {
    /// Whether the text is another one than before.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.before.is_some()
    }

    /// What changed, as a unified diff; empty where nothing did.
    #[must_use]
    pub fn diff(&self, source: &str) -> String {
        self.before.as_ref().map(|before| diff::unified(source, before, &self.text)).unwrap_or_default()
    }
}

/// A text after one round.
struct Round {
    text: String,
    problems: Vec<Problem>,
    count: usize,
}

/// Fixes all that lies apart; `None` where there is nothing to fix.
fn round(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> Option<Round> {
    // What is not UTF-8 was replaced in the text that is checked: writing that back would lose it.
    std::str::from_utf8(bytes).ok()?;
    // However many there are: what is fixed now need not be complained about later.
    let manner = Manner::thorough(backends).wanting(is_decisive);
    read(bytes, manner, |mut checked| {
        let text = checked.text;
        let faults = checked.faults.all();
        // Of a conflict, only one side is read, and the other one would stay as it is.
        if faults.iter().any(|fault| *fault.kind == MERGE_CONFLICT) {
            return None;
        }
        let mut remedies: Vec<(Span, String, usize)> = Vec::new();
        // After a quote that is missing, what is text and what is not can only be guessed.
        let out_of_step = faults.iter().filter(|fault| remedy::is_out_of_step(fault.kind, fault.span, text));
        let sure = out_of_step.map(|fault| fault.span.start).min().unwrap_or(usize::MAX);
        let is_sure = |fault: &Fault| !remedy::is_syntactic(fault.kind) || fault.span.start < sure;
        for (at, fault) in faults.iter().enumerate().filter(|(_, fault)| is_sure(fault)) {
            remedies.extend(edit_of(fault, text).map(|(span, new)| (span, new, at)));
        }
        remedies.sort_by_key(|(span, _, _)| *span);
        let (new, mut used) = apply(text, &remedies);
        // Reading takes the byte order mark away.
        used.extend(faults.iter().position(|fault| *fault.kind == BYTE_ORDER_MARK));
        if used.is_empty() {
            return None;
        }
        let count = used.len();
        used.truncate(KEPT);
        let problems = checked.faults.of(&used).into_report(&source.into(), text).problems;
        Some(Round { text: new, problems, count })
    })
}

/// Whether a fault decides about what is fixed: it may have a remedy, or forbid all others.
fn is_decisive(fault: &Fault) -> bool {
    fault.remedy.is_some() || remedy::is_syntactic(fault.kind) || *fault.kind == MERGE_CONFLICT
}

/// The range that fixes a fault, and what is written there.
fn edit_of(fault: &Fault, text: &str) -> Option<(Span, String)> {
    match &fault.remedy {
        Some(remedy) => remedy.edit(text),
        None => syntax_remedy(fault.kind, fault.span, text),
    }
}

/// The text with the edits in it, and which were put in; one that overlaps another waits for the next round.
fn apply(text: &str, edits: &[(Span, String, usize)]) -> (String, Vec<usize>) {
    let (mut new, mut used, mut end) = (String::with_capacity(text.len()), Vec::new(), 0);
    for (span, words, at) in edits {
        if span.start < end || (span.start == end && !used.is_empty() && span.start == span.end) {
            continue;
        }
        new.push_str(&text[end..span.start]);
        new.push_str(words);
        end = span.end;
        used.push(*at);
    }
    new.push_str(&text[end..]);
    (new, used)
}
