//! Which episode scores are about, what became of one without scores, and why scores cannot be used.
//!
//! It does not know what is done with them.
use super::PLAYED;
use std::fmt;

/// Which episode a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode<'t> {
    /// The game.
    pub game: &'t str,
    /// The line-up of models.
    pub model: &'t str,
    /// The experiment.
    pub experiment: &'t str,
    /// The instance.
    pub episode: &'t str,
}

/// What became of the episodes of a game and a model that have no scores, and so cannot count.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// An exception ended them.
    pub error: u32,
    /// They reached a limit.
    pub limit: u32,
    /// They were not played to their end.
    pub missing: u32,
    /// They were played and not scored.
    pub unscored: u32,
}

impl Unknown {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.error + self.limit + self.missing + self.unscored
    }
}

/// What became of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has scores.
    Scored,
    /// An exception ended it.
    Error,
    /// It reached a limit.
    Limit,
    /// It was not played to its end.
    Missing,
    /// It was played and not scored.
    Unscored,
}

impl Fate {
    /// The fate of an episode without scores, by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            "limit" => Some(Self::Limit),
            "missing" => Some(Self::Missing),
            "unscored" => Some(Self::Unscored),
            _ => None,
        }
    }
}

/// Why the scores of an episode were not added; as text, it is to be read after the name of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The file has no scores that can be read.
    Unreadable(&'static str),
    /// The game computes the metric that is computed here.
    Played,
    /// A metric that is averaged has a text as its value.
    Text(String, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(what) => out.write_str(what),
            Self::Played => write!(out, "has the metric \"{PLAYED}\", which the evaluation computes itself"),
            Self::Text(metric, text) => write!(out, "has a text as its \"{metric}\": {text:?}"),
        }
    }
}
