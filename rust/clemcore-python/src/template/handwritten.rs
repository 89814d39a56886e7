//! `ChatML` written by hand, as somebody would who needs nothing else: what `benches/render.py` compares with.
//!
//! Only built with the feature `handwritten`; no part of what is shipped.

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// The text of a conversation in `ChatML`.
#[pyfunction]
#[pyo3(name = "_chatml")]
pub(crate) fn chatml<'py>(
    messages: &Bound<'py, PyList>,
    add_generation_prompt: bool,
) -> PyResult<Bound<'py, PyString>> {
    let py = messages.py();
    let mut text = String::with_capacity(256 * messages.len());
    for message in messages {
        let message = message.cast::<PyDict>()?;
        let field = |name| message.get_item(name)?.ok_or_else(|| PyKeyError::new_err("role or content"));
        let (role, content) = (field(intern!(py, "role"))?, field(intern!(py, "content"))?);
        text.push_str("<|im_start|>");
        text.push_str(role.cast::<PyString>()?.to_str()?);
        text.push('\n');
        text.push_str(content.cast::<PyString>()?.to_str()?);
        text.push_str("<|im_end|>\n");
    }
    if add_generation_prompt {
        text.push_str("<|im_start|>assistant\n");
    }
    Ok(PyString::new(py, &text))
}
