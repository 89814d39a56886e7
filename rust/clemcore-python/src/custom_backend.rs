//! Custom backends, as Python describes them.
use clemcore::schema::{Backend, CustomKey, Type};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// A name alone, or a name with the keys that the backend reads.
#[derive(FromPyObject)]
pub(crate) enum CustomBackend {
    Name(String),
    Described(String, BTreeMap<String, Key>),
}

/// What a key may hold.
pub(crate) struct Key {
    types: Vec<Type>,
    values: Vec<String>,
}

impl<'py> FromPyObject<'_, 'py> for Key {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (types, values): (Vec<String>, Vec<String>) = object.extract()?;
        let known = |name: &String| {
            let unknown = || PyValueError::new_err(format!("JSON Schema has no type {name:?}"));
            Type::from_name(name).ok_or_else(unknown)
        };
        Ok(Self { types: types.iter().map(known).collect::<PyResult<_>>()?, values })
    }
}

/// The same for the core.
pub(crate) fn custom_backends(backends: Vec<CustomBackend>) -> Vec<Backend> {
    let backend = |backend| match backend {
        CustomBackend::Name(name) => Backend::named(name),
        CustomBackend::Described(name, keys) => {
            let key = |(path, Key { types, values })| CustomKey { path, types, values };
            Backend { name, keys: keys.into_iter().map(key).collect() }
        }
    };
    backends.into_iter().map(backend).collect()
}
