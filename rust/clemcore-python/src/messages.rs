//! Lists of messages as Python has them, looked at without a copy.
use crate::guard::guarded;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyString};

/// Whether all messages are a role of `roles` and a text, and nothing else.
#[pyfunction]
pub(crate) fn are_plain_messages(
    messages: &Bound<'_, PyList>,
    roles: &Bound<'_, PyFrozenSet>,
) -> PyResult<bool> {
    guarded(|| {
        let (role, content) = (pyo3::intern!(messages.py(), "role"), pyo3::intern!(messages.py(), "content"));
        let is_plain = |message: Bound<'_, PyAny>| -> PyResult<bool> {
            let Ok(fields) = message.cast_exact::<PyDict>() else { return Ok(false) };
            let (Some(role), Some(content)) = (fields.get_item(role)?, fields.get_item(content)?) else {
                return Ok(false);
            };
            let are_texts =
                role.is_exact_instance_of::<PyString>() && content.is_exact_instance_of::<PyString>();
            Ok(are_texts && fields.len() == 2 && roles.contains(role)?)
        };
        for message in messages.iter() {
            if !is_plain(message)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// A copy of each message, where no two neighbours have the same role; None where two have, or one is no plain dict
/// with a text as its role.
#[pyfunction]
pub(crate) fn alternating_messages<'py>(
    messages: &Bound<'py, PyList>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    guarded(|| {
        let name = pyo3::intern!(messages.py(), "role");
        let copies = PyList::empty(messages.py());
        let mut last: Option<Bound<'_, PyString>> = None;
        for message in messages.iter() {
            let Ok(fields) = message.cast_exact::<PyDict>() else { return Ok(None) };
            let Some(role) = fields.get_item(name)? else { return Ok(None) };
            let Ok(role) = role.cast_into_exact::<PyString>() else { return Ok(None) };
            if let Some(last) = last
                && (last.is(&role) || last.as_any().eq(&role)?)
            {
                return Ok(None);
            }
            copies.append(fields.copy()?)?;
            last = Some(role);
        }
        Ok(Some(copies))
    })
}

/// How many of the first messages are a role and a content, in this order, and the very objects of `known`: role,
/// content, role, content, and so on.
#[pyfunction]
pub(crate) fn leading_messages(messages: &Bound<'_, PyList>, known: &Bound<'_, PyList>) -> PyResult<usize> {
    guarded(|| {
        let names = [pyo3::intern!(messages.py(), "role"), pyo3::intern!(messages.py(), "content")];
        let is_known = |index: usize, message: &Bound<'_, PyAny>| {
            let Ok(fields) = message.cast_exact::<PyDict>() else { return false };
            if fields.len() != 2 {
                return false;
            }
            for (place, ((name, value), wanted)) in (2 * index..).zip(fields.iter().zip(names)) {
                let is_named = name.is(wanted) || name.cast_exact::<PyString>().is_ok_and(|name| {
                    matches!((name.to_str(), wanted.to_str()), (Ok(name), Ok(wanted)) if name == wanted)
                });
                if !is_named || !known.get_item(place).is_ok_and(|known| known.is(&value)) {
                    return false;
                }
            }
            true
        };
        let most = known.len() / 2;
        Ok(messages
            .iter()
            .take(most)
            .enumerate()
            .take_while(|(index, message)| is_known(*index, message))
            .count())
    })
}
