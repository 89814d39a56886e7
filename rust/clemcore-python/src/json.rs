//! JSON texts as Python sees them: reports on files of any form, and canonical forms.
use crate::errors::Report;
use crate::guard::guarded;
use clemcore::catalogue;
use clemcore::json::{self, Finding, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

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

/// How deep values may be nested that are written here; Python writes deeper ones.
const LEVELS: usize = 100;

/// A value as one line of JSON; None where it is more than dicts, lists, texts, numbers, truth values and None.
#[pyfunction]
pub(crate) fn json_line<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    guarded(|| {
        let mut out = Vec::with_capacity(1024);
        Ok(push(&mut out, value, LEVELS).map(|()| PyBytes::new(value.py(), &out)))
    })
}

/// Appends a value. Objects of a subclass may write themselves otherwise, so Python writes them.
fn push(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, levels: usize) -> Option<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        json::push_text(out, text.to_str().ok()?);
    } else if let Ok(dict) = value.cast_exact::<PyDict>() {
        let levels = levels.checked_sub(1)?;
        out.push(b'{');
        for (index, (name, item)) in dict.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            json::push_text(out, name.cast_exact::<PyString>().ok()?.to_str().ok()?);
            out.extend_from_slice(b": ");
            push(out, &item, levels)?;
        }
        out.push(b'}');
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        push_items(out, list.iter(), levels)?;
    } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        push_items(out, tuple.iter(), levels)?;
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(flag) = value.cast_exact::<PyBool>() {
        out.extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
    } else if let Ok(number) = value.cast_exact::<PyInt>() {
        let number: i64 = number.extract().ok()?;
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        let number = value.cast_exact::<PyFloat>().ok()?;
        json::push_number(out, number.value()).then_some(())?;
    }
    Some(())
}

fn push_items<'py>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    levels: usize,
) -> Option<()> {
    let levels = levels.checked_sub(1)?;
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push(out, &item, levels)?;
    }
    out.push(b']');
    Some(())
}

/// Whether a reader of JSON may fail at a text.
#[pyfunction]
pub(crate) fn is_hard_to_read(py: Python<'_>, text: &[u8], levels: usize, digits: usize) -> PyResult<bool> {
    guarded(|| {
        let look = || json::is_hard_to_read(text, levels, digits);
        Ok(if text.len() <= SHORT { look() } else { py.detach(look) })
    })
}
