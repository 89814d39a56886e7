//! Reports on JSON files of any form: the faults of the text, and what others found in its value.
//!
//! Others know what a file must say, and name a place by its path. Where that place is in the text is found out here.
use super::{Kind, Node, parse};
use crate::catalogue as kind;
use crate::problem::Faults;
use crate::report::Report;
use crate::text::{Span, decode};
use std::fmt::Write as _;

/// One step from a value to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an item of a list, from 0.
    Index(usize),
}

/// What is wrong with a value of the file.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The row of the catalogue.
    pub kind: &'static kind::Kind,
    /// Where the value is.
    pub path: Vec<Step>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do; `{place}` stands for the place of `related`.
    pub help: Option<String>,
    /// Another place that belongs to it.
    pub related: Option<Vec<Step>>,
}

/// Reads a JSON text and reports its faults, and the findings at their places; `source` is its name in the report.
///
/// A path that leads to nothing stands for the last value on it. Findings are left out where the text has errors,
/// because they are not about this text then.
///
/// ```
/// use clemcore::{catalogue, json::{self, Finding, Step}};
/// let path = vec![Step::Key("players".into())];
/// let finding = Finding { kind: &catalogue::GAME_FIELD, path, message: "no".into(), help: None, related: None };
/// let report = json::check("clemgame.json", b"{\"players\": 0}", &[finding]);
/// assert_eq!((report.problems[0].line, report.problems[0].column), (1, 13));
/// ```
#[must_use]
pub fn check(source: &str, bytes: &[u8], findings: &[Finding]) -> Report {
    let mut faults = Faults::default();
    let decoded = decode::decode(bytes, &mut faults);
    let text = decoded.as_deref().unwrap_or_default();
    let root = decoded.as_deref().and_then(|text| parse(text, &mut faults));
    for fault in faults.all().iter_mut().filter(|fault| *fault.kind == kind::EMPTY_FILE) {
        fault.help("it may have been cut off while it was written; write it again");
    }
    if let (Some(root), false) = (&root, faults.has_errors()) {
        for finding in findings {
            // An unknown key is wrong by its name, everything else by its value.
            let by_key = *finding.kind == kind::UNKNOWN_GAME_FIELD;
            let fault = faults.at(finding.kind, span(root, &finding.path, by_key), finding.message.as_str());
            if let Some(help) = &finding.help {
                fault.help(help.as_str());
            }
            if let Some(related) = &finding.related {
                fault.related(span(root, related, false).start);
            }
            if !finding.path.is_empty() {
                fault.field(written(&finding.path));
            }
        }
    }
    faults.into_report(&source.into(), text)
}

/// The place of a value; of a list or an object, its first bracket.
fn span(root: &Node<'_>, path: &[Step], by_key: bool) -> Span {
    let (mut node, mut span) = (root, whole(root));
    for step in path {
        let next = match (step, &node.kind) {
            (Step::Key(key), _) => node.get(key).map(|member| (&member.value, member.key.span)),
            (Step::Index(index), Kind::List(items)) => items.get(*index).map(|item| (item, whole(item))),
            (Step::Index(_), _) => None,
        };
        let Some((inner, key)) = next else { break };
        node = inner;
        span = if by_key { key } else { whole(inner) };
    }
    span
}

fn whole(node: &Node<'_>) -> Span {
    match node.kind {
        Kind::List(_) | Kind::Object(_) => Span::new(node.span.start, node.span.start + 1),
        _ => node.span,
    }
}

/// `experiments[0].name`.
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Key(key) if text.is_empty() => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
            Step::Index(index) => write!(text, "[{index}]"),
        };
    }
    text
}
