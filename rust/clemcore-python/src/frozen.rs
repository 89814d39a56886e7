//! The dicts and lists within a `ModelSpec`, which refuse changes, and plain copies of them.
//!
//! What they refuse is written in `clemcore/registry/spec.py`. They are made here, because making them is most of what a
//! `ModelSpec` costs.
#![allow(unsafe_code, reason = "empty objects are made as their base class makes them")]

use crate::convert::MAX_DEPTH;
use crate::guard::guarded;
use hashbrown::HashSet;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple, PyType};

pyo3::import_exception!(clemcore.errors, SpecError);

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
        Ok(blank(self.dict, &raw mut ffi::PyDict_Type)?.cast_into()?)
    }

    /// The items in a list that refuses changes.
    pub(crate) fn new_list(&self, items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let made = blank(self.list, &raw mut ffi::PyList_Type)?;
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
            let frozen = blank(self.dict, &raw mut ffi::PyDict_Type)?;
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
            let frozen = blank(self.list, &raw mut ffi::PyList_Type)?;
            let made = frozen.cast::<PyList>()?;
            made.set_slice(0, 0, list)?;
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

/// An empty object of a class whose constructor is that of its base, without the two calls that a call of a class is.
fn blank<'py>(class: &Bound<'py, PyType>, base: *mut ffi::PyTypeObject) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: `base` is a type of CPython's own, always there; its `tp_new` takes a class derived from it, a tuple and
    // no keywords, and gives a new reference, or null with an error set. The classes have neither `__new__` nor
    // `__init__`, so that nothing is passed over.
    unsafe {
        let Some(constructor) = (*base).tp_new else {
            return class.call0();
        };
        let arguments = PyTuple::empty(py);
        let made = constructor(class.as_type_ptr(), arguments.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, made)
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
    guarded(|| {
        let made = fields.copy()?;
        freeze_in(&made, None)?;
        Ok(made)
    })
}

/// A specification with a copy of these fields, made without a call of its class; `None` where a field has the name
/// of a method.
#[pyfunction]
pub(crate) fn specification<'py>(
    class_: &Bound<'py, PyType>,
    fields: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    guarded(|| {
        let made = fields.copy()?;
        if !freeze_in(&made, Some(reserved(class_.py())?))? {
            return Ok(None);
        }
        let spec = blank(class_, &raw mut ffi::PyBaseObject_Type)?;
        set_fields(&spec, &made)?;
        Ok(Some(spec))
    })
}

/// Gives a specification fields that nobody else has, frozen; false, and it has got none, where a field has the name of
/// a method.
#[pyfunction]
pub(crate) fn fill(spec: &Bound<'_, PyAny>, fields: &Bound<'_, PyDict>) -> PyResult<bool> {
    guarded(|| {
        let is_free = freeze_in(fields, Some(reserved(spec.py())?))?;
        if is_free {
            set_fields(spec, fields)?;
        }
        Ok(is_free)
    })
}

/// Freezes what is in a dict; false where a key is among the reserved names.
fn freeze_in(fields: &Bound<'_, PyDict>, reserved: Option<&HashSet<String>>) -> PyResult<bool> {
    let frozen = Frozen::get(fields.py())?;
    let mut is_free = true;
    for (name, value) in fields.iter() {
        let Ok(text) = name.cast::<PyString>() else {
            return Err(PyTypeError::new_err("field names are strings"));
        };
        // A name with half of a surrogate pair is no method's.
        is_free &= reserved.is_none_or(|names| text.to_str().map_or(true, |text| !names.contains(text)));
        if let Some(value) = frozen.freeze(&value, 1)? {
            // A key that is there: what is walked over keeps its keys.
            fields.set_item(name, value)?;
        }
    }
    Ok(is_free)
}

/// Makes a dict the fields of a specification, and its attributes, past the specification's refusal of changes.
fn set_fields(spec: &Bound<'_, PyAny>, fields: &Bound<'_, PyDict>) -> PyResult<()> {
    static SLOT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = spec.py();
    let slot = SLOT.import(py, "clemcore.registry.spec", "FIELDS_SLOT")?;
    // SAFETY: all are live objects and the interpreter is held; a descriptor's type says how it is set, and both
    // functions take a reference of their own and look at the object's type themselves.
    let is_set = unsafe {
        let Some(set) = (*ffi::Py_TYPE(slot.as_ptr())).tp_descr_set else {
            return Err(PyTypeError::new_err("the slot of fields cannot be set"));
        };
        set(slot.as_ptr(), spec.as_ptr(), fields.as_ptr()) == 0
            && ffi::PyObject_GenericSetDict(spec.as_ptr(), fields.as_ptr(), std::ptr::null_mut()) == 0
    };
    if is_set { Ok(()) } else { Err(PyErr::fetch(py)) }
}

/// The names of the methods of a `ModelSpec`.
fn reserved(py: Python<'_>) -> PyResult<&HashSet<String>> {
    static NAMES: PyOnceLock<HashSet<String>> = PyOnceLock::new();
    NAMES.get_or_try_init(py, || {
        let names = py.import("clemcore.registry.spec")?.getattr("_RESERVED")?;
        names.try_iter()?.map(|name| name?.extract()).collect()
    })
}

/// Plain dicts and lists, a copy to the depth.
#[pyfunction]
pub(crate) fn thaw<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    guarded(|| Ok(thawed(value, 0)?.unwrap_or_else(|| value.clone())))
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
