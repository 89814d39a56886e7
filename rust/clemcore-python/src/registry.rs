//! The registry as Python sees it.
use crate::convert::{self, Objects, PythonEq};
use crate::custom_backend::{CustomBackend, custom_backends};
use crate::errors::{self, Problem, Report};
use crate::explain;
use crate::guard::guarded;
use clemcore::edit::{self, Position};
use clemcore::schema::Denied;
use clemcore::{patch, registry as core, unify as rule};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;
use std::fmt::Write as _;
use std::sync::Arc;

/// Entries in the order in which they are tried.
#[pyclass(frozen, module = "clemcore._core")]
pub(crate) struct Registry {
    core: core::Registry,
    /// What entries hold and JSON cannot.
    objects: Vec<Py<PyAny>>,
}

#[pymethods]
impl Registry {
    #[staticmethod]
    #[pyo3(signature = (layers, backends = None))]
    fn load(
        py: Python<'_>,
        layers: Vec<(String, Option<PyBackedBytes>)>,
        backends: Option<Vec<CustomBackend>>,
    ) -> PyResult<Self> {
        guarded(|| {
            // The registry holds on to Python's bytes; nobody can change them.
            let text = |bytes| match bytes {
                Some(bytes) => core::Text::Shared(Arc::<PyBackedBytes>::new(bytes)),
                None => core::Text::Packaged,
            };
            let (sources, bytes): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
            let texts = bytes.into_iter().map(text);
            let layers: Vec<_> = sources.iter().map(String::as_str).zip(texts).collect();
            let backends = backends.map(custom_backends);
            let core = py
                .detach(|| core::Registry::load_texts(layers, backends.as_deref()))
                .map_err(|report| errors::registry_error(&report))?;
            Ok(Self { core, objects: Vec::new() })
        })
    }

    #[staticmethod]
    fn from_specs(specs: Vec<Bound<'_, PyDict>>) -> PyResult<Self> {
        guarded(|| {
            let mut objects = Objects::default();
            let specs: PyResult<Vec<_>> =
                specs.iter().map(|spec| convert::to_dict(spec, &mut objects)).collect();
            Ok(Self { core: core::Registry::from_specs(specs?), objects: objects.into_own() })
        })
    }

    fn __len__(&self) -> PyResult<usize> {
        guarded(|| Ok(self.core.len()))
    }

    fn entry<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let dict = self.core.entry(index).ok_or_else(|| self.no_entry(index))?;
            convert::from_dict(py, &dict, &Objects::over(&self.objects))
        })
    }

    fn location(&self, index: usize) -> PyResult<(String, usize)> {
        guarded(|| self.core.location(index).ok_or_else(|| self.no_entry(index)))
    }

    fn names(&self) -> PyResult<Vec<String>> {
        guarded(|| Ok(self.core.names()))
    }

    fn resolve<'py>(
        &self,
        py: Python<'py>,
        selector: &Bound<'py, PyDict>,
    ) -> PyResult<Option<(usize, Bound<'py, PyDict>)>> {
        guarded(|| {
            let mut objects = Objects::over(&self.objects);
            let selector = convert::to_dict(selector, &mut objects)?;
            let equal = PythonEq::new(&objects);
            let found = py.detach(|| self.core.resolve_with(&selector, &equal));
            equal
                .finish(found)?
                .map(|(index, merged)| Ok((index, convert::from_dict(py, &merged, &objects)?)))
                .transpose()
        })
    }

    fn select<'py>(
        &self,
        py: Python<'py>,
        selector: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Selection<'py>>> {
        guarded(|| {
            let mut objects = Objects::over(&self.objects);
            let selector = convert::to_dict(selector, &mut objects)?;
            let equal = PythonEq::new(&objects);
            let selected = py.detach(|| self.core.select(&selector, &equal));
            let Some(selected) = equal.finish(selected)? else { return Ok(None) };
            let spec = convert::from_dict(py, &selected.spec, &objects)?;
            Ok(Some((selected.entry, selected.by.as_str(), spec, additions(selected.added))))
        })
    }

    fn named_by<'py>(&self, py: Python<'py>, selector: &Bound<'py, PyDict>) -> PyResult<Vec<usize>> {
        guarded(|| {
            let selector = convert::to_dict(selector, &mut Objects::over(&self.objects))?;
            Ok(py.detach(|| self.core.named_by(&selector).map(|(entry, _)| entry).collect()))
        })
    }

    fn refusals(&self, py: Python<'_>, selector: &Bound<'_, PyDict>) -> PyResult<Vec<Refusal>> {
        guarded(|| {
            let mut objects = Objects::over(&self.objects);
            let selector = convert::to_dict(selector, &mut objects)?;
            let equal = PythonEq::new(&objects);
            let refusals = py.detach(|| self.core.refusals_with(&selector, &equal));
            let convert = |refusal: &core::Refusal| {
                let location = self.core.location(refusal.entry).unwrap_or_default();
                Refusal::new(py, refusal, location, &objects)
            };
            equal.finish(refusals)?.iter().map(convert).collect()
        })
    }

    fn explain<'py>(&self, py: Python<'py>, selector: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let mut objects = Objects::over(&self.objects);
            let selector = convert::to_dict(selector, &mut objects)?;
            let equal = PythonEq::new(&objects);
            let explained = py.detach(|| self.core.explain(&selector, &equal));
            explain::explanation(py, &self.core, &equal.finish(explained)?, &objects)
        })
    }

    #[pyo3(signature = (name, limit = 5, further = Vec::new()))]
    fn nearest(
        &self,
        py: Python<'_>,
        name: &str,
        limit: usize,
        further: Vec<String>,
    ) -> PyResult<Vec<String>> {
        guarded(|| Ok(py.detach(|| self.core.nearest_with(name, &further, limit))))
    }

    fn warnings(&self) -> PyResult<Report> {
        guarded(|| Ok(Report(self.core.warnings().clone())))
    }

    fn __repr__(&self) -> PyResult<String> {
        guarded(|| Ok(format!("<Registry of {} entries>", self.core.len())))
    }
}

impl Registry {
    fn no_entry(&self, index: usize) -> PyErr {
        PyIndexError::new_err(format!("there is no entry {index} in a registry of {}", self.core.len()))
    }
}

/// Entry, by what the selector names it, the merged fields, and each field that the selector adds with its denial.
type Selection<'py> = (usize, &'static str, Bound<'py, PyDict>, Vec<Addition>);

/// A field that a selector adds, and why it may not.
type Addition = (String, Option<Denial>);

/// What kind of denial, the name that was perhaps meant, and the backends that read the field.
type Denial = (&'static str, Option<&'static str>, Vec<&'static str>);

fn additions(added: Vec<core::Added>) -> Vec<Addition> {
    added.into_iter().map(|added| (added.field, added.denied.map(denial))).collect()
}

fn denial(denied: Denied) -> Denial {
    match denied {
        Denied::Unread(backends) => ("unread", None, backends.to_vec()),
        Denied::Misplaced => ("misplaced", None, Vec::new()),
        Denied::Unknown(near) => ("unknown", near, Vec::new()),
    }
}

/// Why one entry does not fit a selector.
#[pyclass(frozen, module = "clemcore._core")]
pub(crate) struct Refusal {
    #[pyo3(get)]
    entry: usize,
    #[pyo3(get)]
    source: String,
    #[pyo3(get)]
    line: usize,
    /// Field, the selector's value, the entry's value.
    mismatches: Vec<(String, Py<PyAny>, Py<PyAny>)>,
}

impl Refusal {
    fn new(
        py: Python<'_>,
        refusal: &core::Refusal,
        location: (String, usize),
        objects: &Objects<'_>,
    ) -> PyResult<Self> {
        let mut mismatches = Vec::with_capacity(refusal.mismatches.len());
        for mismatch in &refusal.mismatches {
            let wanted = convert::from_value(py, &mismatch.left, objects)?.unbind();
            let found = convert::from_value(py, &mismatch.right, objects)?.unbind();
            mismatches.push((mismatch.field.clone(), wanted, found));
        }
        Ok(Self { entry: refusal.entry, source: location.0, line: location.1, mismatches })
    }
}

/// Field, the selector's value, the entry's value.
type Mismatch<'py> = (String, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl Refusal {
    #[getter]
    fn mismatches<'py>(&self, py: Python<'py>) -> PyResult<Vec<Mismatch<'py>>> {
        guarded(|| {
            let row = |(field, wanted, found): &'_ (String, Py<PyAny>, Py<PyAny>)| {
                (field.clone(), wanted.bind(py).clone(), found.bind(py).clone())
            };
            Ok(self.mismatches.iter().map(row).collect())
        })
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| {
            let mut text = format!("entry {}", self.entry);
            if self.line > 0 {
                let _ = write!(text, " ({}:{})", self.source, self.line);
            }
            for (at, (field, wanted, found)) in self.mismatches.iter().enumerate() {
                let (wanted, found) = (wanted.bind(py).repr()?, found.bind(py).repr()?);
                text.push_str(if at == 0 { ": " } else { "; " });
                let _ = write!(text, "{field} is {found}, not {wanted}");
            }
            Ok(text)
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| Ok(format!("<Refusal {}>", self.__str__(py)?)))
    }
}

/// Checks one file.
#[pyfunction]
#[pyo3(signature = (source, text, backends = None))]
pub(crate) fn check(
    py: Python<'_>,
    source: &str,
    text: &[u8],
    backends: Option<Vec<CustomBackend>>,
) -> PyResult<Report> {
    guarded(|| {
        Ok({
            let backends = backends.map(custom_backends);
            Report(py.detach(|| core::check(source, text, backends.as_deref())))
        })
    })
}

/// Checks files that are loaded together.
#[pyfunction]
#[pyo3(signature = (layers, backends = None))]
pub(crate) fn check_layers(
    py: Python<'_>,
    layers: Vec<(String, Option<PyBackedBytes>)>,
    backends: Option<Vec<CustomBackend>>,
) -> PyResult<Report> {
    guarded(|| {
        Ok({
            let packaged = core::PACKAGED.as_bytes();
            let layer = |(source, bytes): &'_ (String, Option<PyBackedBytes>)| -> (String, Vec<u8>, bool) {
                (source.clone(), bytes.as_ref().map_or(packaged, |bytes| bytes).to_vec(), bytes.is_some())
            };
            let layers: Vec<_> = layers.iter().map(layer).collect();
            let layers: Vec<_> =
                layers.iter().map(|(source, bytes, is_ours)| (&**source, &**bytes, *is_ours)).collect();
            let backends = backends.map(custom_backends);
            Report(py.detach(|| core::check_layers(&layers, backends.as_deref())))
        })
    })
}

/// What is wrong with one entry that comes from no file.
#[pyfunction]
#[pyo3(signature = (entry, backend = None))]
pub(crate) fn judge(entry: &Bound<'_, PyDict>, backend: Option<&str>) -> PyResult<Vec<Problem>> {
    guarded(|| {
        let entry = convert::to_dict(entry, &mut Objects::default())?;
        Ok(core::judge(&entry, backend).into_iter().map(Problem).collect())
    })
}

/// What is wrong with the address of a server; None for one that can be called.
#[pyfunction]
pub(crate) fn address_fault(text: &str) -> PyResult<Option<String>> {
    guarded(|| Ok(core::address_fault(text)))
}

/// The form of an address that is the same for all spellings of one server.
#[pyfunction]
pub(crate) fn address_key(text: &str) -> PyResult<String> {
    guarded(|| Ok(core::address_key(text)))
}

/// The path of a file with addresses of servers; None for a text that is none.
#[pyfunction]
pub(crate) fn servers_file(text: &str) -> PyResult<Option<String>> {
    guarded(|| Ok(core::servers_file(text).map(str::to_owned)))
}

/// The registry that is compiled in.
#[pyfunction]
pub(crate) fn packaged_registry() -> PyResult<&'static [u8]> {
    guarded(|| Ok(core::PACKAGED.as_bytes()))
}

/// Merges two dicts; None where they contradict each other.
#[pyfunction]
pub(crate) fn unify<'py>(
    left: &Bound<'py, PyDict>,
    right: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    guarded(|| {
        let py = left.py();
        let mut objects = Objects::default();
        let left = convert::to_dict(left, &mut objects)?;
        let right = convert::to_dict(right, &mut objects)?;
        let equal = PythonEq::new(&objects);
        let merged = py.detach(|| rule::unify_with(&left, &right, &equal));
        equal.finish(merged)?.map(|merged| convert::from_dict(py, &merged, &objects)).transpose()
    })
}

/// The fields that a selector adds to an entry, each with the reason why it may not.
#[pyfunction]
pub(crate) fn added_fields(
    py: Python<'_>,
    selector: &Bound<'_, PyDict>,
    entry: &Bound<'_, PyDict>,
) -> PyResult<Vec<Addition>> {
    guarded(|| {
        let mut objects = Objects::default();
        let selector = convert::to_dict(selector, &mut objects)?;
        let entry = convert::to_dict(entry, &mut objects)?;
        Ok(additions(py.detach(|| core::added(&selector, &entry))))
    })
}

/// A dict with fields replaced, and what that changed: the field, and where there is one the old and the new value.
#[pyfunction]
pub(crate) fn override_fields<'py>(
    spec: &Bound<'py, PyDict>,
    fields: &Bound<'py, PyDict>,
) -> PyResult<(Bound<'py, PyDict>, Vec<Bound<'py, PyDict>>)> {
    guarded(|| {
        let py = spec.py();
        let mut objects = Objects::default();
        let spec = convert::to_dict(spec, &mut objects)?;
        let fields = convert::to_dict(fields, &mut objects)?;
        let patched = py.detach(|| patch::apply(&spec, &fields));
        let changes: PyResult<Vec<_>> =
            patched.changes.iter().map(|change| explain::change(py, change, &objects)).collect();
        Ok((convert::from_dict(py, &patched.dict, &objects)?, changes?))
    })
}

/// The text of a registry with entries put in.
#[pyfunction]
#[pyo3(signature = (text, entries, *, source = "model_registry.json"))]
pub(crate) fn upsert_entries(
    py: Python<'_>,
    text: Option<&[u8]>,
    entries: Vec<(Bound<'_, PyDict>, Option<usize>)>,
    source: &str,
) -> PyResult<String> {
    guarded(|| {
        let edit = |(entry, index): &(Bound<'_, PyDict>, Option<usize>)| {
            let entry = convert::to_dict(entry, &mut Objects::default())?;
            Ok((entry, index.map_or(Position::Front, Position::Replace)))
        };
        let edits: Vec<_> = entries.iter().map(edit).collect::<PyResult<_>>()?;
        py.detach(|| edit::upsert_all(source, text, edits)).map_err(errors::edit_error)
    })
}

/// The number of tokens that a text such as `128k` means.
#[pyfunction]
pub(crate) fn context_tokens(text: &str) -> PyResult<Option<u64>> {
    guarded(|| Ok(core::context_tokens(text)))
}
