//! Tables of scores.
use crate::guard::guarded;
use clemcore::results::{Episode, Evaluation, Options, Order, Refusal, Table, Unknown};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Game, model, experiment, episode.
type Names = (PyBackedStr, PyBackedStr, PyBackedStr, PyBackedStr);

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

    /// Notes the episodes of a game and a model that have no scores.
    #[pyo3(signature = (game, model, *, error = 0, limit = 0, missing = 0, unscored = 0))]
    fn note_unknown(
        &self,
        game: &str,
        model: &str,
        error: u32,
        limit: u32,
        missing: u32,
        unscored: u32,
    ) -> PyResult<()> {
        guarded(|| {
            self.lock().note_unknown(game, model, Unknown { error, limit, missing, unscored });
            Ok(())
        })
    }

    /// The content of results.json.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| Ok(py.detach(|| self.lock().json())))
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
