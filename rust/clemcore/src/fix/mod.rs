//! Mends what can be mended without a doubt, and leaves every other byte of the file as it is.
//!
//! A fault that has only one possible meaning carries its remedy; the remedies are spliced into the text, and the text
//! is checked again until there is none left. Remarks, names, numbers that could mean two things: those are left to
//! the owner. A complaint that an entry allows is not mended either.
mod diff;
mod remedy;

use crate::catalogue::BYTE_ORDER_MARK;
use crate::problem::{Fault, Problem};
use crate::registry::examine;
use crate::report::Report;
use crate::schema::Backend;
use crate::text::Span;
pub(crate) use remedy::Remedy;
use remedy::syntax_remedy;
use std::collections::BTreeSet;

/// A text that was mended.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The text; the old one where nothing was to be mended.
    pub text: String,
    /// What was mended, with places in the text of the round in which it was.
    pub mended: Vec<Problem>,
    /// What is left.
    pub rest: Report,
    before: Option<String>,
}

/// The byte order mark, which `text` no longer has.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// How often a text is mended and checked again; each round mends all that lies apart.
const ROUNDS: usize = 40;

/// Mends a registry; `source` names the file in reports, `backends` are known besides clemcore's own.
///
/// ```
/// let fixed = clemcore::fix::fix("r.json", b"[{'model_name': 'm', 'backend': 'mock', 'open_weight': True,},]", None);
/// assert_eq!(fixed.text, r#"[{"model_name": "m", "backend": "mock", "open_weight": true}]"#);
/// assert_eq!(fixed.mended.len(), 8);
/// assert!(fixed.rest.problems.is_empty());
/// ```
#[must_use]
pub fn fix(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> Fixed {
    let (mut next, mut rest) = round(source, bytes, backends);
    let (mut text, mut mended) = (None, Vec::new());
    for _ in 0..ROUNDS {
        let Some((better, done)) = next else { break };
        (next, rest) = round(source, better.as_bytes(), backends);
        text = Some(better);
        mended.extend(done);
    }
    let old = String::from_utf8_lossy(bytes).into_owned();
    match text {
        Some(text) => Fixed { text, mended, rest, before: Some(old) },
        None => Fixed { text: old, mended, rest, before: None },
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

/// Where a fault is, and its code.
type Place = (Span, &'static str);

type Mended = (String, Vec<Problem>);

/// Mends all that lies apart; gives the report on the text before.
fn round(source: &str, bytes: &[u8], backends: Option<&[Backend]>) -> (Option<Mended>, Report) {
    examine(bytes, backends, |checked| {
        let text = checked.text;
        // What is no UTF-8 was replaced in `text`: writing that back would lose it.
        let had_mark = bytes.strip_prefix(MARK) == Some(text.as_bytes());
        let is_whole = had_mark || bytes == text.as_bytes();
        let mut remedies: Vec<(Span, String, usize)> = Vec::new();
        if is_whole {
            for (at, fault) in checked.faults.list.iter().enumerate() {
                remedies.extend(edit_of(fault, text).map(|(span, new)| (span, new, at)));
            }
        }
        remedies.sort_by_key(|(span, _, _)| *span);
        let (mended_text, used) = apply(text, &remedies);
        let mut places: Vec<Place> =
            checked.faults.list.iter().map(|fault| (fault.span, fault.kind.code)).collect();
        let mended_places: BTreeSet<Place> = used.iter().map(|at| places[*at]).collect();
        let report = checked.faults.into_report(&source.into(), text);
        if mended_places.is_empty() && !had_mark {
            return (None, report);
        }
        // The report has the faults in the order of their places.
        places.sort_by_key(|(span, _)| *span);
        let is_mended = |place: &Place| place.1 == BYTE_ORDER_MARK.code || mended_places.contains(place);
        let mended = places.iter().zip(&report.problems).filter(|(place, _)| is_mended(place));
        let mended = mended.map(|(_, problem)| problem.clone()).collect();
        (Some((mended_text, mended)), report)
    })
}

/// The range that mends a fault, and what is written there.
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
