//! Reports: the problems of one or more files, for people, for programs and for CI.
mod excerpt;
mod human;
mod machine;
mod sarif;
mod visible;

use crate::problem::{Problem, Severity};
pub use excerpt::Excerpt;
pub(crate) use visible::is_hidden;
pub use visible::visible_lines;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// In the manner of a compiler, with the source line and the place underlined.
    Human,
    /// One JSON object.
    Json,
    /// Annotations of GitHub Actions.
    Github,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

impl Format {
    /// The names that [`Format::from_name`] knows.
    pub const NAMES: [&'static str; 4] = ["human", "json", "github", "sarif"];

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "human" => Some(Self::Human),
            "json" => Some(Self::Json),
            "github" => Some(Self::Github),
            "sarif" => Some(Self::Sarif),
            _ => None,
        }
    }
}

/// All that was found in one or more files, in the order of the files and places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The problems; at most [`crate::problem::KEPT`] of a severity per file.
    pub problems: Vec<Problem>,
    counts: [usize; 3],
    stopped: bool,
}

impl Report {
    pub(crate) fn with_counts(counts: [usize; 3], stopped: bool) -> Self {
        Self { problems: Vec::new(), counts, stopped }
    }

    /// Whether a file has so many errors that the rest of it was not checked.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How many problems of this severity were found, also those that are not kept.
    #[must_use]
    pub const fn count(&self, severity: Severity) -> usize {
        self.counts[severity as usize]
    }

    /// Whether the files can be used.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// How many problems were counted but not kept.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.counts.iter().sum::<usize>() - self.problems.len()
    }

    /// The same report, showing its errors only; the others are still counted.
    #[must_use]
    pub fn errors_only(&self) -> Self {
        let is_error = |problem: &&Problem| problem.kind.severity == Severity::Error;
        Self { problems: self.problems.iter().filter(is_error).cloned().collect(), ..*self }
    }

    /// Adds the problems of another file.
    pub fn extend(&mut self, other: Self) {
        self.problems.extend(other.problems);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.stopped |= other.stopped;
    }

    /// Writes the report; `color` matters to [`Format::Human`] only.
    #[must_use]
    pub fn render(&self, format: Format, color: bool) -> String {
        match format {
            Format::Human => human::render(self, color),
            Format::Json => machine::json(self),
            Format::Github => machine::github(self),
            Format::Sarif => sarif::sarif(self),
        }
    }
}
