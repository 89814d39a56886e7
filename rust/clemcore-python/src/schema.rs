//! The schema as Python sees it.
use crate::guard::guarded;
use clemcore::schema::{self, KeyUse, Rule, Setting};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The JSON Schema of a registry file.
#[pyfunction]
pub(crate) fn json_schema() -> PyResult<String> {
    guarded(|| Ok(schema::json_schema()))
}

/// The reference page of all keys, in Markdown.
#[pyfunction]
pub(crate) fn fields_page() -> PyResult<String> {
    guarded(|| Ok(schema::page()))
}

/// The backends whose entries the core knows.
#[pyfunction]
pub(crate) fn known_backends() -> PyResult<Vec<&'static str>> {
    guarded(|| Ok(schema::BACKENDS.to_vec()))
}

/// That clemcore does not include a backend, and what to do instead; None for every other name.
#[pyfunction]
pub(crate) fn absence(backend: &str) -> PyResult<Option<String>> {
    guarded(|| Ok(schema::absence(backend)))
}

/// The settings that a backend reads, by their names.
#[pyfunction]
pub(crate) fn settings<'py>(py: Python<'py>, backend: &str) -> PyResult<Bound<'py, PyDict>> {
    guarded(|| {
        let settings = PyDict::new(py);
        for setting in schema::settings(backend) {
            settings.set_item(setting.field.name, row(py, setting)?)?;
        }
        Ok(settings)
    })
}

/// The backends that send each generation argument, by the names of the arguments.
#[pyfunction]
pub(crate) fn argument_senders(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    guarded(|| {
        let senders = PyDict::new(py);
        for name in schema::argument_names() {
            senders.set_item(name, schema::senders(name).unwrap_or_default().to_vec())?;
        }
        Ok(senders)
    })
}

/// What a key at the top of an entry is to a backend.
#[pyfunction]
pub(crate) fn use_of_key(name: &str, backend: &str) -> PyResult<&'static str> {
    guarded(|| {
        Ok(match schema::use_of_key(name, backend) {
            KeyUse::Field => "field",
            KeyUse::OfOthers => "of others",
            KeyUse::Unknown => "unknown",
        })
    })
}

fn row(py: Python<'_>, Setting { field, is_nested }: Setting) -> PyResult<Bound<'_, PyDict>> {
    let (above, least, most) = match field.rule {
        Rule::Positive => (Some(0), None, None),
        Rule::Within(least, most) => (None, least, most),
        _ => (None, None, None),
    };
    let row = PyDict::new(py);
    row.set_item("types", PyTuple::new(py, field.types.iter().map(|of| of.name()))?)?;
    row.set_item("values", PyTuple::new(py, field.values)?)?;
    row.set_item("above", above)?;
    row.set_item("least", least)?;
    row.set_item("most", most)?;
    row.set_item("is_pattern", field.rule == Rule::Pattern)?;
    row.set_item("is_nested", is_nested)?;
    row.set_item("unit", field.unit)?;
    row.set_item("default", field.default)?;
    row.set_item("meaning", field.meaning)?;
    row.set_item("deprecated", field.deprecated)?;
    row.set_item("refused", field.refused)?;
    row.set_item("counts_if_false", field.rule == Rule::Presence)?;
    Ok(row)
}
