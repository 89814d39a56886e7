//! Pages for people.
use crate::guard::guarded;
use clemcore::page::{Transcript, images};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;

/// The transcript of an episode as HTML and as TeX.
#[pyfunction]
pub(crate) fn transcript<'py>(
    py: Python<'py>,
    interactions: &[u8],
    images: HashMap<String, String>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    guarded(|| {
        let (html, tex) = py.detach(|| {
            let transcript = Transcript::read(interactions).map_err(PyValueError::new_err)?;
            let html = transcript.html(&images).map_err(PyRuntimeError::new_err)?;
            let tex = transcript.tex().map_err(PyRuntimeError::new_err)?;
            Ok::<_, PyErr>((html, tex))
        })?;
        Ok((PyBytes::new(py, html.as_bytes()), PyBytes::new(py, tex.as_bytes())))
    })
}

/// The names of the images of an episode.
#[pyfunction]
pub(crate) fn transcript_images(py: Python<'_>, interactions: &[u8]) -> PyResult<Vec<String>> {
    guarded(|| py.detach(|| images(interactions)).map_err(PyValueError::new_err))
}
