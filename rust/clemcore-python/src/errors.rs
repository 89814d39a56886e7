//! Problems and reports as Python sees them, and the one map from errors of the core to exceptions.
//!
//! The exceptions themselves are written in `clemcore/errors.py`.
use crate::custom_backend::{CustomBackend, custom_backends};
use crate::guard::guarded;
use clemcore::catalogue as kinds;
use clemcore::edit::Refused;
use clemcore::problem::{self, Severity};
use clemcore::report::{self, Format};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pyo3::import_exception!(clemcore.errors, RegistryError);

/// The attributes of a problem, and text, start and width of its excerpt.
type Parts<'py> = (Bound<'py, PyDict>, (String, usize, usize));

/// One thing that is wrong with a registry.
#[pyclass(frozen, eq, module = "clemcore._core")]
#[derive(Clone, PartialEq)]
pub(crate) struct Problem(pub(crate) problem::Problem);

#[pymethods]
impl Problem {
    #[getter]
    fn code(&self) -> &'static str {
        self.0.kind.code
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind.slug
    }

    #[getter]
    fn severity(&self) -> &'static str {
        self.0.kind.severity.as_str()
    }

    #[getter]
    fn stops_model(&self) -> bool {
        self.0.kind.stops_model()
    }

    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    #[getter]
    fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    #[getter]
    fn source(&self) -> &str {
        &self.0.source
    }

    #[getter]
    fn line(&self) -> usize {
        self.0.line
    }

    #[getter]
    fn column(&self) -> usize {
        self.0.column
    }

    #[getter]
    fn end_line(&self) -> usize {
        self.0.end_line
    }

    #[getter]
    fn end_column(&self) -> usize {
        self.0.end_column
    }

    #[getter]
    fn entry(&self) -> Option<usize> {
        self.0.entry
    }

    #[getter]
    fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    #[getter]
    fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let dict = PyDict::new(py);
            dict.set_item("code", self.code())?;
            dict.set_item("kind", self.kind())?;
            dict.set_item("severity", self.severity())?;
            dict.set_item("message", self.message())?;
            dict.set_item("help", self.help())?;
            dict.set_item("source", self.source())?;
            dict.set_item("line", self.line())?;
            dict.set_item("column", self.column())?;
            dict.set_item("end_line", self.end_line())?;
            dict.set_item("end_column", self.end_column())?;
            dict.set_item("entry", self.entry())?;
            dict.set_item("model", self.model())?;
            dict.set_item("field", self.field())?;
            Ok(dict)
        })
    }

    /// Pickles by its attributes and the excerpt, which Python does not see otherwise.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Parts<'py>)> {
        guarded(|| {
            let excerpt = &self.0.excerpt;
            let excerpt = (excerpt.text.clone(), excerpt.before, excerpt.width);
            Ok((py.get_type::<Self>().getattr("_from_parts")?, (self.to_dict(py)?, excerpt)))
        })
    }

    #[staticmethod]
    fn _from_parts(parts: &Bound<'_, PyDict>, excerpt: (String, usize, usize)) -> PyResult<Self> {
        guarded(|| {
            let part = |name| {
                parts.get_item(name)?.ok_or_else(|| PyValueError::new_err(format!("a problem has a {name}")))
            };
            let code: String = part("code")?.extract()?;
            let kind = kinds::find(&code)
                .ok_or_else(|| PyValueError::new_err(format!("there is no kind of problem {code}")))?;
            let source: String = part("source")?.extract()?;
            Ok(Self(problem::Problem {
                kind,
                message: part("message")?.extract()?,
                help: part("help")?.extract()?,
                source: source.into(),
                line: part("line")?.extract()?,
                column: part("column")?.extract()?,
                end_line: part("end_line")?.extract()?,
                end_column: part("end_column")?.extract()?,
                entry: part("entry")?.extract()?,
                model: part("model")?.extract()?,
                field: part("field")?.extract()?,
                excerpt: report::Excerpt { text: excerpt.0, before: excerpt.1, width: excerpt.2 },
            }))
        })
    }

    fn __str__(&self) -> PyResult<String> {
        guarded(|| Ok(self.0.to_string()))
    }

    fn __repr__(&self) -> PyResult<String> {
        guarded(|| Ok(format!("<Problem {}>", self.0)))
    }
}

/// All that was found in one or more files.
#[pyclass(frozen, module = "clemcore._core")]
pub(crate) struct Report(pub(crate) report::Report);

#[pymethods]
impl Report {
    #[getter]
    fn problems(&self) -> Vec<Problem> {
        problems(&self.0)
    }

    #[getter]
    fn errors(&self) -> usize {
        self.0.count(Severity::Error)
    }

    #[getter]
    fn warnings(&self) -> usize {
        self.0.count(Severity::Warning)
    }

    #[getter]
    fn hints(&self) -> usize {
        self.0.count(Severity::Hint)
    }

    #[pyo3(signature = (format = "human", color = false))]
    fn render(&self, py: Python<'_>, format: &str, color: bool) -> PyResult<String> {
        guarded(|| {
            let Some(known) = Format::from_name(format) else {
                let message = format!("format is one of {}, not {format:?}", Format::NAMES.join(", "));
                return Err(PyValueError::new_err(message));
            };
            Ok(py.detach(|| self.0.render(known, color)))
        })
    }

    fn joined(&self, other: &Self) -> PyResult<Self> {
        guarded(|| {
            Ok({
                let mut whole = self.0.clone();
                whole.extend(other.0.clone());
                Self(whole)
            })
        })
    }

    fn __repr__(&self) -> PyResult<String> {
        guarded(|| {
            Ok(format!(
                "<Report errors={} warnings={} hints={}>",
                self.errors(),
                self.warnings(),
                self.hints()
            ))
        })
    }
}

/// The text of a registry that was fixed.
#[pyclass(frozen, module = "clemcore._core")]
pub(crate) struct Fixed(clemcore::fix::Fixed);

#[pymethods]
impl Fixed {
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    #[getter]
    fn is_changed(&self) -> bool {
        self.0.is_changed()
    }

    #[getter]
    fn problems(&self) -> Vec<Problem> {
        self.0.problems.iter().cloned().map(Problem).collect()
    }

    #[getter]
    fn count(&self) -> usize {
        self.0.count
    }

    #[getter]
    fn rest(&self) -> Report {
        Report(self.0.rest.clone())
    }

    fn diff(&self, source: &str) -> PyResult<String> {
        guarded(|| Ok(self.0.diff(source)))
    }
}

/// Fixes what has only one meaning.
#[pyfunction]
#[pyo3(signature = (source, text, backends = None))]
pub(crate) fn fix(
    py: Python<'_>,
    source: &str,
    text: &[u8],
    backends: Option<Vec<CustomBackend>>,
) -> PyResult<Fixed> {
    guarded(|| {
        Ok({
            let backends = backends.map(custom_backends);
            Fixed(py.detach(|| clemcore::fix::fix(source, text, backends.as_deref())))
        })
    })
}

fn problems(report: &report::Report) -> Vec<Problem> {
    report.problems.iter().cloned().map(Problem).collect()
}

/// The exception for a registry that cannot be used: its text is the report of the errors.
pub(crate) fn registry_error(report: &report::Report) -> PyErr {
    RegistryError::new_err((report.errors_only().render(Format::Human, false), problems(report)))
}

/// The exception for an entry that cannot be put into a file.
pub(crate) fn edit_error(refused: Refused) -> PyErr {
    match refused {
        Refused::Broken(report) => registry_error(&report),
        Refused::NoSuchEntry { .. } => PyIndexError::new_err(refused.to_string()),
        Refused::NotJson(_) => PyTypeError::new_err(refused.to_string()),
    }
}

/// The page about a code such as `R010`, or a key such as `context_size`.
#[pyfunction]
pub(crate) fn explain(what: &str) -> PyResult<Option<String>> {
    guarded(|| Ok(kinds::explain(what).or_else(|| clemcore::schema::explain(what))))
}

/// The reference page of all kinds of problems, in Markdown.
#[pyfunction]
pub(crate) fn codes_page() -> PyResult<String> {
    guarded(|| Ok(kinds::page()))
}

/// Every kind of problem there is.
#[pyfunction]
pub(crate) fn catalogue(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    guarded(|| {
        let row = |kind: &&'static kinds::Kind| {
            let dict = PyDict::new(py);
            dict.set_item("code", kind.code)?;
            dict.set_item("kind", kind.slug)?;
            dict.set_item("title", kind.title)?;
            dict.set_item("severity", kind.severity.as_str())?;
            dict.set_item("explanation", kind.explanation)?;
            dict.set_item("bad", kind.bad)?;
            dict.set_item("good", kind.good)?;
            Ok(dict)
        };
        kinds::ALL.iter().map(row).collect()
    })
}
