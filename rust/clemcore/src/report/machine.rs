//! The report for programs (JSON) and for CI (annotations).
use super::Report;
use crate::problem::{Problem, Severity};
use serde_json::{Value, json};

/// One object: counts and the list of problems.
pub(super) fn json(report: &Report) -> String {
    let problems: Vec<Value> = report.problems.iter().map(problem_json).collect();
    let document = json!({
        "version": 1,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "hints": report.count(Severity::Hint),
        "omitted": report.omitted(),
        "complete": !report.is_stopped(),
        "problems": problems,
    });
    format!("{document:#}\n")
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "code": problem.kind.code,
        "kind": problem.kind.slug,
        "severity": problem.kind.severity.as_str(),
        "message": problem.message,
        "help": problem.help,
        "source": &*problem.source,
        "line": problem.line,
        "column": problem.column,
        "end_line": problem.end_line,
        "end_column": problem.end_column,
        "entry": problem.entry,
        "model": problem.model,
        "field": problem.field,
    })
}

/// One `::error …` line per problem.
pub(super) fn github(report: &Report) -> String {
    report.problems.iter().map(annotation).collect()
}

fn annotation(problem: &Problem) -> String {
    let level = match problem.kind.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "notice",
    };
    let text = match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.clone(),
    };
    // GitHub refuses columns for an annotation of several lines.
    let columns = if problem.line == problem.end_line {
        format!(",col={},endColumn={}", problem.column, problem.end_column)
    } else {
        String::new()
    };
    format!(
        "::{level} file={},line={},endLine={}{columns},title={}::{}\n",
        escape_property(&problem.source),
        problem.line,
        problem.end_line,
        escape_property(&format!("{} {}", problem.kind.code, problem.kind.title)),
        escape_data(&text),
    )
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
