//! The report as SARIF 2.1.0, which code hosts and editors read.
use super::Report;
use crate::catalogue::{self, Kind};
use crate::problem::{Problem, Severity};
use serde_json::{Value, json};

/// One run with the rules that were broken, and one result per problem.
pub(super) fn sarif(report: &Report) -> String {
    let broken = |kind: &&&Kind| report.problems.iter().any(|problem| problem.kind == **kind);
    let kinds: Vec<&Kind> = catalogue::ALL.iter().filter(broken).copied().collect();
    let results: Vec<Value> = report.problems.iter().map(|problem| result(problem, &kinds)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "clemcore-check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": kinds.iter().map(|kind| rule(kind)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

fn rule(kind: &Kind) -> Value {
    json!({
        "id": kind.code,
        "name": kind.slug,
        "shortDescription": {"text": kind.title},
        "fullDescription": {"text": kind.explanation},
        "defaultConfiguration": {"level": level(kind.severity)},
    })
}

fn result(problem: &Problem, kinds: &[&Kind]) -> Value {
    let text = match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.clone(),
    };
    json!({
        "ruleId": problem.kind.code,
        "ruleIndex": kinds.iter().position(|kind| *kind == problem.kind),
        "level": level(problem.kind.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&problem.source)},
            "region": {
                "startLine": problem.line,
                "startColumn": problem.column,
                "endLine": problem.end_line,
                "endColumn": problem.end_column,
            },
        }}],
    })
}

/// A path as a URI reference: what has a meaning there, or is none of its characters, is written in hexadecimal.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
