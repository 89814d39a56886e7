//! Tables of scores.
use crate::guard::guarded;
use clemcore::results::statistics::{self, Interval, Match, Settings, Strata};
use clemcore::results::{Episode, Evaluation, Fate, Options, Order, Place, Refusal, Table};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Game, model, experiment, episode.
type Names = (PyBackedStr, PyBackedStr, PyBackedStr, PyBackedStr);

/// Folder and name, and the state of its file.
type PlaceFields = (PyBackedStr, PyBackedStr, [i64; 4]);
type State = (i64, i64, i64, i64);
/// Folder, the number of the first episode, and the episodes: names of folders and states of files.
type Recalled = (String, usize, Vec<(String, State)>);

/// Where an episode is: the number of an earlier one, or its place.
#[derive(FromPyObject)]
enum Whereabouts {
    Known(usize),
    Read(PlaceFields),
}

fn place((folder, name, state): &PlaceFields) -> Place<'_> {
    Place { folder, name, state: *state }
}

fn unknown(number: usize) -> PyErr {
    PyIndexError::new_err(format!("no episode {number} is recalled"))
}

fn episode((game, model, experiment, episode): &Names) -> Episode<'_> {
    Episode { game, model, experiment, episode }
}

/// Scores of episodes, and the tables that they give.
#[pyclass(name = "Evaluation", frozen, module = "clemcore._core")]
pub(crate) struct PyEvaluation(Mutex<Evaluation>);

impl PyEvaluation {
    fn lock(&self) -> MutexGuard<'_, Evaluation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyEvaluation {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds the scores of episodes; gives the index of each that was not added, whether the game computes
    /// "Played" itself, and the reason.
    fn add(
        &self,
        py: Python<'_>,
        episodes: Vec<(Names, PyBackedBytes)>,
    ) -> PyResult<Vec<(usize, bool, String)>> {
        guarded(|| {
            Ok(py.detach(|| {
                let mut evaluation = self.lock();
                let added = episodes.iter().map(|(names, bytes)| evaluation.add(episode(names), bytes));
                let added = added.enumerate();
                let refused = added.filter_map(|(index, added)| Some((index, added.err()?)));
                refused.map(|(index, why)| (index, why == Refusal::Played, why.to_string())).collect()
            }))
        })
    }

    /// Takes the scores of an earlier evaluation of a folder; gives its episodes.
    fn recall(&self, py: Python<'_>, known: &[u8], origin: &str) -> PyResult<Vec<Recalled>> {
        guarded(|| {
            Ok(py.detach(|| {
                let mut evaluation = self.lock();
                evaluation.recall(known, origin);
                let parts = evaluation.recalled().into_iter().map(|part| {
                    let episodes = part.episodes.into_iter();
                    let episodes = episodes.map(|(name, state)| (name.to_owned(), state.into())).collect();
                    (part.folder.to_owned(), part.first, episodes)
                });
                parts.collect()
            }))
        })
    }

    /// Game, model, experiment and episode of an episode of the earlier evaluation, by number.
    fn recalled_names(&self, number: usize) -> PyResult<(String, String, String, String)> {
        guarded(|| {
            let evaluation = self.lock();
            let found = evaluation.recalled_episode(number).ok_or_else(|| unknown(number))?;
            let Episode { game, model, experiment, episode } = found;
            Ok((game.to_owned(), model.to_owned(), experiment.to_owned(), episode.to_owned()))
        })
    }

    /// Adds scores of the earlier evaluation, by number.
    fn add_recalled(&self, py: Python<'_>, numbers: Vec<usize>) -> PyResult<()> {
        guarded(|| {
            py.detach(|| {
                let mut evaluation = self.lock();
                numbers.into_iter().try_for_each(|number| {
                    let is_known = evaluation.add_recalled(number);
                    is_known.then_some(()).ok_or_else(|| unknown(number))
                })
            })
        })
    }

    /// The scores of the episodes that were added, for a later evaluation.
    fn ledger<'py>(
        &self,
        py: Python<'py>,
        origin: &str,
        places: Vec<Option<Whereabouts>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        guarded(|| {
            let bytes = py.detach(|| {
                let evaluation = self.lock();
                let places: Vec<Option<Place<'_>>> = places
                    .iter()
                    .map(|each| match each.as_ref()? {
                        Whereabouts::Known(number) => evaluation.recalled_place(*number),
                        Whereabouts::Read(fields) => Some(place(fields)),
                    })
                    .collect();
                evaluation.ledger(origin, &places)
            });
            Ok(PyBytes::new(py, &bytes))
        })
    }

    /// Adds rows: names, metric and value.
    fn add_rows(&self, rows: Vec<(Names, PyBackedStr, f64)>) -> PyResult<()> {
        guarded(|| {
            let mut evaluation = self.lock();
            for (names, metric, value) in &rows {
                evaluation.add_row(episode(names), metric, *value);
            }
            Ok(())
        })
    }

    /// Keeps the rows of an earlier raw.csv that will not be replaced.
    #[pyo3(signature = (text, model = None, game = None))]
    fn keep(&self, py: Python<'_>, text: &[u8], model: Option<&str>, game: Option<&str>) -> PyResult<()> {
        guarded(|| py.detach(|| self.lock().keep(text, model, game)).map_err(PyValueError::new_err))
    }

    /// Adds the rows "Played"; comes after all episodes.
    fn count_played(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| {
            py.detach(|| self.lock().count_played());
            Ok(())
        })
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    /// A part of raw.csv.
    fn raw_csv<'py>(&self, py: Python<'py>, start: usize, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        guarded(|| {
            let text = py.detach(|| self.lock().raw_csv(start, count));
            Ok(PyBytes::new(py, text.as_bytes()))
        })
    }

    /// Notes episodes that have no scores: names, and what became of them.
    fn note_unknown(&self, py: Python<'_>, episodes: Vec<(Names, PyBackedStr)>) -> PyResult<()> {
        guarded(|| {
            py.detach(|| {
                let mut evaluation = self.lock();
                for (names, fate) in &episodes {
                    let fate = Fate::named(fate).ok_or_else(|| format!("{fate:?} is not an outcome"))?;
                    evaluation.note_unknown(episode(names), fate);
                }
                Ok(())
            })
            .map_err(PyValueError::new_err::<String>)
        })
    }

    /// Sets the level of the intervals of a game and model.
    fn set_level(&self, game: &str, model: &str, level: f64) -> PyResult<()> {
        guarded(|| {
            self.lock().set_level(game, model, level);
            Ok(())
        })
    }

    /// The content of results.json.
    #[pyo3(signature = (*, level = 0.95, resamples = 10_000, seed = 0))]
    fn json(&self, py: Python<'_>, level: f64, resamples: usize, seed: u64) -> PyResult<String> {
        let settings = Settings { level, resamples, seed };
        guarded(|| Ok(py.detach(|| self.lock().json(&settings))))
    }

    /// Takes the intervals of an earlier evaluation; tells whether they can be used.
    fn remember(&self, py: Python<'_>, known: &[u8]) -> PyResult<bool> {
        guarded(|| Ok(py.detach(|| self.lock().remember(known))))
    }

    /// The intervals that `json` gave, for a later evaluation.
    fn remembered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        guarded(|| {
            let bytes = py.detach(|| self.lock().remembered());
            Ok(PyBytes::new(py, &bytes))
        })
    }

    /// All pairs of models on the instances that both played, as JSON.
    #[pyo3(signature = (*, level = 0.95, resamples = 10_000, seed = 0))]
    fn comparison(&self, py: Python<'_>, level: f64, resamples: usize, seed: u64) -> PyResult<String> {
        let settings = Settings { level, resamples, seed };
        guarded(|| Ok(py.detach(|| self.lock().comparison_json(&settings))))
    }

    /// The table of all models and games.
    #[pyo3(signature = (*, deviation = false, by_clemscore = false, ignore_missing = false))]
    fn table(
        &self,
        py: Python<'_>,
        deviation: bool,
        by_clemscore: bool,
        ignore_missing: bool,
    ) -> PyResult<PyTable> {
        guarded(|| {
            let order = if by_clemscore { Order::Clemscore } else { Order::Name };
            Ok(PyTable(py.detach(|| self.lock().table(Options { deviation, order, ignore_missing }))))
        })
    }
}

/// The table of results; what is not there is NaN.
#[pyclass(name = "ResultsTable", frozen, module = "clemcore._core")]
pub(crate) struct PyTable(Table);

#[pymethods]
impl PyTable {
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.0.columns.clone()
    }

    #[getter]
    fn models(&self) -> Vec<String> {
        self.0.models.clone()
    }

    #[getter]
    fn cells(&self) -> Vec<Vec<f64>> {
        self.0.cells.clone()
    }

    /// The content of results.csv.
    fn csv(&self) -> PyResult<String> {
        guarded(|| Ok(self.0.csv()))
    }

    /// The content of results.html.
    fn html(&self) -> PyResult<String> {
        guarded(|| Ok(self.0.html()))
    }
}

/// The interval of a mean: its ends and its method.
#[pyfunction]
#[pyo3(signature = (strata, *, range = None, level = 0.95, resamples = 10_000, seed = 0, name = ""))]
pub(crate) fn mean_interval(
    py: Python<'_>,
    strata: Strata,
    range: Option<[f64; 2]>,
    level: f64,
    resamples: usize,
    seed: u64,
    name: &str,
) -> PyResult<Option<(f64, f64, &'static str)>> {
    let settings = Settings { level, resamples, seed };
    guarded(|| Ok(py.detach(|| statistics::mean(&strata, range, &settings, name)).map(ends)))
}

/// The interval of a proportion: its ends and its method.
#[pyfunction]
#[pyo3(signature = (strata, *, level = 0.95))]
pub(crate) fn proportion_interval(
    py: Python<'_>,
    strata: Strata,
    level: f64,
) -> PyResult<Option<(f64, f64, &'static str)>> {
    guarded(|| Ok(py.detach(|| statistics::proportion(&strata, level)).map(ends)))
}

/// Strengths of models from matches: first, second, what the first one got, and the instance.
#[pyfunction]
#[pyo3(signature = (matches, count, *, level = 0.95))]
pub(crate) fn bradley_terry(
    py: Python<'_>,
    matches: Vec<(usize, usize, f64, usize)>,
    count: usize,
    level: f64,
) -> PyResult<Vec<(f64, f64, f64)>> {
    guarded(|| {
        py.detach(|| {
            let of = |(first, second, score, instance)| Match { first, second, score, instance };
            let matches: Vec<Match> = matches.into_iter().map(of).collect();
            let found = statistics::bradley_terry(&matches, count, level)?;
            Ok(found.into_iter().map(|each| (each.value, each.interval[0], each.interval[1])).collect())
        })
        .map_err(PyValueError::new_err::<&str>)
    })
}

fn ends(Interval { low, high, method, .. }: Interval) -> (f64, f64, &'static str) {
    (low, high, method.name())
}
