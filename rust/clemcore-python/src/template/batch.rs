//! `render_batch`: many conversations, rendered while other Python threads run.
//!
//! A group of conversations is read under the interpreter's lock, rendered without it, and made strings under it
//! again. Texts are borrowed from Python's strings, which never change; a reference to each is held until the group is
//! done, so nothing that other threads do to the conversations meanwhile is seen.

use clemcore::template::{ErrorKind, Fault, Options, Rendered, Template, Variables};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use super::entry::Settings;
use super::long::{begin, look, without_lock};
use super::memory::{KEPT_MEMORY, Memory};
use super::reader::Reader;
use super::{TemplateCore, TemplateError, error};

/// How many conversations, or bytes of text, are read before they are rendered. Letting the lock go and taking it
/// again costs as much as a few short conversations.
const GROUP: (usize, usize) = (128, 1 << 18);

/// The prompt text of each conversation.
pub(super) fn render<'py>(
    owner: &Bound<'py, TemplateCore>,
    conversations: &Bound<'py, PyAny>,
    settings: &Settings<'_, 'py>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = owner.py();
    // What makes its conversations one by one may make them of the same list.
    let known =
        conversations.is_exact_instance_of::<PyList>() || conversations.is_exact_instance_of::<PyTuple>();
    if !known || !settings.is_plain()? {
        let mut texts = Vec::new();
        for chat in conversations.try_iter()? {
            let text = TemplateCore::render(owner, &chat?, settings);
            texts.push(text.map_err(|failure| named(py, failure, texts.len()))?);
            py.detach(|| ());
            py.check_signals()?;
        }
        return Ok(texts);
    }
    let chats = conversations.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let mut batch = Batch { owner, settings, memory: Memory::taken(), spare: Vec::new(), texts: Vec::new() };
    batch.texts.reserve(chats.len());
    while batch.texts.len() < chats.len() {
        let start = batch.texts.len();
        if !batch.group(&chats[start..])? {
            let text = TemplateCore::slowly(owner, &chats[start], settings);
            batch.texts.push(text.map_err(|failure| named(py, failure, start))?);
        }
        py.check_signals()?;
    }
    Ok(std::mem::take(&mut batch.texts))
}

struct Batch<'b, 'c, 'py> {
    owner: &'b Bound<'py, TemplateCore>,
    settings: &'b Settings<'c, 'py>,
    memory: Box<Memory>,
    /// Buffers of rendered texts, for the next ones.
    spare: Vec<String>,
    texts: Vec<Bound<'py, PyAny>>,
}

/// What is to be done for one conversation.
type Job<'a> = (Variables<'a>, Options);

impl<'py> Batch<'_, '_, 'py> {
    /// Renders as many conversations as belong together, from the first on; false when that one is not plain.
    fn group(&mut self, chats: &[Bound<'py, PyAny>]) -> PyResult<bool> {
        let Self { owner, settings, memory, spare, .. } = self;
        let (py, core) = (owner.py(), owner.get());
        let outcomes = {
            let Some(template) = core.compiled.as_ref().ok() else { return Ok(false) };
            let now = core.now(owner)?;
            let mut reader = Reader::holding(template, &memory.arena);
            let Ok(base) = core.variables(&mut reader, settings) else { return Ok(false) };
            let shared = reader.bytes;
            let mut jobs: Vec<Job<'_>> = Vec::new();
            for chat in chats {
                let before = reader.bytes;
                let Ok(messages) = reader.messages(chat) else { break };
                let mut variables = base.again();
                if let Some(place) = core.arguments.messages {
                    variables.set_at(place, messages);
                }
                let input_bytes = shared + reader.bytes - before;
                jobs.push((variables, Options { clock: now, input_bytes, watch: Some(look) }));
                if jobs.len() == GROUP.0 || reader.bytes - shared >= GROUP.1 {
                    break;
                }
            }
            drop(base);
            // The texts are held by the reader, which is dropped when the lock is held again.
            without_lock(py, || {
                let one = |(variables, options)| {
                    begin();
                    Template::render(variables, options, spare.pop().unwrap_or_default())
                };
                // After an interruption, all others are interrupted at once.
                jobs.into_iter().map(one).collect::<Vec<_>>()
            })?
        };
        memory.tidy();
        let some = !outcomes.is_empty();
        for (chat, outcome) in chats.iter().zip(outcomes) {
            let text = self.finish(chat, outcome).map_err(|failure| named(py, failure, self.texts.len()))?;
            self.texts.push(text);
        }
        Ok(some)
    }

    fn finish(
        &mut self,
        chat: &Bound<'py, PyAny>,
        outcome: Result<Rendered, Fault>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.owner.py();
        let rendered = match outcome {
            Ok(rendered) => rendered,
            Err(fault) if fault.error.kind == ErrorKind::Unsupported => {
                return TemplateCore::slowly(self.owner, chat, self.settings);
            }
            Err(fault) => return Err(error(py, &fault)),
        };
        let text = PyString::new(py, &rendered.text);
        if rendered.text.capacity() <= KEPT_MEMORY / GROUP.0 {
            self.spare.push(rendered.text);
        }
        Ok(text.into_any())
    }
}

impl Drop for Batch<'_, '_, '_> {
    fn drop(&mut self) {
        std::mem::take(&mut self.memory).keep(String::new());
    }
}

/// Tells which conversation a failure is about.
fn named(py: Python<'_>, failure: PyErr, place: usize) -> PyErr {
    let value = failure.value(py);
    if failure.is_instance_of::<TemplateError>(py) {
        let _ = value.setattr(intern!(py, "conversation"), place);
    }
    // Notes came with Python 3.11.
    let _ =
        value.call_method1(intern!(py, "add_note"), (format!("in conversation {place}, counted from 0"),));
    failure
}
