//! Chat templates for Python: reads dicts, lists and strings in place and gives one string back.
//!
//! The texts of Python strings are borrowed while the interpreter is held, so nothing is copied on the way in. Only
//! exact built-in types are read here; for anything else the caller is told ([`NotPlainError`]) and prepares the data in
//! Python. `unsafe` is confined to reading the interpreter's objects in this file.
#![allow(unsafe_code, reason = "strings are borrowed from CPython for the length of one call under the GIL")]

use std::cell::Cell;

use clemcore::template::{
    Arena, Clock, Data, ErrorKind, Fault, Input, Options, Template, set_printable_oracle,
};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

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

/// A larger output buffer is not kept for the next render.
const KEPT_BUFFER: usize = 1 << 20;

/// Containers deeper than this are left to Python.
const MAX_DEPTH: u32 = 200;

/// Year, month, day, hour, minute, second, microsecond.
type Moment = (i32, u32, u32, u32, u32, u32, u32);

/// A rendered text and the character ranges that the assistant generated.
type TextAndSpans<'py> = (Bound<'py, PyString>, Vec<(usize, usize)>);

/// What `clemcore.templates.ChatTemplate` is made of: the compiled template, the special tokens, the quick render.
#[pyclass(frozen, subclass, module = "clemcore._core")]
pub(crate) struct TemplateCore {
    compiled: Result<Template, String>,
    special: Vec<(String, Data)>,
    drop_none: bool,
    alias_reasoning: bool,
}

#[pymethods]
impl TemplateCore {
    #[new]
    #[pyo3(signature = (source, special_tokens = None, now = None, *, drop_none = true, alias_reasoning = true))]
    fn new(
        py: Python<'_>,
        source: &Bound<'_, PyString>,
        special_tokens: Option<&Bound<'_, PyDict>>,
        now: Option<&Bound<'_, PyAny>>,
        drop_none: bool,
        alias_reasoning: bool,
    ) -> PyResult<Self> {
        let _ = now; // the clock is the subclass's
        set_printable_oracle(is_printable);
        let lookup = |name: &str| character(py, name);
        let compiled = match source.to_str() {
            Err(_) => Err("a template with a lone surrogate".to_owned()),
            Ok(source) => match Template::compile(source, &lookup) {
                Ok(template) => Ok(template),
                Err(fault) if fault.error.kind == ErrorKind::Unsupported => Err(fault.error.message),
                Err(fault) => return Err(error(&fault)),
            },
        };
        let mut special = Vec::new();
        for (name, token) in special_tokens.into_iter().flatten() {
            let token = match token.extract::<String>() {
                Ok(text) => Data::Str(text),
                Err(_) => Data::List(token.extract::<Vec<String>>()?.into_iter().map(Data::Str).collect()),
            };
            special.push((name.extract()?, token));
        }
        Ok(Self { compiled, special, drop_none, alias_reasoning })
    }

    /// Why only jinja2 can render this template, if so.
    #[getter]
    fn unsupported(&self) -> Option<&str> {
        self.compiled.as_ref().err().map(String::as_str)
    }

    /// The names that the template reads from its context, when it is compiled.
    #[getter]
    fn names(&self) -> Option<Vec<String>> {
        self.compiled.as_ref().ok().map(|template| template.variables().to_vec())
    }

    /// Make the prompt text for a conversation.
    #[pyo3(signature = (
        messages, tools = None, documents = None, add_generation_prompt = None, continue_final_message = None, **kwargs
    ))]
    #[allow(clippy::too_many_arguments, reason = "the signature of apply_chat_template")]
    fn render<'py>(
        slf: &Bound<'py, Self>,
        messages: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        documents: Option<&Bound<'py, PyAny>>,
        add_generation_prompt: Option<&Bound<'py, PyAny>>,
        continue_final_message: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let plain = match continue_final_message {
            None => true,
            Some(field) => !field.is_truthy()?,
        };
        if plain {
            match slf.get().quick(slf, messages, tools, documents, add_generation_prompt, kwargs) {
                Ok(text) => return Ok(text.into_any()),
                Err(failure)
                    if failure.is_instance_of::<NotPlainError>(py)
                        || failure.is_instance_of::<UnsupportedError>(py) => {}
                Err(failure) => return Err(failure),
            }
        }
        let none = py.None().into_bound(py);
        let no = || PyBool::new(py, false).to_owned().into_any();
        let arguments = (
            messages,
            tools.unwrap_or(&none),
            documents.unwrap_or(&none),
            add_generation_prompt.map_or_else(no, Clone::clone),
            continue_final_message.map_or_else(no, Clone::clone),
            kwargs,
        );
        slf.call_method1(intern!(py, "_render_slowly"), arguments)
    }

    /// Make the prompt text of each conversation.
    #[pyo3(signature = (
        conversations, tools = None, documents = None, add_generation_prompt = None, continue_final_message = None,
        **kwargs
    ))]
    #[allow(clippy::too_many_arguments, reason = "the signature of apply_chat_template")]
    fn render_batch<'py>(
        slf: &Bound<'py, Self>,
        conversations: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        documents: Option<&Bound<'py, PyAny>>,
        add_generation_prompt: Option<&Bound<'py, PyAny>>,
        continue_final_message: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let one = |chat: PyResult<Bound<'py, PyAny>>| {
            let (prompt, last) = (add_generation_prompt, continue_final_message);
            Self::render(slf, &chat?, tools, documents, prompt, last, kwargs)
        };
        conversations.try_iter()?.map(one).collect()
    }

    /// Render with these variables and nothing else; later dicts win. Raises `UnsupportedError` and `NotPlainError`.
    /// Beside the text: the character ranges that `generation` blocks wrote.
    #[pyo3(signature = (context, now = None))]
    fn render_context<'py>(
        &self,
        py: Python<'py>,
        context: Vec<Bound<'py, PyDict>>,
        now: Option<Moment>,
    ) -> PyResult<TextAndSpans<'py>> {
        let template = self.template()?;
        let arena = ARENA.take();
        let mut reader = Reader::new(&arena);
        let mut variables = Vec::with_capacity(16);
        for dict in &context {
            // SAFETY: the dict is alive and the interpreter held until the end of this function.
            unsafe { reader.variables(dict.as_ptr(), &mut variables)? };
        }
        let options = Options { clock: now.map(clock), input_bytes: reader.bytes };
        let rendered = template.render(&variables, options, take_buffer()).map_err(|fault| error(&fault))?;
        let text = PyString::new(py, &rendered.text);
        let spans = rendered.character_spans();
        give_buffer(rendered.text);
        drop(variables);
        drop(reader);
        give_arena(arena);
        Ok((text, spans))
    }

    /// Whether the template asks for the time.
    #[getter]
    fn uses_clock(&self) -> bool {
        self.compiled.as_ref().is_ok_and(Template::uses_clock)
    }
}

impl TemplateCore {
    fn template(&self) -> PyResult<&Template> {
        self.compiled.as_ref().map_err(|reason| UnsupportedError::new_err(reason.clone()))
    }

    /// Everything in one pass, for data of exact built-in types.
    fn quick<'py>(
        &self,
        owner: &Bound<'py, Self>,
        messages: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        documents: Option<&Bound<'py, PyAny>>,
        add_generation_prompt: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyString>> {
        let py = owner.py();
        let template = self.template()?;
        let arena = ARENA.take();
        let mut reader = Reader::new(&arena);
        (reader.drop_none, reader.alias_reasoning) = (self.drop_none, self.alias_reasoning);
        let mut variables = Vec::with_capacity(self.special.len() + 8);
        for (name, token) in &self.special {
            let token = Input::data(token).map_err(|e| UnsupportedError::new_err(e.to_string()))?;
            variables.push((name.as_str(), token));
        }
        // SAFETY: all objects are alive and the interpreter is held until the end of this function.
        unsafe {
            if let Some(kwargs) = kwargs {
                reader.variables(kwargs.as_ptr(), &mut variables)?;
            }
            variables.push(("messages", reader.messages(messages.as_ptr())?));
            variables.push(("tools", reader.tools(tools)?));
            variables.push(("documents", reader.tools(documents)?));
            let flag = match add_generation_prompt {
                None => Input::bool(false),
                Some(flag) => reader.value(flag.as_ptr())?,
            };
            variables.push(("add_generation_prompt", flag));
        }
        let now = if template.uses_clock() {
            Some(clock(owner.call_method0(intern!(py, "_moment"))?.extract()?))
        } else {
            None
        };
        let options = Options { clock: now, input_bytes: reader.bytes };
        let rendered = template.render(&variables, options, take_buffer()).map_err(|fault| error(&fault))?;
        let text = PyString::new(py, &rendered.text);
        give_buffer(rendered.text);
        drop(variables);
        drop(reader);
        give_arena(arena);
        Ok(text)
    }
}

thread_local! {
    /// The memory of the last text, for the next one.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
    /// The memory of the last input, for the next one.
    static ARENA: Cell<Arena> = Cell::default();
}

fn give_arena(mut arena: Arena) {
    if arena.size() <= KEPT_BUFFER {
        arena.reset();
        ARENA.set(arena);
    }
}

fn take_buffer() -> String {
    BUFFER.take()
}

fn give_buffer(buffer: String) {
    if buffer.capacity() <= KEPT_BUFFER {
        BUFFER.set(buffer);
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

/// Why data cannot be read here. Small, because every value that is read comes as a result.
#[derive(Clone, Copy)]
enum Stop {
    NotPlain(&'static str),
    Unsupported(&'static str),
}

type Read<T> = Result<T, Stop>;

impl From<Stop> for PyErr {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::NotPlain(reason) => NotPlainError::new_err(reason),
            Stop::Unsupported(reason) => UnsupportedError::new_err(reason),
        }
    }
}

/// Reads Python objects as inputs of a render.
struct Reader<'a> {
    arena: &'a Arena,
    /// The items of the containers that are being read, innermost last.
    items: Vec<Input<'a>>,
    keys: [(*mut ffi::PyObject, &'a str); 4],
    next_key: usize,
    bytes: usize,
    depth: u32,
    /// Leave out the entries of a message that are `None`.
    drop_none: bool,
    /// Give a message's reasoning under every name that templates read.
    alias_reasoning: bool,
}

/// What a message's reasoning is called; the first that is set counts.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

impl<'a> Reader<'a> {
    fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            items: Vec::with_capacity(512),
            keys: [(std::ptr::null_mut(), ""); 4],
            next_key: 0,
            bytes: 0,
            depth: 0,
            drop_none: false,
            alias_reasoning: false,
        }
    }

    /// Reads the entries of a dict as variables.
    ///
    /// # Safety
    /// `dict` is a dict that lives, with all in it, as long as `'a`, and the interpreter is held all that time.
    unsafe fn variables(
        &mut self,
        dict: *mut ffi::PyObject,
        out: &mut Vec<(&'a str, Input<'a>)>,
    ) -> Read<()> {
        let (mut place, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: see above; nothing here runs Python code, so the dict cannot change.
        while unsafe { ffi::PyDict_Next(dict, &raw mut place, &raw mut key, &raw mut value) } != 0 {
            // SAFETY: `key` and `value` are borrowed from the dict.
            unsafe { out.push((self.text(key)?, self.value(value)?)) };
        }
        Ok(())
    }

    /// The conversation: a list of dicts, prepared as transformers prepares it.
    ///
    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn messages(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
        // SAFETY: a live object; the list and the dicts cannot change while they are read.
        unsafe {
            if ffi::PyList_CheckExact(object) == 0 || ffi::PyList_Size(object) == 0 {
                return Err(Stop::NotPlain("messages that are no list"));
            }
            let start = self.items.len();
            for place in 0..ffi::PyList_Size(object) {
                let message = ffi::PyList_GetItem(object, place);
                if ffi::PyDict_CheckExact(message) == 0 {
                    return Err(Stop::NotPlain("a message that is no dict"));
                }
                let message = self.message(message)?;
                self.items.push(message);
            }
            Input::list_in(self.arena, &mut self.items, start, false).map_err(refused)
        }
    }

    unsafe fn message(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
        let start = self.items.len();
        let mut reasoning: [Option<Input<'a>>; 3] = [const { None }; 3];
        // SAFETY: a live dict, which cannot change while it is read.
        unsafe {
            let (mut place, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(object, &raw mut place, &raw mut key, &raw mut value) != 0 {
                if value == ffi::Py_None() && self.drop_none {
                    continue;
                }
                if ffi::PyUnicode_CheckExact(key) == 0 {
                    return Err(Stop::NotPlain("a key that is no string"));
                }
                let name = self.key(key)?;
                let item = self.value(value)?;
                if self.alias_reasoning
                    && value != ffi::Py_None()
                    && let Some(rank) = REASONING.iter().position(|known| *known == name)
                {
                    reasoning[rank] = Some(item.clone());
                }
                self.items.push(Input::str(name));
                self.items.push(item);
            }
        }
        if let Some(thought) = reasoning.iter().flatten().next() {
            self.alias(start, thought);
        }
        Input::dict_in(self.arena, &mut self.items, start).map_err(refused)
    }

    /// Puts the reasoning of the message that starts at `start` under each name: `thinking` comes first unless it is
    /// there, `reasoning_content` last unless it is there.
    fn alias(&mut self, start: usize, thought: &Input<'a>) {
        let place = |items: &[Input<'a>], name: &str| {
            items[start..].iter().step_by(2).position(|key| key.as_str() == Some(name)).map(|i| start + 2 * i)
        };
        if place(&self.items, REASONING[1]).is_none() {
            self.items.splice(start..start, [Input::str(REASONING[1]), thought.clone()]);
        }
        match place(&self.items, REASONING[0]) {
            Some(at) => self.items[at + 1] = thought.clone(),
            None => self.items.extend([Input::str(REASONING[0]), thought.clone()]),
        }
    }

    /// The text of a key. The same few keys come again and again, so the last ones are remembered.
    ///
    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn key(&mut self, object: *mut ffi::PyObject) -> Read<&'a str> {
        if let Some((_, name)) = self.keys.iter().find(|(known, _)| *known == object) {
            return Ok(name);
        }
        // SAFETY: as promised.
        let name = unsafe { self.text(object)? };
        self.keys[self.next_key] = (object, name);
        self.next_key = (self.next_key + 1) % self.keys.len();
        Ok(name)
    }

    /// Tools or documents: nothing, or a list of dicts.
    ///
    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn tools(&mut self, object: Option<&Bound<'_, PyAny>>) -> Read<Input<'a>> {
        let Some(object) = object else { return Ok(Input::none()) };
        let object = object.as_ptr();
        // SAFETY: a live object, as promised.
        unsafe {
            if ffi::PyList_CheckExact(object) == 0 {
                return Err(Stop::NotPlain("tools that are no list"));
            }
            for place in 0..ffi::PyList_Size(object) {
                if ffi::PyDict_CheckExact(ffi::PyList_GetItem(object, place)) == 0 {
                    return Err(Stop::NotPlain("a tool that is no dict"));
                }
            }
            self.value(object)
        }
    }

    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn text(&mut self, object: *mut ffi::PyObject) -> Read<&'a str> {
        let mut length = 0;
        // SAFETY: a live object; CPython keeps the UTF-8 form of a string as long as the string.
        let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length) };
        if data.is_null() {
            // SAFETY: the interpreter is held.
            unsafe { ffi::PyErr_Clear() };
            return Err(Stop::Unsupported("a string with a lone surrogate"));
        }
        let length = usize::try_from(length).unwrap_or(0);
        self.bytes += length;
        // SAFETY: CPython gave valid UTF-8 of this length.
        Ok(unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), length)) })
    }

    /// # Safety
    /// As for [`Self::variables`].
    unsafe fn value(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
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
                return integer(self.arena, object);
            }
            if ffi::PyFloat_CheckExact(object) != 0 {
                return Ok(Input::float(ffi::PyFloat_AsDouble(object)));
            }
            if ffi::PyTuple_CheckExact(object) != 0 {
                return self.nested(|reader| reader.tuple(object));
            }
        }
        Err(Stop::NotPlain("an object of another type than JSON has"))
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Read<Input<'a>>) -> Read<Input<'a>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Stop::Unsupported("very deeply nested data"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    unsafe fn dict(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
        let start = self.items.len();
        // SAFETY: a live dict, which cannot change while it is read.
        unsafe {
            let (mut place, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(object, &raw mut place, &raw mut key, &raw mut value) != 0 {
                let (key, value) = (self.value(key)?, self.value(value)?);
                self.items.push(key);
                self.items.push(value);
            }
        }
        Input::dict_in(self.arena, &mut self.items, start).map_err(refused)
    }

    unsafe fn list(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
        let start = self.items.len();
        // SAFETY: a live list, which cannot change while it is read.
        unsafe {
            for place in 0..ffi::PyList_Size(object) {
                let item = self.value(ffi::PyList_GetItem(object, place))?;
                self.items.push(item);
            }
        }
        Input::list_in(self.arena, &mut self.items, start, false).map_err(refused)
    }

    unsafe fn tuple(&mut self, object: *mut ffi::PyObject) -> Read<Input<'a>> {
        let start = self.items.len();
        // SAFETY: a live tuple, which never changes.
        unsafe {
            for place in 0..ffi::PyTuple_Size(object) {
                let item = self.value(ffi::PyTuple_GetItem(object, place))?;
                self.items.push(item);
            }
        }
        Input::list_in(self.arena, &mut self.items, start, true).map_err(refused)
    }
}

fn refused(_: Box<clemcore::template::Error>) -> Stop {
    Stop::Unsupported("very deeply nested data")
}

/// # Safety
/// `object` is a live int and the interpreter is held.
unsafe fn integer(arena: &Arena, object: *mut ffi::PyObject) -> Read<Input<'_>> {
    let mut overflow = 0;
    // SAFETY: as promised.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
    if overflow == 0 {
        return Ok(Input::int(value));
    }
    Python::attach(|py| {
        // SAFETY: a live object; the new reference is its own.
        let number = unsafe { Bound::from_borrowed_ptr(py, object) };
        let digits = number.str().map_err(|_| Stop::Unsupported("a very large integer"))?.to_string();
        Input::big_int_in(arena, &digits).ok_or(Stop::Unsupported("a very large integer"))
    })
}
