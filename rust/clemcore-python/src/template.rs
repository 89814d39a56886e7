//! Chat templates for Python: reads dicts, lists and strings in place and gives one string back.
//!
//! The texts of Python strings are borrowed while the interpreter is held, so nothing is copied on the way in. Only
//! exact built-in types are read here; for anything else the caller is told ([`NotPlainError`]) and prepares the data in
//! Python. `unsafe` is confined to reading the interpreter's objects in this file.
#![allow(unsafe_code, reason = "strings are borrowed from CPython for the length of one call under the GIL")]

use clemcore::template::{
    Clock, ErrorKind, Fault, Input, InputDict, Options, Template, set_printable_oracle,
};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

pyo3::import_exception!(clemcore.errors, TemplateError);
pyo3::create_exception!(
    _core,
    UnsupportedError,
    pyo3::exceptions::PyException,
    "Only jinja2 can render this."
);
pyo3::create_exception!(
    _core,
    NotPlainError,
    pyo3::exceptions::PyException,
    "The data has to be made plain first."
);

/// Containers deeper than this are left to Python.
const MAX_DEPTH: u32 = 200;

/// A compiled chat template.
#[pyclass(frozen, module = "clemcore._core")]
pub(crate) struct CompiledTemplate(Template);

/// Year, month, day, hour, minute, second, microsecond.
type Moment = (i32, u32, u32, u32, u32, u32, u32);

#[pymethods]
impl CompiledTemplate {
    #[new]
    fn new(py: Python<'_>, source: &str) -> PyResult<Self> {
        set_printable_oracle(is_printable);
        let lookup = |name: &str| character(py, name);
        Template::compile(source, &lookup).map(Self).map_err(|fault| error(&fault))
    }

    /// The names that the template reads from its context.
    #[getter]
    fn variables(&self) -> Vec<String> {
        self.0.variables().to_vec()
    }

    /// Whether the template asks for the time.
    #[getter]
    fn uses_clock(&self) -> bool {
        self.0.uses_clock()
    }

    /// Render with these variables; later dicts win. `messages` may be changed as transformers changes them.
    #[pyo3(signature = (context, now = None))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        context: Vec<Bound<'py, PyDict>>,
        now: Option<Moment>,
    ) -> PyResult<Bound<'py, PyString>> {
        let mut reader = Reader { bytes: 0, depth: 0 };
        let mut variables = Vec::with_capacity(16);
        for dict in &context {
            // SAFETY: the dict is alive and the interpreter held until the end of this function.
            unsafe { reader.variables(dict.as_ptr(), &mut variables)? };
        }
        let options = Options { clock: now.map(clock), input_bytes: reader.bytes };
        let rendered = self.0.render(&variables, options).map_err(|fault| error(&fault))?;
        Ok(PyString::new(py, &rendered.text))
    }
}

fn clock(now: Moment) -> Clock {
    let (year, month, day, hour, minute, second, microsecond) = now;
    Clock { year, month, day, hour, minute, second, microsecond }
}

fn error(fault: &Fault) -> PyErr {
    match fault.error.kind {
        ErrorKind::Unsupported => UnsupportedError::new_err(fault.error.message.clone()),
        _ => Python::attach(|py| {
            let place = fault.place.as_ref();
            let keywords = PyDict::new(py);
            let build = || {
                keywords.set_item("line", place.map(|p| p.line))?;
                keywords.set_item("column", place.map(|p| p.column))?;
                keywords.set_item("excerpt", place.map(|p| p.excerpt.as_str()))?;
                py.get_type::<TemplateError>().call((fault.error.message.as_str(),), Some(&keywords))
            };
            build().map_or_else(|failure| failure, PyErr::from_value)
        }),
    }
}

/// `unicodedata.lookup(name)`.
fn character(py: Python<'_>, name: &str) -> Option<char> {
    let found = py.import("unicodedata").and_then(|module| module.call_method1("lookup", (name,))).ok()?;
    found.extract::<String>().ok()?.chars().next()
}

/// `str.isprintable`, for characters that the core's tables do not know.
fn is_printable(c: char) -> bool {
    Python::attach(|py| {
        let text = PyString::new(py, c.encode_utf8(&mut [0; 4]));
        text.call_method0("isprintable").and_then(|answer| answer.extract()).unwrap_or(false)
    })
}

/// Reads Python objects as inputs of a render.
struct Reader {
    bytes: usize,
    depth: u32,
}

impl Reader {
    /// Reads the entries of a dict as variables.
    ///
    /// # Safety
    /// `dict` is a dict that lives, with all in it, as long as `'a`, and the interpreter is held all that time.
    unsafe fn variables<'a>(
        &mut self,
        dict: *mut ffi::PyObject,
        out: &mut Vec<(&'a str, Input<'a>)>,
    ) -> PyResult<()> {
        let (mut place, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: see above; nothing here runs Python code, so the dict cannot change.
        while unsafe { ffi::PyDict_Next(dict, &raw mut place, &raw mut key, &raw mut value) } != 0 {
            // SAFETY: `key` and `value` are borrowed from the dict.
            unsafe { out.push((self.text(key)?, self.value(value)?)) };
        }
        Ok(())
    }

    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn text<'a>(&mut self, object: *mut ffi::PyObject) -> PyResult<&'a str> {
        let mut length = 0;
        // SAFETY: a live object; CPython keeps the UTF-8 form of a string as long as the string.
        let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length) };
        if data.is_null() {
            // SAFETY: the interpreter is held.
            unsafe { ffi::PyErr_Clear() };
            return Err(UnsupportedError::new_err("a string with a lone surrogate"));
        }
        let length = usize::try_from(length).unwrap_or(0);
        self.bytes += length;
        // SAFETY: CPython gave valid UTF-8 of this length.
        Ok(unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), length)) })
    }

    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn value<'a>(&mut self, object: *mut ffi::PyObject) -> PyResult<Input<'a>> {
        // SAFETY: a live object under a held interpreter, in every line below.
        unsafe {
            if ffi::PyUnicode_CheckExact(object) != 0 {
                return self.text(object).map(Input::str);
            }
            if object == ffi::Py_None() {
                return Ok(Input::none());
            }
            if ffi::PyBool_Check(object) != 0 {
                return Ok(Input::bool(object == ffi::Py_True()));
            }
            if ffi::PyDict_CheckExact(object) != 0 {
                return self.nested(|reader| reader.dict(object));
            }
            if ffi::PyList_CheckExact(object) != 0 {
                return self.nested(|reader| reader.list(object));
            }
            if ffi::PyLong_CheckExact(object) != 0 {
                return integer(object);
            }
            if ffi::PyFloat_CheckExact(object) != 0 {
                return Ok(Input::float(ffi::PyFloat_AsDouble(object)));
            }
            if ffi::PyTuple_CheckExact(object) != 0 {
                return self.nested(|reader| reader.tuple(object));
            }
        }
        Err(NotPlainError::new_err("an object of another type than JSON has"))
    }

    fn nested<'a>(&mut self, read: impl FnOnce(&mut Self) -> PyResult<Input<'a>>) -> PyResult<Input<'a>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(UnsupportedError::new_err("very deeply nested data"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    unsafe fn dict<'a>(&mut self, object: *mut ffi::PyObject) -> PyResult<Input<'a>> {
        // SAFETY: a live dict, which cannot change while it is read.
        unsafe {
            let size = usize::try_from(ffi::PyDict_Size(object)).unwrap_or(0);
            let mut dict = InputDict::with_capacity(size);
            let (mut place, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(object, &raw mut place, &raw mut key, &raw mut value) != 0 {
                dict.push(self.value(key)?, self.value(value)?);
            }
            dict.finish().map_err(|e| UnsupportedError::new_err(e.to_string()))
        }
    }

    unsafe fn list<'a>(&mut self, object: *mut ffi::PyObject) -> PyResult<Input<'a>> {
        // SAFETY: a live list, which cannot change while it is read.
        unsafe {
            let size = ffi::PyList_Size(object);
            let mut items = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            for place in 0..size {
                items.push(self.value(ffi::PyList_GetItem(object, place))?);
            }
            Input::list(items).map_err(|e| UnsupportedError::new_err(e.to_string()))
        }
    }

    unsafe fn tuple<'a>(&mut self, object: *mut ffi::PyObject) -> PyResult<Input<'a>> {
        // SAFETY: a live tuple, which never changes.
        unsafe {
            let size = ffi::PyTuple_Size(object);
            let mut items = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            for place in 0..size {
                items.push(self.value(ffi::PyTuple_GetItem(object, place))?);
            }
            Input::tuple(items).map_err(|e| UnsupportedError::new_err(e.to_string()))
        }
    }
}

/// # Safety
/// `object` is a live int and the interpreter is held.
unsafe fn integer<'a>(object: *mut ffi::PyObject) -> PyResult<Input<'a>> {
    let mut overflow = 0;
    // SAFETY: as promised.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
    if overflow == 0 {
        return Ok(Input::int(value));
    }
    Python::attach(|py| {
        // SAFETY: a live object; the new reference is its own.
        let number = unsafe { Bound::from_borrowed_ptr(py, object) };
        let digits = number.str().map_err(|_| UnsupportedError::new_err("a very large integer"))?.to_string();
        Input::big_int(&digits).ok_or_else(|| PyTypeError::new_err("not an integer"))
    })
}
