//! Reads conversations, and prepares them as transformers prepares them.
//!
//! Messages of one kind, which is nearly all of them, have the same keys in the same order: those are looked at once.
#![allow(unsafe_code, reason = "what the parent module promises")]

use std::ptr::null_mut;

use clemcore::template::{Input, Record, Shape};
use pyo3::ffi;
use pyo3::prelude::*;

use super::{Entries, Object, Read, Reader, Stop, length};

/// Messages with more keys than this are not expected to look alike.
const MAX_KEYS: usize = 8;
/// How many kinds of messages are remembered.
pub(super) const MAX_KINDS: usize = 4;

/// What a message's reasoning is called; the first that is set counts.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A kind of message: its keys, by identity and in order, none of which needs preparation.
pub(super) struct Kind<'a> {
    keys: [Object; MAX_KEYS],
    count: usize,
    shape: Shape<'a>,
}

impl<'a> Reader<'a> {
    /// The conversation: a list of dicts, prepared as transformers prepares it.
    pub(in crate::template) fn messages(&mut self, object: &'a Bound<'_, PyAny>) -> Read<Input<'a>> {
        let object = object.as_ptr();
        // SAFETY: see the module; the places lie within the list.
        unsafe {
            let count =
                if ffi::PyList_CheckExact(object) == 0 { 0 } else { length(ffi::PyList_Size(object)) };
            if count == 0 {
                return Err(Stop::NotPlain("messages that are not a list"));
            }
            Input::records_in(self.arena, count, |place| {
                let message = ffi::PyList_GetItem(object, place.cast_signed());
                if ffi::PyDict_CheckExact(message) == 0 {
                    return Err(Stop::NotPlain("a message that is not a dict"));
                }
                self.message(message)
            })
        }
    }

    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn message(&mut self, object: Object) -> Read<Record<'a>> {
        // SAFETY: as promised.
        unsafe {
            let size = length(ffi::PyDict_Size(object));
            for place in 0..MAX_KINDS {
                if self.kinds[place].as_ref().is_some_and(|kind| kind.count == size) {
                    match self.alike(object, place) {
                        Err(Stop::Different) => {}
                        done => return done,
                    }
                }
            }
            if let Some(place) = self.learn(object, size)? {
                match self.alike(object, place) {
                    Err(Stop::Different) => {}
                    done => return done,
                }
            }
            self.other_message(object)
        }
    }

    /// Reads a message that should be of a known kind.
    ///
    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn alike(&mut self, object: Object, kind: usize) -> Read<Record<'a>> {
        let Some(Kind { keys, shape, .. }) = &self.kinds[kind] else { return Err(Stop::Different) };
        let (keys, shape) = (*keys, *shape);
        // Nearly always all values are texts, and then they are written once, where they stay.
        let mut entries = Entries::of(object);
        let texts = Record::of_texts(self.arena, shape, |place| {
            // SAFETY: as promised.
            unsafe {
                match entries.next() {
                    Some((key, value)) if key == keys[place] && ffi::PyUnicode_CheckExact(value) != 0 => {
                        self.text(value)
                    }
                    _ => Err(Stop::Different),
                }
            }
        });
        match texts {
            // SAFETY: as promised; `text` has not failed, so nothing has run.
            Err(Stop::Different) => unsafe { self.alike_mixed(object, &keys, shape) },
            done => done,
        }
    }

    /// The same for values of any kind.
    ///
    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn alike_mixed(
        &mut self,
        object: Object,
        keys: &[Object; MAX_KEYS],
        shape: Shape<'a>,
    ) -> Read<Record<'a>> {
        let mut entries = Entries::of(object);
        Record::shaped(self.arena, shape, |place| {
            // SAFETY: as promised.
            unsafe {
                match entries.next() {
                    Some((key, _)) if key != keys[place] => Err(Stop::Different),
                    Some((_, value)) if value == ffi::Py_None() && self.drop_none => Err(Stop::Different),
                    Some((_, value)) => self.value(value),
                    None => Err(Stop::Different),
                }
            }
        })
    }

    /// Remembers the kind of a message, unless it needs preparation.
    ///
    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn learn(&mut self, object: Object, size: usize) -> Read<Option<usize>> {
        if size > MAX_KEYS {
            return Ok(None);
        }
        let (mut keys, mut names) = ([null_mut(); MAX_KEYS], [""; MAX_KEYS]);
        let mut entries = Entries::of(object);
        for place in 0..size {
            // SAFETY: as promised.
            unsafe {
                let Some((key, value)) = entries.next() else { return Ok(None) };
                if ffi::PyUnicode_CheckExact(key) == 0 || value == ffi::Py_None() && self.drop_none {
                    return Ok(None);
                }
                (keys[place], names[place]) = (key, self.key(key)?);
            }
            if self.alias_reasoning && REASONING.contains(&names[place]) {
                return Ok(None);
            }
        }
        let shape = self.template.shape(self.arena, names[..size].iter().copied());
        let place = self.next_kind;
        self.kinds[place] = Some(Kind { keys, count: size, shape });
        self.next_kind = (place + 1) % MAX_KINDS;
        Ok(Some(place))
    }

    /// Reads and prepares a message of any kind.
    ///
    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn other_message(&mut self, object: Object) -> Read<Record<'a>> {
        let start = self.items.len();
        let mut reasoning: [Option<Input<'a>>; 3] = [const { None }; 3];
        let mut entries = Entries::of(object);
        // SAFETY: as promised.
        unsafe {
            while let Some((key, value)) = entries.next() {
                if value == ffi::Py_None() && self.drop_none {
                    continue;
                }
                if ffi::PyUnicode_CheckExact(key) == 0 {
                    return Err(Stop::NotPlain("a key that is not a string"));
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
        Ok(Record::of_items(self.arena, &mut self.items, start)?)
    }

    /// Puts the reasoning of the message that starts at `start` under each name: `thinking` comes first, with a value
    /// of its own if it has one; `reasoning_content` keeps its place or comes last.
    fn alias(&mut self, start: usize, thought: &Input<'a>) {
        let place = |items: &[Input<'a>], name: &str| {
            items[start..].iter().step_by(2).position(|key| key.as_str() == Some(name)).map(|i| start + 2 * i)
        };
        match place(&self.items, REASONING[1]) {
            Some(at) => self.items[start..at + 2].rotate_right(2),
            None => {
                self.items.splice(start..start, [Input::str(REASONING[1]), thought.clone()]);
            }
        }
        match place(&self.items, REASONING[0]) {
            Some(at) => self.items[at + 1] = thought.clone(),
            None => self.items.extend([Input::str(REASONING[0]), thought.clone()]),
        }
    }
}
