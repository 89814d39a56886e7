//! JSON texts as Python sees them: reports on files of any form, and canonical forms.
use crate::errors::Report;
use crate::guard::guarded;
use clemcore::catalogue;
use clemcore::json::{self, Finding, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

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

/// A value as one line of JSON; None where it is more than dicts, lists, texts, numbers, truth values and None. Bytes
/// of the class `text` are JSON already.
#[pyfunction]
#[pyo3(signature = (value, text = None))]
pub(crate) fn json_line<'py>(
    value: &Bound<'py, PyAny>,
    text: Option<Bound<'py, PyType>>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    written(value, false, text)
}

/// A value as JSON with each member on a line of its own, indented by two; None as for [`json_line`].
#[pyfunction]
pub(crate) fn json_indented<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    written(value, true, None)
}

fn written<'py>(
    value: &Bound<'py, PyAny>,
    is_indented: bool,
    text: Option<Bound<'py, PyType>>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    guarded(|| {
        let mut writer = Writer { out: Vec::with_capacity(1024), is_indented, text };
        Ok(writer.push(value, 0).map(|()| PyBytes::new(value.py(), &writer.out)))
    })
}

/// Writes values. Objects of a subclass may write themselves otherwise, so Python writes them.
struct Writer<'py> {
    out: Vec<u8>,
    is_indented: bool,
    /// The class of bytes that are JSON already.
    text: Option<Bound<'py, PyType>>,
}

impl Writer<'_> {
    /// Appends a value that is within so many others.
    fn push(&mut self, value: &Bound<'_, PyAny>, level: usize) -> Option<()> {
        if let Ok(text) = value.cast_exact::<PyString>() {
            json::push_text(&mut self.out, text.to_str().ok()?);
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.out.push(b'{');
            for (index, (name, item)) in dict.iter().enumerate() {
                self.next(index, level)?;
                self.push_name(&name)?;
                self.out.extend_from_slice(b": ");
                self.push(&item, level + 1)?;
            }
            self.end(dict.is_empty(), level, b'}');
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.push_items(list.iter(), level)?;
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.push_items(tuple.iter(), level)?;
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(flag) = value.cast_exact::<PyBool>() {
            self.out.extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
        } else if let Ok(number) = value.cast_exact::<PyInt>() {
            let number: i64 = number.extract().ok()?;
            self.out.extend_from_slice(number.to_string().as_bytes());
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            json::push_number(&mut self.out, number.value()).then_some(())?;
        } else {
            let is_written = value.is_instance(self.text.as_ref()?).ok()?;
            self.out.extend_from_slice(value.cast::<PyBytes>().ok().filter(|_| is_written)?.as_bytes());
        }
        Some(())
    }

    fn push_items<'py>(
        &mut self,
        items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
        level: usize,
    ) -> Option<()> {
        let is_empty = items.len() == 0;
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            self.next(index, level)?;
            self.push(&item, level + 1)?;
        }
        self.end(is_empty, level, b']');
        Some(())
    }

    /// Appends a name. Files have whole numbers as names, such as those of rounds.
    fn push_name(&mut self, name: &Bound<'_, PyAny>) -> Option<()> {
        if self.is_indented
            && let Ok(number) = name.cast_exact::<PyInt>()
        {
            let number: i64 = number.extract().ok()?;
            self.out.extend_from_slice(format!("\"{number}\"").as_bytes());
            return Some(());
        }
        json::push_text(&mut self.out, name.cast_exact::<PyString>().ok()?.to_str().ok()?);
        Some(())
    }

    /// Appends what stands before a member.
    fn next(&mut self, index: usize, level: usize) -> Option<()> {
        if level >= LEVELS {
            return None;
        }
        if self.is_indented {
            self.out.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
            self.indent(level + 1);
        } else if index > 0 {
            self.out.extend_from_slice(b", ");
        }
        Some(())
    }

    fn end(&mut self, is_empty: bool, level: usize, mark: u8) {
        if self.is_indented && !is_empty {
            self.out.push(b'\n');
            self.indent(level);
        }
        self.out.push(mark);
    }

    fn indent(&mut self, level: usize) {
        self.out.resize(self.out.len() + 2 * level, b' ');
    }
}

/// Whether a reader of JSON may fail at a text.
#[pyfunction]
pub(crate) fn is_hard_to_read(py: Python<'_>, text: &[u8], levels: usize, digits: usize) -> PyResult<bool> {
    guarded(|| {
        let look = || json::is_hard_to_read(text, levels, digits);
        Ok(if text.len() <= SHORT { look() } else { py.detach(look) })
    })
}

/// How many bytes two texts have in common, from a place in each on.
#[pyfunction]
pub(crate) fn common_length(left: &[u8], at: usize, right: &[u8], at_right: usize) -> PyResult<usize> {
    guarded(|| {
        let (left, right) = (left.get(at..), right.get(at_right..));
        Ok(json::common_length(left.unwrap_or_default(), right.unwrap_or_default()))
    })
}

/// The places of the parts of a list or an object in a JSON text, as 64-bit numbers: there may be many.
#[pyfunction]
pub(crate) fn json_parts<'py>(py: Python<'py>, text: &[u8], at: usize) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| {
        let places = py.detach(|| json::parts(text, at));
        let bytes: Vec<u8> = places.into_iter().flat_map(|place| (place as u64).to_ne_bytes()).collect();
        Ok(PyBytes::new(py, &bytes))
    })
}
