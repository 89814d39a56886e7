//! From the scores of episodes to the tables that people compare: rows, averages and files of 3.7.2.
//!
//! ```text
//! scores.json → scores ─┐
//!  earlier ones ─ ledger ┤
//!                       ├─ rows ─ raw.csv
//! raw.csv ──── csv ─────┘    └─ table (mean) ─ results.csv, results.html
//! ```
//! It does not know where results are: it gets bytes and gives bytes. Numbers, their order and their text are those
//! of 3.7.2, which computed them with pandas.
//!
//! ```
//! use clemcore::results::{Evaluation, Episode, Options};
//! let mut evaluation = Evaluation::default();
//! let episode = Episode { game: "taboo", model: "mock", experiment: "high", episode: "instance_00000" };
//! evaluation.add(episode, br#"{"episode scores": {"Aborted": 0, "Main Score": 50}}"#).unwrap();
//! evaluation.count_played();
//! let table = evaluation.table(Options::default());
//! assert_eq!(table.columns[0], "-, clemscore");
//! assert_eq!(table.models, ["mock"]);
//! assert_eq!(table.cells[0][0], 50.0);
//! ```
mod csv;
mod episodes;
mod html;
mod ledger;
mod ledger_file;
mod mean;
mod names;
mod rows;
mod scores;
pub mod statistics;
mod summary;
mod table;
mod value;

pub use episodes::{Episode, Fate, Refusal, Unknown};
pub use ledger::{Place, Recalled, State};
pub use rows::Evaluation;
pub use table::{Options, Order, Table};

/// The metric that says whether an episode ended by a rule of form (1) or not (0).
pub const ABORTED: &str = "Aborted";
/// The metric that is computed here: 1 - Aborted.
pub const PLAYED: &str = "Played";
/// The metric that says whether an episode was played to its end and lost (1).
pub const LOSE: &str = "Lose";
/// The metric that says whether an episode was played to its end and won (1).
pub const SUCCESS: &str = "Success";
/// The metric that is averaged: how well an episode was played, from 0 to 100.
pub const MAIN_SCORE: &str = "Main Score";
