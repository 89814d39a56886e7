//! `clemcore._core`: the list of what Python sees of the core crate.
use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
