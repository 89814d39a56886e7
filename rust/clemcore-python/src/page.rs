//! Pages for people.
use crate::guard::guarded;
use clemcore::page::{Call, Line, SCRIPT, STYLE, Site, Transcript, plot_outcomes, plot_quality, site, view};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use std::collections::{BTreeMap, HashMap};

/// The transcript of an episode as HTML and as TeX.
///
/// `find_images` is asked only if messages name images.
#[pyfunction]
#[pyo3(signature = (interactions, find_images, calls = Vec::new()))]
pub(crate) fn transcript<'py>(
    py: Python<'py>,
    interactions: &[u8],
    find_images: &Bound<'py, PyAny>,
    calls: Vec<CallFields>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    guarded(|| {
        let render = |images: Option<HashMap<String, String>>| {
            let transcript = Transcript::read(interactions).map_err(PyValueError::new_err)?;
            let images = match images {
                Some(images) => images,
                None => match transcript.images() {
                    named if named.is_empty() => HashMap::new(),
                    named => return Ok(Rendered::Wants(named)),
                },
            };
            let html = transcript.html(&images, &calls_of(&calls)).map_err(PyRuntimeError::new_err)?;
            let tex = transcript.tex().map_err(PyRuntimeError::new_err)?;
            Ok::<_, PyErr>(Rendered::Pages(html, tex))
        };
        let mut rendered = py.detach(|| render(None))?;
        if let Rendered::Wants(named) = rendered {
            let images = find_images.call1((named,))?.extract()?;
            rendered = py.detach(|| render(Some(images)))?;
        }
        match rendered {
            Rendered::Pages(html, tex) => {
                Ok((PyBytes::new(py, html.as_bytes()), PyBytes::new(py, tex.as_bytes())))
            }
            Rendered::Wants(_) => Err(PyRuntimeError::new_err("images were asked for twice")),
        }
    })
}

/// The pages of an episode, or the images that they want.
enum Rendered {
    Wants(Vec<String>),
    Pages(String, String),
}

/// The transcript of an episode as HTML alone.
#[pyfunction]
pub(crate) fn transcript_html<'py>(
    py: Python<'py>,
    interactions: &[u8],
    images: HashMap<String, String>,
) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| {
        let html = py.detach(|| {
            let transcript = Transcript::read(interactions).map_err(PyValueError::new_err)?;
            transcript.html(&images, &[]).map_err(PyRuntimeError::new_err)
        })?;
        Ok(PyBytes::new(py, html.as_bytes()))
    })
}

/// The names of the images of an episode.
#[pyfunction]
pub(crate) fn transcript_images(py: Python<'_>, interactions: &[u8]) -> PyResult<Vec<String>> {
    guarded(|| {
        py.detach(|| Transcript::read(interactions).map(|transcript| transcript.images()))
            .map_err(PyValueError::new_err)
    })
}

/// Number, player, round, kind, attempt, text, record and readable record of a call.
type CallFields =
    (u32, PyBackedStr, u32, PyBackedStr, u32, Option<PyBackedStr>, PyBackedBytes, Option<PyBackedBytes>);

fn calls_of(fields: &[CallFields]) -> Vec<Call<'_>> {
    fields
        .iter()
        .map(|(number, player, round, kind, attempt, text, record, readable)| Call {
            number: *number,
            player,
            round: *round,
            kind,
            attempt: *attempt,
            text: text.as_deref(),
            record,
            readable: readable.as_deref(),
        })
        .collect()
}

/// Calls of models, tokens of prompts, tokens of answers, USD and seconds.
type Counts = (u32, u64, u64, f64, f64);

/// An episode as data for the page's script.
#[pyfunction]
pub(crate) fn episode_view<'py>(
    py: Python<'py>,
    interactions: &[u8],
    calls: Vec<CallFields>,
    images: BTreeMap<String, String>,
) -> PyResult<(Bound<'py, PyBytes>, Counts, Vec<String>, String)> {
    guarded(|| {
        let found = py.detach(|| {
            let calls = calls_of(&calls);
            view(interactions, &calls, &images).map_err(PyValueError::new_err)
        })?;
        let taken = found.taken;
        let counts = (taken.calls, taken.input_tokens, taken.output_tokens, taken.usd, taken.seconds);
        Ok((PyBytes::new(py, found.json.as_bytes()), counts, found.answers, found.last_event))
    })
}

/// The style sheet and the script of the page of results.
#[pyfunction]
pub(crate) fn page_files() -> (&'static str, &'static str) {
    (STYLE, SCRIPT)
}

/// The page of results.
#[pyfunction]
#[pyo3(signature = (title, start, hashes, parts = None))]
pub(crate) fn results_page<'py>(
    py: Python<'py>,
    title: &str,
    start: &str,
    hashes: (PyBackedStr, PyBackedStr),
    parts: Option<Vec<(String, String)>>,
) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| {
        let hashes = [&*hashes.0, &*hashes.1];
        let page = py
            .detach(|| site(&Site { title, start, parts: parts.as_deref(), hashes }))
            .map_err(PyRuntimeError::new_err)?;
        Ok(PyBytes::new(py, page.as_bytes()))
    })
}

/// Name, counts of outcomes, quality and its interval.
type LineFields = (PyBackedStr, [u32; 7], Option<f64>, Option<(f64, f64)>);

/// The plots of a game as SVG: outcomes and quality.
#[pyfunction]
pub(crate) fn game_plots(
    py: Python<'_>,
    lines: Vec<LineFields>,
    is_dark: bool,
) -> PyResult<(String, String)> {
    guarded(|| {
        py.detach(|| {
            let lines: Vec<Line<'_>> = lines
                .iter()
                .map(|(name, counts, quality, interval)| Line {
                    name,
                    counts: *counts,
                    quality: *quality,
                    interval: *interval,
                })
                .collect();
            let outcomes = plot_outcomes(&lines, is_dark).map_err(PyRuntimeError::new_err)?;
            Ok((outcomes, plot_quality(&lines, is_dark).map_err(PyRuntimeError::new_err)?))
        })
    })
}
