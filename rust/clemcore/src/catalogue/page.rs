//! The catalogue for people: the page of one kind, and the reference page of all.
use super::{ALL, Kind, find};
use std::fmt::Write as _;

const HEAD: &str = "\
# What can be wrong with a model registry

This page is made by `clem registry explain --format markdown > docs/registry-codes.md`; change the tables in
`rust/clemcore/src/catalogue/`. `clem registry explain R010` shows one kind, `clem registry check` finds them
([registry-check.md](registry-check.md)). An error stops a registry from loading, a warning or a hint does not; these can be
allowed in an entry by their code.
";

/// The reference page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| code | severity | kind | title |\n|---|---|---|---|\n");
    // Writing to a String cannot fail.
    for kind in ALL {
        let Kind { code, slug, title, .. } = kind;
        let _ =
            writeln!(page, "| [{code}](#{}) | {} | {slug} | {title} |", anchor(kind), kind.severity.as_str());
    }
    for kind in ALL {
        let Kind { title, explanation, bad, good, .. } = kind;
        let _ = write!(
            page,
            "\n## {} {}\n\n{}: {title}. {explanation}\n\nWrong:\n\n{}\nRight:\n\n{}",
            kind.code,
            kind.slug,
            capital(kind.severity.as_str()),
            fenced(bad),
            fenced(good)
        );
    }
    page
}

/// The explanation of a code, as a page of plain text.
#[must_use]
pub fn explain(code: &str) -> Option<String> {
    find(code).map(|kind| {
        let indent = |text: &str| text.lines().fold(String::new(), |page, line| page + "    " + line + "\n");
        format!(
            "{} ({}, {}): {}\n\n{}\n\nWrong:\n\n{}\nRight:\n\n{}",
            kind.code,
            kind.slug,
            kind.severity.as_str(),
            kind.title,
            kind.explanation,
            indent(kind.bad),
            indent(kind.good),
        )
    })
}

/// The name of a heading, as code hosts make it.
fn anchor(kind: &Kind) -> String {
    format!("{}-{}", kind.code.to_lowercase(), kind.slug)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A text as a block of code; wrong JSON is not a `json`, which readers would mark as broken.
fn fenced(text: &str) -> String {
    // What cannot be seen is written out.
    let shown = match text {
        "" => "(an empty file)".to_owned(),
        text => text.replace('\u{FEFF}', "\\uFEFF"),
    };
    format!("```text\n{}\n```\n", shown.trim_end_matches('\n'))
}
