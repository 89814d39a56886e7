//! Chat templates for Python: reads dicts, lists and strings in place and gives one string back.
//!
//! Only exact built-in types are read ([`reader`]); for anything else the caller is told ([`NotPlainError`]) and
//! prepares the data in Python.

mod batch;
pub(crate) mod entry;
#[cfg(feature = "handwritten")]
pub(crate) mod handwritten;
mod long;
mod memory;
mod reader;

use clemcore::template::{
    Clock, Data, ErrorKind, Fault, Input, Template, UNICODE_VERSION, Variables, set_newer_printable,
    unassigned,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::guard::guarded;
use entry::Settings;
use long::Failure;
use memory::Memory;
use reader::{Reader, Stop};

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

/// Year, month, day, hour, minute, second, microsecond.
type Moment = (i32, u32, u32, u32, u32, u32, u32);

/// A rendered text and the character ranges that the assistant generated.
type TextAndSpans<'py> = (Bound<'py, PyString>, Vec<(usize, usize)>);

/// What `clemcore.prompts.templates.ChatTemplate` is made of: the compiled template, the special tokens, the quick render.
#[pyclass(frozen, subclass, module = "clemcore._core")]
pub(crate) struct TemplateCore {
    compiled: Result<Template, String>,
    /// The special tokens that the template reads, by their places.
    special: Vec<(usize, Data)>,
    arguments: Places,
    drop_none: bool,
    alias_reasoning: bool,
}

/// Where the template has the arguments of a render that it reads.
#[derive(Default)]
struct Places {
    messages: Option<usize>,
    tools: Option<usize>,
    documents: Option<usize>,
    add_generation_prompt: Option<usize>,
}

impl Places {
    fn of(template: &Template) -> Self {
        Self {
            messages: template.place_of("messages"),
            tools: template.place_of("tools"),
            documents: template.place_of("documents"),
            add_generation_prompt: template.place_of("add_generation_prompt"),
        }
    }
}

/// An argument that may be `None` and given all the same: a template sees it as it is.
enum Flag<'py> {
    Absent,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Flag<'py> {
    type Error = std::convert::Infallible;

    fn extract(flag: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self::Given(flag.to_owned()))
    }
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
        guarded(|| {
            let _ = now; // the clock is the subclass's
            learn_newer_characters(py)?;
            let lookup = |name: &str| character(py, name);
            let compiled = match source.to_str() {
                Err(_) => Err("a template with a lone surrogate".to_owned()),
                Ok(source) => match Template::compile(source, &lookup) {
                    Ok(template) => Ok(template),
                    Err(fault) if fault.error.kind == ErrorKind::Unsupported => Err(fault.error.message),
                    Err(fault) => return Err(error(py, &fault)),
                },
            };
            let mut special = Vec::new();
            // A copy, because reading a token that is a sequence can run Python code, and that can change the dict.
            for (name, token) in special_tokens.map(PyDictMethods::copy).transpose()?.iter().flatten() {
                let token = match token.extract::<String>() {
                    Ok(text) => Data::Str(text),
                    Err(_) => {
                        Data::List(token.extract::<Vec<String>>()?.into_iter().map(Data::Str).collect())
                    }
                };
                let name: String = name.extract()?;
                if let Some(place) =
                    compiled.as_ref().ok().and_then(|template: &Template| template.place_of(&name))
                {
                    special.push((place, token));
                }
            }
            let arguments = compiled.as_ref().map(Places::of).unwrap_or_default();
            Ok(Self { compiled, special, arguments, drop_none, alias_reasoning })
        })
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

    /// Make the prompt text of each conversation.
    #[pyo3(signature = (
        conversations, tools = None, documents = None, add_generation_prompt = Flag::Absent,
        continue_final_message = None, **kwargs
    ), text_signature = "($self, conversations, tools=None, documents=None, add_generation_prompt=False, \
        continue_final_message=False, **kwargs)")]
    #[allow(clippy::too_many_arguments, reason = "the signature of apply_chat_template")]
    fn render_batch<'py>(
        slf: &Bound<'py, Self>,
        conversations: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        documents: Option<&Bound<'py, PyAny>>,
        add_generation_prompt: Flag<'py>,
        continue_final_message: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        guarded(|| {
            let others: Vec<_> = kwargs.into_iter().flatten().collect();
            let others =
                others.iter().map(|(name, value)| (name.as_borrowed(), value.as_borrowed())).collect();
            let settings = Settings {
                tools: tools.map(Bound::as_borrowed),
                documents: documents.map(Bound::as_borrowed),
                add_generation_prompt: match &add_generation_prompt {
                    Flag::Absent => None,
                    Flag::Given(flag) => Some(flag.as_borrowed()),
                },
                continue_final_message: continue_final_message.map(Bound::as_borrowed),
                others,
            };
            batch::render(slf, conversations, &settings)
        })
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
        guarded(|| {
            let template = self.template()?;
            let mut memory = Memory::taken();
            let buffer = std::mem::take(&mut memory.buffer);
            let rendered = long::render(py, template, &memory, (buffer, now.map(clock)), |reader| {
                let mut variables = reader.fresh();
                for dict in &context {
                    reader.variables(dict, &mut variables)?;
                }
                Ok(variables)
            });
            let rendered = rendered.map_err(|failure| match failure {
                Failure::Stop(stop) => stop.into(),
                Failure::Fault(fault) => error(py, &fault),
                Failure::Raised(raised) => raised,
            })?;
            let text = PyString::new(py, &rendered.text);
            let spans = rendered.character_spans();
            memory.keep(rendered.text);
            Ok((text, spans))
        })
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

    /// Make the prompt text for a conversation.
    fn render<'py>(
        slf: &Bound<'py, Self>,
        messages: &Bound<'py, PyAny>,
        settings: &Settings<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if settings.is_plain()?
            && let Some(text) = slf.get().quick(slf, messages, settings)?
        {
            return Ok(text.into_any());
        }
        Self::slowly(slf, messages, settings)
    }

    /// The same in Python, for any data and any template.
    fn slowly<'py>(
        slf: &Bound<'py, Self>,
        messages: &Bound<'py, PyAny>,
        settings: &Settings<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let no = || PyBool::new(py, false).to_owned().into_any();
        let flag = |field: Option<Borrowed<'_, 'py, PyAny>>| field.map_or_else(no, Borrowed::to_owned);
        let arguments = (
            messages,
            settings.tools,
            settings.documents,
            flag(settings.add_generation_prompt),
            flag(settings.continue_final_message),
            settings.keywords(py)?,
        );
        slf.call_method1(intern!(py, "_render_slowly"), arguments)
    }

    /// Everything in one pass; `None` where the data or the template need the slow way.
    fn quick<'py>(
        &self,
        owner: &Bound<'py, Self>,
        messages: &Bound<'py, PyAny>,
        settings: &Settings<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let Ok(template) = &self.compiled else { return Ok(None) };
        let mut memory = Memory::taken();
        let buffer = std::mem::take(&mut memory.buffer);
        // From the first text that is borrowed to the end of the render, Python is not called (see `reader`).
        let now = self.now(owner)?;
        let rendered = long::render(owner.py(), template, &memory, (buffer, now), |reader| {
            let mut variables = self.variables(reader, settings)?;
            // Read even if the template does not: it may hold something that only Python can judge.
            let messages = reader.messages(messages)?;
            if let Some(place) = self.arguments.messages {
                variables.set_at(place, messages);
            }
            Ok(variables)
        });
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(Failure::Stop(_)) => return Ok(None),
            Err(Failure::Fault(fault)) if fault.error.kind == ErrorKind::Unsupported => return Ok(None),
            Err(Failure::Fault(fault)) => return Err(error(owner.py(), &fault)),
            Err(Failure::Raised(raised)) => return Err(raised),
        };
        let text = PyString::new(owner.py(), &rendered.text);
        memory.keep(rendered.text);
        Ok(Some(text))
    }

    /// The time, if the template asks for it.
    fn now(&self, owner: &Bound<'_, Self>) -> PyResult<Option<Clock>> {
        if !self.compiled.as_ref().is_ok_and(Template::uses_clock) {
            return Ok(None);
        }
        Ok(Some(clock(owner.call_method0(intern!(owner.py(), "_moment"))?.extract()?)))
    }

    /// The variables that do not depend on the conversation.
    fn variables<'a>(
        &'a self,
        reader: &mut Reader<'a>,
        settings: &'a Settings<'_, '_>,
    ) -> Result<Variables<'a>, Stop> {
        (reader.drop_none, reader.alias_reasoning) = (self.drop_none, self.alias_reasoning);
        let mut variables = reader.fresh();
        for (place, token) in &self.special {
            variables.set_at(*place, Input::data(token)?);
        }
        for (name, value) in &settings.others {
            reader.variable(name, value, &mut variables)?;
        }
        let mut set = |place: Option<usize>, value| {
            if let Some(place) = place {
                variables.set_at(place, value);
            }
        };
        set(self.arguments.tools, reader.tools(settings.tools.as_deref())?);
        set(self.arguments.documents, reader.tools(settings.documents.as_deref())?);
        let flag = match &settings.add_generation_prompt {
            None => Input::bool(false),
            Some(flag) => reader.any(flag)?,
        };
        set(self.arguments.add_generation_prompt, flag);
        Ok(variables)
    }
}

fn clock(now: Moment) -> Clock {
    let (year, month, day, hour, minute, second, microsecond) = now;
    Clock { year, month, day, hour, minute, second, microsecond }
}

/// The exception for a fault. Making it runs Python code, so nothing may be borrowed from Python any more.
fn error(py: Python<'_>, fault: &Fault) -> PyErr {
    if fault.error.kind == ErrorKind::Unsupported {
        return UnsupportedError::new_err(fault.error.message.clone());
    }
    let place = fault.place.as_ref();
    let keywords = PyDict::new(py);
    let build = || {
        keywords.set_item("line", place.map(|p| p.line))?;
        keywords.set_item("column", place.map(|p| p.column))?;
        keywords.set_item("excerpt", place.map(|p| p.excerpt.as_str()))?;
        py.get_type::<TemplateError>().call((fault.error.message.as_str(),), Some(&keywords))
    };
    build().map_or_else(|failure| failure, PyErr::from_value)
}

/// `unicodedata.lookup(name)`.
fn character(py: Python<'_>, name: &str) -> Option<char> {
    let found = py.import("unicodedata").and_then(|module| module.call_method1("lookup", (name,))).ok()?;
    found.extract::<String>().ok()?.chars().next()
}

/// Asks a Python that is newer than the core's Unicode tables which further characters it prints, once.
fn learn_newer_characters(py: Python<'_>) -> PyResult<()> {
    static LEARNT: PyOnceLock<()> = PyOnceLock::new();
    LEARNT
        .get_or_try_init(py, || {
            let version: String = py.import("unicodedata")?.getattr("unidata_version")?.extract()?;
            if version != UNICODE_VERSION {
                // `repr` escapes what is not printable, so every character beyond ASCII in it is.
                let shown = PyString::new(py, &unassigned().collect::<String>()).repr()?;
                set_newer_printable(shown.to_str()?.chars().filter(|c| !c.is_ascii()));
            }
            Ok(())
        })
        .copied()
}
