//! JSON texts as Python sees them: reports on files of any form, and canonical forms.
use crate::errors::Report;
use crate::guard::guarded;
use clemcore::catalogue;
use clemcore::json::{self, Finding, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A key or an index.
#[derive(FromPyObject)]
pub(crate) enum PyStep {
    Key(String),
    Index(usize),
}

/// Code, path, message, help, and the path of another place.
type PyFinding = (String, Vec<PyStep>, String, Option<String>, Option<Vec<PyStep>>);

/// Reads a JSON text and reports its faults, and the findings at their places.
#[pyfunction]
#[pyo3(signature = (source, text, findings = Vec::new()))]
pub(crate) fn check_json(
    py: Python<'_>,
    source: &str,
    text: &[u8],
    findings: Vec<PyFinding>,
) -> PyResult<Report> {
    guarded(|| {
        let findings: PyResult<Vec<_>> = findings.into_iter().map(finding).collect();
        let findings = findings?;
        Ok(Report(py.detach(|| json::check(source, text, &findings))))
    })
}

fn finding((code, path, message, help, related): PyFinding) -> PyResult<Finding> {
    let Some(kind) = catalogue::find(&code) else {
        return Err(PyValueError::new_err(format!("there is no kind of problem {code:?}")));
    };
    Ok(Finding { kind, path: steps(path), message, help, related: related.map(steps) })
}

fn steps(path: Vec<PyStep>) -> Vec<Step> {
    let step = |step| match step {
        PyStep::Key(key) => Step::Key(key),
        PyStep::Index(index) => Step::Index(index),
    };
    path.into_iter().map(step).collect()
}

/// Texts up to this length are done before another thread would have taken the GIL and given it back.
const SHORT: usize = 1 << 16;

/// The canonical form of a JSON text; None where it is not JSON, or nested too deeply.
#[pyfunction]
pub(crate) fn canonical_json<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
    guarded(|| {
        let form =
            if text.len() <= SHORT { json::canonical(text) } else { py.detach(|| json::canonical(text)) };
        Ok(form.map(|form| PyBytes::new(py, &form)))
    })
}
