//! The dicts and lists within a `ModelSpec`, which refuse changes, and plain copies of them.
//!
//! What they refuse is written in `clemcore/registry/spec.py`. They are made here because a registry makes many.
//!
//! Keys may be subclasses of `str` with a `__hash__` of their own. Setting an item calls it, and it may change any dict.
//! So nothing is set while a dict is walked over.
use crate::convert::MAX_DEPTH;
use crate::guard::guarded;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyType};

pyo3::import_exception!(clemcore.errors, SpecError);

/// What stands for a value in a copy; `None` for the value itself.
type Copied<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// The classes of `clemcore.registry.spec`.
pub(crate) struct Frozen<'py> {
    dict: &'py Bound<'py, PyType>,
    list: &'py Bound<'py, PyType>,
}

impl<'py> Frozen<'py> {
    pub(crate) fn get(py: Python<'py>) -> PyResult<Self> {
        static DICT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static LIST: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        Ok(Self {
            dict: DICT.import(py, "clemcore.registry.spec", "FrozenDict")?,
            list: LIST.import(py, "clemcore.registry.spec", "FrozenList")?,
        })
    }

    /// An empty dict that refuses changes, from Python code.
    pub(crate) fn new_dict(&self) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.dict.call0()?.cast_into()?)
    }

    /// The items in a list that refuses changes.
    pub(crate) fn new_list(&self, items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let made = self.list.call0()?.cast_into::<PyList>()?;
        made.set_slice(0, 0, items)?;
        Ok(made)
    }

    /// The value itself where it holds no others or is frozen, or else its frozen copy.
    fn freeze(&self, value: &Bound<'py, PyAny>, depth: usize) -> Copied<'py> {
        if is_leaf(value) || value.is_exact_instance(self.dict) || value.is_exact_instance(self.list) {
            return Ok(None);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            check_depth(depth)?;
            let made = self.new_dict()?;
            fill(&made, dict, |item| self.freeze(item, depth + 1))?;
            return Ok(Some(made.into_any()));
        }
        if let Ok(list) = value.cast::<PyList>() {
            check_depth(depth)?;
            let made = self.new_list(list)?;
            replace(&made, |item| self.freeze(item, depth + 1))?;
            return Ok(Some(made.into_any()));
        }
        Ok(None)
    }
}

/// Fills an empty dict with the items of another one, or with what stands for them.
fn fill<'py>(
    made: &Bound<'py, PyDict>,
    dict: &Bound<'py, PyDict>,
    of: impl Fn(&Bound<'py, PyAny>) -> Copied<'py>,
) -> PyResult<()> {
    let py = made.py();
    made.update(dict.as_mapping())
        .map_err(|error| if error.is_instance_of::<PyRuntimeError>(py) { changed() } else { error })?;
    // Collected first, because setting an item may change the dict.
    let nested: Vec<_> = dict.iter().filter(|(_, item)| !is_leaf(item)).collect();
    for (key, item) in nested {
        if let Some(copy) = of(&item)? {
            made.set_item(key, copy)?;
        }
    }
    if made.len() == dict.len() { Ok(()) } else { Err(changed()) }
}

fn changed() -> PyErr {
    SpecError::new_err(
        "a dict of a model specification changed while it was read: \
         do not change it in a __hash__ or __eq__ of its keys, or from another thread",
    )
}

/// Replaces the items of a new list by what stands for them.
fn replace<'py>(made: &Bound<'py, PyList>, of: impl Fn(&Bound<'py, PyAny>) -> Copied<'py>) -> PyResult<()> {
    for (place, item) in made.iter().enumerate() {
        if let Some(item) = of(&item)? {
            made.set_item(place, item)?;
        }
    }
    Ok(())
}

/// Whether a value holds no others for certain; most do not.
fn is_leaf(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyNone>()
}

fn check_depth(depth: usize) -> PyResult<()> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let message = format!(
        "dicts and lists of a model specification are nested more than {MAX_DEPTH} deep, or in a circle"
    );
    Err(SpecError::new_err(message))
}

/// The fields of a specification: a new dict; dicts and lists in it are copied and refuse changes.
#[pyfunction]
pub(crate) fn freeze<'py>(fields: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    guarded(|| {
        let frozen = Frozen::get(fields.py())?;
        let made = PyDict::new(fields.py());
        fill(&made, fields, |value| frozen.freeze(value, 1))?;
        if made.iter().all(|(name, _)| name.is_instance_of::<PyString>()) {
            return Ok(made);
        }
        Err(PyTypeError::new_err("field names are strings"))
    })
}

/// Plain dicts and lists, a copy to the depth.
#[pyfunction]
pub(crate) fn thaw<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    guarded(|| Ok(thawed(value, 0)?.unwrap_or_else(|| value.clone())))
}

fn thawed<'py>(value: &Bound<'py, PyAny>, depth: usize) -> Copied<'py> {
    if is_leaf(value) {
        return Ok(None);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        check_depth(depth)?;
        let made = PyDict::new(dict.py());
        fill(&made, dict, |item| thawed(item, depth + 1))?;
        return Ok(Some(made.into_any()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        check_depth(depth)?;
        let made = list.get_slice(0, list.len());
        replace(&made, |item| thawed(item, depth + 1))?;
        return Ok(Some(made.into_any()));
    }
    Ok(None)
}
