//! The dicts and lists within a `ModelSpec`, which refuse changes, and plain copies of them.
//!
//! What they refuse is written in `clemcore/spec.py`. They are made here, because making them is most of what a
//! `ModelSpec` costs.
use crate::convert::MAX_DEPTH;
use hashbrown::HashSet;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyType};

pyo3::import_exception!(clemcore.errors, SpecError);

/// The classes of `clemcore.spec`.
pub(crate) struct Frozen<'py> {
    dict: &'py Bound<'py, PyType>,
    list: &'py Bound<'py, PyType>,
}

impl<'py> Frozen<'py> {
    pub(crate) fn get(py: Python<'py>) -> PyResult<Self> {
        static DICT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static LIST: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        Ok(Self {
            dict: DICT.import(py, "clemcore.spec", "FrozenDict")?,
            list: LIST.import(py, "clemcore.spec", "FrozenList")?,
        })
    }

    /// An empty dict that refuses changes, from Python code.
    pub(crate) fn new_dict(&self) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.dict.call0()?.cast_into()?)
    }

    /// The items in a list that refuses changes.
    pub(crate) fn new_list(&self, items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let made = self.list.call0()?;
        made.cast::<PyList>()?.set_slice(0, 0, items)?;
        Ok(made)
    }

    /// What stands for a value within a specification: the value itself, or its frozen copy.
    fn freeze(&self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        if is_leaf(value) || value.is_exact_instance(self.dict) || value.is_exact_instance(self.list) {
            return Ok(None);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            check_depth(depth)?;
            let frozen = self.dict.call0()?;
            let made = frozen.cast::<PyDict>()?;
            // Filled from outside; where there are many items, from a dict all at once, which is quicker then.
            let at_once = dict.len() > FEW;
            if at_once {
                made.update(dict.as_mapping())?;
            }
            for (key, item) in dict.iter() {
                match self.freeze(&item, depth + 1)? {
                    Some(item) => made.set_item(key, item)?,
                    None if at_once => {}
                    None => made.set_item(key, item)?,
                }
            }
            return Ok(Some(frozen));
        }
        if let Ok(list) = value.cast::<PyList>() {
            check_depth(depth)?;
            let frozen = self.list.call1((list,))?;
            let made = frozen.cast::<PyList>()?;
            for (at, item) in list.iter().enumerate() {
                if let Some(item) = self.freeze(&item, depth + 1)? {
                    made.set_item(at, item)?;
                }
            }
            return Ok(Some(frozen));
        }
        Ok(None)
    }
}

/// With so many items a dict is quicker filled one by one.
const FEW: usize = 3;

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
    Ok(freeze_with(fields, None)?.0)
}

/// [`freeze`]; `None` where a field has the name of a method.
#[pyfunction]
pub(crate) fn freeze_free<'py>(fields: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let (made, free) = freeze_with(fields, Some(reserved(fields.py())?))?;
    Ok(free.then_some(made))
}

fn freeze_with<'py>(
    fields: &Bound<'py, PyDict>,
    reserved: Option<&HashSet<String>>,
) -> PyResult<(Bound<'py, PyDict>, bool)> {
    let frozen = Frozen::get(fields.py())?;
    let made = fields.copy()?;
    let mut free = true;
    for (name, value) in fields.iter() {
        let Ok(text) = name.cast::<PyString>() else {
            return Err(PyTypeError::new_err("field names are strings"));
        };
        // A name with half of a surrogate pair is no method's.
        free &= reserved.is_none_or(|names| text.to_str().map_or(true, |text| !names.contains(text)));
        if let Some(value) = frozen.freeze(&value, 1)? {
            made.set_item(name, value)?;
        }
    }
    Ok((made, free))
}

/// The names of the methods of a `ModelSpec`.
fn reserved(py: Python<'_>) -> PyResult<&HashSet<String>> {
    static NAMES: PyOnceLock<HashSet<String>> = PyOnceLock::new();
    NAMES.get_or_try_init(py, || {
        let names = py.import("clemcore.spec")?.getattr("_RESERVED")?;
        names.try_iter()?.map(|name| name?.extract()).collect()
    })
}

/// Plain dicts and lists, a copy to the depth.
#[pyfunction]
pub(crate) fn thaw<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Ok(thawed(value, 0)?.unwrap_or_else(|| value.clone()))
}

fn thawed<'py>(value: &Bound<'py, PyAny>, depth: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
    if is_leaf(value) {
        return Ok(None);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        check_depth(depth)?;
        let made = dict.copy()?;
        for (key, item) in dict.iter() {
            if let Some(item) = thawed(&item, depth + 1)? {
                made.set_item(key, item)?;
            }
        }
        return Ok(Some(made.into_any()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        check_depth(depth)?;
        let made = list.get_slice(0, list.len());
        for (at, item) in list.iter().enumerate() {
            if let Some(item) = thawed(&item, depth + 1)? {
                made.set_item(at, item)?;
            }
        }
        return Ok(Some(made.into_any()));
    }
    Ok(None)
}
