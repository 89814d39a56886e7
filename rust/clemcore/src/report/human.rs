//! The report for people, in the manner of a compiler.
use super::Report;
use super::visible::visible;
use crate::problem::{KEPT, Problem, Severity};
use std::fmt::{self, Write as _};

/// Writes every problem and a summary line.
pub(super) fn render(report: &Report, color: bool) -> String {
    let mut out = String::new();
    let paint = Paint { color };
    for problem in &report.problems {
        // Writing to a String cannot fail.
        let _ = write_problem(&mut out, problem, paint);
        out.push('\n');
    }
    if report.omitted() > 0 {
        let _ = writeln!(out, "… and {} more in these files, not shown", report.omitted());
        if report.is_stopped() {
            let _ = writeln!(out, "After {KEPT} errors, the rest of a file is not checked.");
        }
        out.push('\n');
    }
    out.push_str(&summary(report));
    out.push('\n');
    out
}

/// `2 errors, 1 warning`, `at least 1001 errors`, or `no problems`.
fn summary(report: &Report) -> String {
    let least = if report.is_stopped() { "at least " } else { "" };
    let parts: Vec<_> = [Severity::Error, Severity::Warning, Severity::Hint]
        .into_iter()
        .filter_map(|severity| match report.count(severity) {
            0 => None,
            1 => Some(format!("1 {}", severity.as_str())),
            many => Some(format!("{many} {}s", severity.as_str())),
        })
        .collect();
    if parts.is_empty() { "no problems".to_owned() } else { format!("{least}{}", parts.join(", ")) }
}

fn write_problem(out: &mut String, problem: &Problem, paint: Paint) -> fmt::Result {
    let severity = problem.kind.severity;
    let head = format!("{}[{}]", severity.as_str(), problem.kind.code);
    writeln!(out, "{}: {}", paint.severity(severity, &head), paint.bold(&visible(&problem.message)))?;

    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = paint.dim("|");
    writeln!(
        out,
        "{margin}{} {}:{}:{}",
        paint.dim("-->"),
        visible(&problem.source),
        problem.line,
        problem.column
    )?;
    let excerpt = &problem.excerpt;
    writeln!(out, "{margin} {bar}")?;
    writeln!(out, "{} {bar} {}", paint.dim(&number), excerpt.text)?;
    let mark = paint.severity(severity, &"^".repeat(excerpt.width));
    writeln!(out, "{margin} {bar} {}{mark}", " ".repeat(excerpt.before))?;
    if let Some(place) = entry_and_field(problem) {
        writeln!(out, "{margin} {} {}", paint.dim("= in:"), visible(&place))?;
    }
    if let Some(help) = &problem.help {
        writeln!(out, "{margin} {} {}", paint.dim("= help:"), visible(help))?;
    }
    Ok(())
}

/// `entry 3 "gpt-4", field model_config.eos_to_cull`.
fn entry_and_field(problem: &Problem) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(entry) = problem.entry {
        let model = problem.model.as_ref().map(|model| format!(" \"{model}\"")).unwrap_or_default();
        parts.push(format!("entry {entry}{model}"));
    }
    if let Some(field) = &problem.field {
        parts.push(format!("field {field}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Colours of a terminal, where they are wanted.
#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Hint => "1;36",
        };
        self.wrap(code, text)
    }

    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.wrap("1;34", text)
    }
}
