//! Python objects to values of the core and back.
//!
//! dict, list, str, int, float, bool and None (and their subclasses) become values. Anything else (a tuple, a
//! function, a numpy array) stays the object that it is: the core knows its number, [`Objects`] knows the object,
//! and Python's `==` decides about it.
use crate::frozen::Frozen;
use clemcore::schema;
use clemcore::unify::OpaqueEq;
use clemcore::value::{Dict, Value};
use hashbrown::HashMap;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};
use std::sync::Mutex;

/// How deep Python objects may be nested; conversion and unification go down once per level.
pub(crate) const MAX_DEPTH: usize = 500;

/// The objects behind opaque values: those of a registry, then those of one call.
#[derive(Default)]
pub(crate) struct Objects<'r> {
    shared: &'r [Py<PyAny>],
    own: Vec<Py<PyAny>>,
}

impl<'r> Objects<'r> {
    /// A table on top of that of a registry.
    pub(crate) fn over(shared: &'r [Py<PyAny>]) -> Self {
        Self { shared, own: Vec::new() }
    }

    pub(crate) fn into_own(self) -> Vec<Py<PyAny>> {
        self.own
    }

    fn add(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        let id = self.shared.len() + self.own.len();
        let id =
            u32::try_from(id).map_err(|_| PyValueError::new_err("too many objects that JSON cannot hold"))?;
        self.own.push(object.clone().unbind());
        Ok(Value::Opaque(id))
    }

    fn get(&self, id: u32) -> Option<&Py<PyAny>> {
        let id = usize::try_from(id).ok()?;
        self.shared.get(id).or_else(|| self.own.get(id.checked_sub(self.shared.len())?))
    }
}

/// Reads a Python dict; what JSON cannot hold goes into `objects`.
pub(crate) fn to_dict(dict: &Bound<'_, PyDict>, objects: &mut Objects<'_>) -> PyResult<Dict> {
    Reader { objects, open: Vec::new() }.dict(dict)
}

struct Reader<'o, 'r> {
    objects: &'o mut Objects<'r>,
    /// The containers around the current object, to notice cycles.
    open: Vec<*mut pyo3::ffi::PyObject>,
}

impl Reader<'_, '_> {
    fn enter(&mut self, container: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.open.contains(&container.as_ptr()) {
            return Err(PyValueError::new_err("a dict or list that contains itself cannot be a model spec"));
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("dicts and lists are nested more than {MAX_DEPTH} deep");
            return Err(PyValueError::new_err(message));
        }
        self.open.push(container.as_ptr());
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> PyResult<Dict> {
        self.enter(dict)?;
        let mut read = Dict::with_capacity(dict.len() + 1);
        // A copy, because writing a large integer can run Python code, and that can change the dict.
        for (key, value) in &dict.copy()? {
            let Ok(key) = key.cast::<PyString>() else {
                let message =
                    format!("keys of a model spec are str, not {}: {}", key.get_type().name()?, key.repr()?);
                return Err(PyTypeError::new_err(message));
            };
            let value = self.value(&value)?;
            read.insert(key.to_str()?, value);
        }
        self.open.pop();
        Ok(read)
    }

    fn list(&mut self, list: &Bound<'_, PyList>) -> PyResult<Value> {
        self.enter(list)?;
        let items: PyResult<Vec<_>> = list.iter().map(|item| self.value(&item)).collect();
        self.open.pop();
        items.map(Value::List)
    }

    fn value(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        if object.is_none() {
            Ok(Value::Null)
        } else if let Ok(text) = object.cast::<PyString>() {
            // A lone surrogate is not text of ours, but still an object.
            text.to_str().map_or_else(|_| self.objects.add(object), |text| Ok(Value::from(text)))
        } else if let Ok(flag) = object.cast::<PyBool>() {
            Ok(Value::Bool(flag.is_true()))
        } else if let Ok(dict) = object.cast::<PyDict>() {
            self.dict(dict).map(Value::Dict)
        } else if let Ok(list) = object.cast::<PyList>() {
            self.list(list)
        } else if let Ok(number) = object.cast::<PyFloat>() {
            Ok(Value::Float(number.value()))
        } else if let Ok(number) = object.cast::<PyInt>() {
            Ok(big_or_small(number).unwrap_or(None).map_or_else(|| self.objects.add(object), Ok)?)
        } else {
            self.objects.add(object)
        }
    }
}

/// The integer; `None` where it has more digits than Python writes.
fn big_or_small(number: &Bound<'_, PyInt>) -> PyResult<Option<Value>> {
    if let Ok(small) = number.extract::<i64>() {
        return Ok(Some(Value::Int(small)));
    }
    // A subclass can print itself in any way; plain int does not.
    let plain = number.py().get_type::<PyInt>().call1((number,))?;
    Ok(plain.str().ok().map(|digits| Value::BigInt(digits.to_string().into())))
}

/// A dict of the core as the fields of a `ModelSpec`: a plain dict, and all within it refuses changes.
pub(crate) fn from_dict<'py>(
    py: Python<'py>,
    dict: &Dict,
    objects: &Objects<'_>,
) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    Writer { objects, frozen: Some(Frozen::get(py)?) }.fill(&made, dict)?;
    Ok(made)
}

/// A value of the core as a Python object.
pub(crate) fn from_value<'py>(
    py: Python<'py>,
    value: &Value,
    objects: &Objects<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    Writer { objects, frozen: None }.value(py, value)
}

/// The keys that the schema knows, made once: most keys are some of them.
fn names(py: Python<'_>) -> &HashMap<&'static str, Py<PyString>> {
    static NAMES: PyOnceLock<HashMap<&'static str, Py<PyString>>> = PyOnceLock::new();
    NAMES.get_or_init(py, || {
        let fields = schema::ENTRY.iter().chain(schema::MODEL_CONFIG);
        let names = fields
            .flat_map(|field| std::iter::once(field.name).chain(field.keys.iter().map(|(key, _)| *key)));
        names.map(|name| (name, PyString::intern(py, name).unbind())).collect()
    })
}

struct Writer<'o, 'r, 'py> {
    objects: &'o Objects<'r>,
    /// The classes of dicts and lists; plain ones without.
    frozen: Option<Frozen<'py>>,
}

impl<'py> Writer<'_, '_, 'py> {
    fn fill(&self, made: &Bound<'py, PyDict>, dict: &Dict) -> PyResult<()> {
        let py = made.py();
        let names = names(py);
        dict.iter().try_for_each(|(key, value)| {
            let value = self.value(py, value)?;
            match names.get(key) {
                Some(name) => made.set_item(name, value),
                None => made.set_item(key, value),
            }
        })
    }

    fn value(&self, py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
        Ok(match value {
            Value::Null => py.None().into_bound(py),
            Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
            Value::Int(number) => number.into_pyobject(py)?.into_any(),
            Value::BigInt(digits) => py.get_type::<PyInt>().call1((&**digits,))?,
            Value::Float(number) => PyFloat::new(py, *number).into_any(),
            Value::String(text) => PyString::new(py, text).into_any(),
            Value::List(items) => {
                let items: PyResult<Vec<_>> = items.iter().map(|item| self.value(py, item)).collect();
                let list = PyList::new(py, items?)?;
                match &self.frozen {
                    Some(frozen) => frozen.new_list(&list)?.into_any(),
                    None => list.into_any(),
                }
            }
            Value::Dict(dict) => {
                let made = match &self.frozen {
                    Some(frozen) => frozen.new_dict()?,
                    None => PyDict::new(py),
                };
                self.fill(&made, dict)?;
                made.into_any()
            }
            Value::Opaque(id) => match self.objects.get(*id) {
                Some(object) => object.bind(py).clone(),
                None => py.None().into_bound(py),
            },
        })
    }
}

/// Python's `==`, asked where an object is involved that JSON cannot hold.
pub(crate) struct PythonEq<'o, 'r> {
    objects: &'o Objects<'r>,
    /// What `==` raised; the first counts.
    raised: Mutex<Option<PyErr>>,
}

impl<'o, 'r> PythonEq<'o, 'r> {
    pub(crate) fn new(objects: &'o Objects<'r>) -> Self {
        Self { objects, raised: Mutex::new(None) }
    }

    /// The result of a comparison that is over, or what was raised in it.
    pub(crate) fn finish<T>(self, result: T) -> PyResult<T> {
        match self.raised.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(result),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the values that are compared are copies, not borrowed from Python"
)]
impl OpaqueEq for PythonEq<'_, '_> {
    fn equal(&self, left: &Value, right: &Value) -> bool {
        Python::attach(|py| {
            let equal = from_value(py, left, self.objects)
                .and_then(|left| left.eq(from_value(py, right, self.objects)?));
            equal.unwrap_or_else(|error| {
                if let Ok(mut raised) = self.raised.lock() {
                    raised.get_or_insert(error);
                }
                false
            })
        })
    }
}
