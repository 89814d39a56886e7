//! `render` as `CPython` calls it fastest: the arguments in an array, keywords without a dict.
//!
//! `PyO3` gives a method that takes any keyword a tuple and a dict for each call, which costs as much as reading a
//! short conversation. So this one method is put into its class by hand.
#![allow(
    unsafe_code,
    reason = "a method is entered in the class, and called, as CPython's C interface has it"
)]

use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::TemplateCore;
use crate::guard::guarded;

type Object = *mut ffi::PyObject;
type Given<'c, 'py> = Borrowed<'c, 'py, PyAny>;

/// The arguments of a render beside the messages. `None` counts as not given, except for the flag, which a template sees
/// as it is given.
#[derive(Default)]
pub(super) struct Settings<'c, 'py> {
    pub(super) tools: Option<Given<'c, 'py>>,
    pub(super) documents: Option<Given<'c, 'py>>,
    pub(super) add_generation_prompt: Option<Given<'c, 'py>>,
    pub(super) continue_final_message: Option<Given<'c, 'py>>,
    /// Further keywords: names, which are strings, and values.
    pub(super) others: Vec<(Given<'c, 'py>, Given<'c, 'py>)>,
}

impl<'py> Settings<'_, 'py> {
    /// Whether no final message has to be continued, which the slow way does.
    pub(super) fn is_plain(&self) -> PyResult<bool> {
        self.continue_final_message.map_or(Ok(true), |field| field.is_truthy().map(|set| !set))
    }

    /// The further keywords as Python has them.
    pub(super) fn keywords(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.others.is_empty() {
            return Ok(None);
        }
        let keywords = PyDict::new(py);
        for (name, value) in &self.others {
            keywords.set_item(name, value)?;
        }
        Ok(Some(keywords))
    }
}

const MESSAGES: usize = 0;
const TOOLS: usize = 1;
const DOCUMENTS: usize = 2;
const PROMPT: usize = 3;
const FINAL: usize = 4;
const NAMES: [&str; 5] =
    ["messages", "tools", "documents", "add_generation_prompt", "continue_final_message"];

/// The entry of a method in `CPython`'s tables. It points at what is as static as itself.
struct Method(ffi::PyMethodDef);

// SAFETY: nobody writes to it.
unsafe impl Sync for Method {}

static RENDER: Method = Method(ffi::PyMethodDef {
    ml_name: c"render".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: render },
    ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
    ml_doc: c"render($self, messages, tools=None, documents=None, add_generation_prompt=False, \
        continue_final_message=False, **kwargs)\n--\n\nMake the prompt text for a conversation."
        .as_ptr(),
});

/// Gives the class its method `render`.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<TemplateCore>();
    // SAFETY: the class is alive, and the entry is static.
    let method = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyDescr_NewMethod(class.as_type_ptr(), (&raw const RENDER.0).cast_mut()),
        )?
    };
    class.setattr("render", method)
}

/// # Safety
/// Called by `CPython` through the method's descriptor, which sees to it that `this` is a `TemplateCore`.
unsafe extern "C" fn render(
    this: Object,
    arguments: *const Object,
    positional: ffi::Py_ssize_t,
    names: Object,
) -> Object {
    // SAFETY: CPython calls a method with the interpreter held. (To take hold of it once more costs as much as a turn.)
    let py = unsafe { Python::assume_attached() };
    // SAFETY: as promised; CPython holds the arguments during the call.
    let call = || unsafe {
        let this = Borrowed::from_ptr(py, this).cast_unchecked::<TemplateCore>();
        let (messages, settings) = parsed(py, arguments, positional.cast_unsigned(), names)?;
        TemplateCore::render(&this, &messages, &settings)
    };
    match guarded(call) {
        Ok(text) => text.into_ptr(),
        Err(failure) => {
            failure.restore(py);
            null_mut()
        }
    }
}

/// # Safety
/// There are as many arguments as `positional` and `names`, a tuple of strings or null, say.
unsafe fn parsed<'c>(
    py: Python<'_>,
    arguments: *const Object,
    positional: usize,
    names: Object,
) -> PyResult<(Given<'c, '_>, Settings<'c, '_>)> {
    let mut given = [null_mut(); NAMES.len()];
    if positional > NAMES.len() {
        let message = format!(
            "ChatTemplate.render() takes from 1 to {} positional arguments but {positional} were given",
            NAMES.len()
        );
        return Err(PyTypeError::new_err(message));
    }
    let mut others = Vec::new();
    // SAFETY: as promised.
    unsafe {
        for (place, object) in given.iter_mut().take(positional).enumerate() {
            *object = *arguments.add(place);
        }
        let keywords = if names.is_null() { 0 } else { ffi::PyTuple_Size(names).cast_unsigned() };
        for place in 0..keywords {
            let name = ffi::PyTuple_GetItem(names, place.cast_signed());
            let value = *arguments.add(positional + place);
            match place_of(py, name) {
                Some(known) if given[known].is_null() => given[known] = value,
                Some(known) => {
                    let message =
                        format!("ChatTemplate.render() got multiple values for argument '{}'", NAMES[known]);
                    return Err(PyTypeError::new_err(message));
                }
                None => others.push((Borrowed::from_ptr(py, name), Borrowed::from_ptr(py, value))),
            }
        }
        if given[MESSAGES].is_null() {
            let message = "ChatTemplate.render() missing 1 required positional argument: 'messages'";
            return Err(PyTypeError::new_err(message));
        }
        let optional = |place: usize| {
            let object = given[place];
            (!object.is_null() && object != ffi::Py_None()).then(|| Borrowed::from_ptr(py, object))
        };
        let settings = Settings {
            tools: optional(TOOLS),
            documents: optional(DOCUMENTS),
            add_generation_prompt: (!given[PROMPT].is_null()).then(|| Borrowed::from_ptr(py, given[PROMPT])),
            continue_final_message: optional(FINAL),
            others,
        };
        Ok((Borrowed::from_ptr(py, given[MESSAGES]), settings))
    }
}

/// Which argument has this name. The names in a program are shared, so most are known by their place in memory.
///
/// # Safety
/// `name` is a string, alive.
unsafe fn place_of(py: Python<'_>, name: Object) -> Option<usize> {
    let shared = pyo3::intern!(py, "add_generation_prompt");
    if shared.as_ptr() == name {
        return Some(PROMPT);
    }
    // SAFETY: as promised.
    let name = unsafe { super::reader::borrowed(name)? };
    NAMES.iter().position(|known| *known == name)
}
