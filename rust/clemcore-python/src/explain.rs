//! How a selector came to its entry, as plain dicts and lists.
use crate::convert::{self, Objects};
use clemcore::patch::Change;
use clemcore::registry::{Explanation, Found, Registry, Trial};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

type Dict<'py> = PyResult<Bound<'py, PyDict>>;

/// The whole explanation.
pub(crate) fn explanation<'py>(
    py: Python<'py>,
    registry: &Registry,
    explained: &Explanation,
    objects: &Objects<'_>,
) -> Dict<'py> {
    let dict = PyDict::new(py);
    let layers: Vec<_> =
        registry.layers().map(|(source, count)| (source.map(str::to_owned), count)).collect();
    dict.set_item("layers", layers)?;
    let tried: PyResult<Vec<_>> =
        explained.tried.iter().map(|trial| one_trial(py, registry, trial, objects)).collect();
    dict.set_item("tried", tried?)?;
    dict.set_item("omitted", explained.omitted)?;
    dict.set_item("passed", explained.passed)?;
    let found = explained.found.as_ref().map(|found| what_was_found(py, registry, found, objects));
    dict.set_item("found", found.transpose()?)?;
    dict.set_item("near", &explained.near)?;
    Ok(dict)
}

/// Where an entry stands.
fn place<'py>(py: Python<'py>, registry: &Registry, entry: usize) -> Dict<'py> {
    let dict = PyDict::new(py);
    let (source, line) = registry.location(entry).unwrap_or_default();
    let name = registry.entry(entry).and_then(|entry| entry.get("model_name")?.as_str().map(str::to_owned));
    dict.set_item("entry", entry)?;
    dict.set_item("model_name", name)?;
    dict.set_item("source", source)?;
    dict.set_item("line", line)?;
    Ok(dict)
}

fn one_trial<'py>(py: Python<'py>, registry: &Registry, trial: &Trial, objects: &Objects<'_>) -> Dict<'py> {
    let dict = place(py, registry, trial.entry)?;
    dict.set_item("by", trial.by.as_str())?;
    let mut refused = Vec::with_capacity(trial.mismatches.len());
    for mismatch in &trial.mismatches {
        let row = PyDict::new(py);
        row.set_item("field", &mismatch.field)?;
        row.set_item("asked", convert::from_value(py, &mismatch.left, objects)?)?;
        row.set_item("found", convert::from_value(py, &mismatch.right, objects)?)?;
        refused.push(row);
    }
    dict.set_item("refused", refused)?;
    Ok(dict)
}

fn what_was_found<'py>(
    py: Python<'py>,
    registry: &Registry,
    found: &Found,
    objects: &Objects<'_>,
) -> Dict<'py> {
    let dict = place(py, registry, found.entry)?;
    dict.set_item("spec", convert::from_dict(py, &found.spec, objects)?)?;
    let fields = PyList::empty(py);
    for field in &found.fields {
        let row = PyDict::new(py);
        row.set_item("field", &field.name)?;
        row.set_item("value", convert::from_value(py, &field.value, objects)?)?;
        row.set_item("from", field.origin.as_str())?;
        fields.append(row)?;
    }
    dict.set_item("fields", fields)?;
    let changes: PyResult<Vec<_>> = found.changes.iter().map(|each| change(py, each, objects)).collect();
    dict.set_item("overridden", changes?)?;
    let also: PyResult<Vec<_>> = found.also.iter().map(|entry| place(py, registry, *entry)).collect();
    dict.set_item("also", also?)?;
    Ok(dict)
}

/// A field that an override changed; `old` and `new` are missing where nothing was or is.
pub(crate) fn change<'py>(py: Python<'py>, change: &Change, objects: &Objects<'_>) -> Dict<'py> {
    let dict = PyDict::new(py);
    dict.set_item("field", &change.field)?;
    for (key, value) in [("old", &change.old), ("new", &change.new)] {
        if let Some(value) = value {
            dict.set_item(key, convert::from_value(py, value, objects)?)?;
        }
    }
    Ok(dict)
}
