//! Reads Python objects as inputs of a render.
//!
//! Texts are borrowed from Python's strings, nothing is copied. All `unsafe` of the template binding is here, and all
//! for one reason: the objects are alive, held by the caller's arguments, and nothing can change them before the render
//! that reads them has ended, because the interpreter is held and no Python code runs in between. (A render asks
//! Python nothing but `str.isprintable`, which is C.)
#![allow(unsafe_code, reason = "strings are borrowed from CPython for the length of one call under the GIL")]

use std::ptr::null_mut;

use clemcore::template::{Arena, Error, Input, Record, Shape, Template, Variables};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::strings::borrowed;
use super::{NotPlainError, UnsupportedError};

type Object = *mut ffi::PyObject;

/// Containers deeper than this are left to Python.
const MAX_DEPTH: u32 = 200;
/// Messages with more keys than this are not expected to look alike.
const MAX_KEYS: usize = 8;
/// How many kinds of messages are remembered.
const MAX_KINDS: usize = 4;

/// Why data cannot be read here. Small, because every value that is read comes as a result.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    NotPlain(&'static str),
    Unsupported(&'static str),
    /// A message that is not of the expected kind; never leaves this module.
    Different,
}

type Read<T> = Result<T, Stop>;

impl From<Stop> for PyErr {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::NotPlain(reason) => NotPlainError::new_err(reason),
            Stop::Unsupported(reason) => UnsupportedError::new_err(reason),
            Stop::Different => NotPlainError::new_err("a message of another kind"),
        }
    }
}

impl From<Box<Error>> for Stop {
    fn from(_: Box<Error>) -> Self {
        Self::Unsupported("very deeply nested data")
    }
}

/// A kind of message: its keys, by identity and in order, none of which needs preparation.
struct Kind<'a> {
    keys: [Object; MAX_KEYS],
    count: usize,
    shape: Shape<'a>,
}

/// Reads Python objects as inputs of a render of `template`.
pub(super) struct Reader<'a> {
    arena: &'a Arena,
    template: &'a Template,
    /// The items of the containers that are being read, innermost last.
    items: Vec<Input<'a>>,
    keys: [(Object, &'a str); 4],
    next_key: usize,
    kinds: [Option<Kind<'a>>; MAX_KINDS],
    next_kind: usize,
    /// How many bytes of text were read.
    pub(super) bytes: usize,
    depth: u32,
    /// The strings that are held, if they are to be.
    held: Option<Held>,
    /// Leave out the entries of a message that are `None`.
    pub(super) drop_none: bool,
    /// Give a message's reasoning under every name that templates read.
    pub(super) alias_reasoning: bool,
}

/// What a message's reasoning is called; the first that is set counts.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

impl<'a> Reader<'a> {
    pub(super) fn new(template: &'a Template, arena: &'a Arena) -> Self {
        Self {
            arena,
            template,
            items: Vec::new(),
            keys: [(null_mut(), ""); 4],
            next_key: 0,
            kinds: [const { None }; MAX_KINDS],
            next_kind: 0,
            bytes: 0,
            depth: 0,
            held: None,
            drop_none: false,
            alias_reasoning: false,
        }
    }

    /// A reader that holds a reference to every string whose text it borrows, until it is dropped.
    pub(super) fn holding(template: &'a Template, arena: &'a Arena) -> Self {
        Self { held: Some(Held::default()), ..Self::new(template, arena) }
    }

    /// The variables of a render of this template, in the arena of what is read.
    pub(super) fn fresh(&self) -> Variables<'a> {
        Variables::new(self.template, self.arena)
    }

    /// Reads any value.
    pub(super) fn any(&mut self, object: &'a Bound<'_, PyAny>) -> Read<Input<'a>> {
        // SAFETY: see the module.
        unsafe { self.value(object.as_ptr()) }
    }

    /// Reads the entries of a dict as variables.
    pub(super) fn variables(&mut self, dict: &'a Bound<'_, PyDict>, out: &mut Variables<'a>) -> Read<()> {
        let mut entries = Entries::of(dict.as_ptr());
        // SAFETY: see the module.
        unsafe {
            while let Some((key, value)) = entries.next() {
                out.set(self.text(key)?, self.value(value)?);
            }
        }
        Ok(())
    }

    /// Reads one variable.
    pub(super) fn variable(
        &mut self,
        name: &'a Bound<'_, PyAny>,
        value: &'a Bound<'_, PyAny>,
        out: &mut Variables<'a>,
    ) -> Read<()> {
        // SAFETY: see the module; the name of a keyword is a string.
        out.set(unsafe { self.text(name.as_ptr())? }, self.any(value)?);
        Ok(())
    }

    /// The conversation: a list of dicts, prepared as transformers prepares it.
    pub(super) fn messages(&mut self, object: &'a Bound<'_, PyAny>) -> Read<Input<'a>> {
        let object = object.as_ptr();
        // SAFETY: see the module; the places lie within the list.
        unsafe {
            let count =
                if ffi::PyList_CheckExact(object) == 0 { 0 } else { length(ffi::PyList_GET_SIZE(object)) };
            if count == 0 {
                return Err(Stop::NotPlain("messages that are no list"));
            }
            Input::records_in(self.arena, count, |place| {
                let message = ffi::PyList_GET_ITEM(object, place.cast_signed());
                if ffi::PyDict_CheckExact(message) == 0 {
                    return Err(Stop::NotPlain("a message that is no dict"));
                }
                self.message(message)
            })
        }
    }

    /// Tools or documents: nothing, or a list of dicts.
    pub(super) fn tools(&mut self, object: Option<&'a Bound<'_, PyAny>>) -> Read<Input<'a>> {
        let Some(object) = object else { return Ok(Input::none()) };
        let object = object.as_ptr();
        // SAFETY: see the module; the places lie within the list.
        unsafe {
            if ffi::PyList_CheckExact(object) == 0 {
                return Err(Stop::NotPlain("tools that are no list"));
            }
            for place in 0..ffi::PyList_GET_SIZE(object) {
                if ffi::PyDict_CheckExact(ffi::PyList_GET_ITEM(object, place)) == 0 {
                    return Err(Stop::NotPlain("a tool that is no dict"));
                }
            }
            self.value(object)
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
                        self.text(value).map_err(|_| ())
                    }
                    _ => Err(()),
                }
            }
        });
        match texts {
            Ok(record) => Ok(record),
            // SAFETY: as promised.
            Err(()) => unsafe { self.alike_mixed(object, &keys, shape) },
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

    /// The text of a key. The same few keys come again and again, so the last ones are remembered.
    ///
    /// # Safety
    /// `object` is a string, as the module promises.
    unsafe fn key(&mut self, object: Object) -> Read<&'a str> {
        if let Some((_, name)) = self.keys.iter().find(|(known, _)| *known == object) {
            return Ok(name);
        }
        // SAFETY: as promised.
        let name = unsafe { self.text(object)? };
        self.keys[self.next_key] = (object, name);
        self.next_key = (self.next_key + 1) % self.keys.len();
        Ok(name)
    }

    /// # Safety
    /// `object` is as the module promises.
    #[inline]
    unsafe fn text(&mut self, object: Object) -> Read<&'a str> {
        // SAFETY: as promised.
        let text = unsafe { borrowed(object) }.ok_or(Stop::Unsupported("a string with a lone surrogate"))?;
        self.bytes += text.len();
        if let Some(held) = &mut self.held {
            // SAFETY: a live object.
            unsafe { ffi::Py_INCREF(object) };
            held.0.push(object);
        }
        Ok(text)
    }

    /// # Safety
    /// `object` is as the module promises.
    #[inline]
    unsafe fn value(&mut self, object: Object) -> Read<Input<'a>> {
        // SAFETY: as promised.
        unsafe {
            if ffi::PyUnicode_CheckExact(object) != 0 {
                return self.text(object).map(Input::str);
            }
            self.other_value(object)
        }
    }

    /// # Safety
    /// `object` is as the module promises.
    unsafe fn other_value(&mut self, object: Object) -> Read<Input<'a>> {
        // SAFETY: as promised; the places lie within the list or tuple.
        unsafe {
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
                let count = length(ffi::PyList_GET_SIZE(object));
                return self.nested(|reader| {
                    Input::read_list_in(reader.arena, count, false, |place| {
                        reader.value(ffi::PyList_GET_ITEM(object, place.cast_signed()))
                    })
                });
            }
            if ffi::PyLong_CheckExact(object) != 0 {
                return integer(self.arena, object);
            }
            if ffi::PyFloat_CheckExact(object) != 0 {
                return Ok(Input::float(ffi::PyFloat_AsDouble(object)));
            }
            if ffi::PyTuple_CheckExact(object) != 0 {
                let count = length(ffi::PyTuple_GET_SIZE(object));
                return self.nested(|reader| {
                    Input::read_list_in(reader.arena, count, true, |place| {
                        reader.value(ffi::PyTuple_GET_ITEM(object, place.cast_signed()))
                    })
                });
            }
        }
        Err(Stop::NotPlain("an object of another type than JSON has"))
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Read<Input<'a>>) -> Read<Input<'a>> {
        if self.depth == MAX_DEPTH {
            return Err(Stop::Unsupported("very deeply nested data"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// # Safety
    /// `object` is a dict, as the module promises.
    unsafe fn dict(&mut self, object: Object) -> Read<Input<'a>> {
        let start = self.items.len();
        let mut entries = Entries::of(object);
        // SAFETY: as promised.
        unsafe {
            while let Some((key, value)) = entries.next() {
                let (key, value) = (self.value(key)?, self.value(value)?);
                self.items.push(key);
                self.items.push(value);
            }
        }
        Ok(Record::of_items(self.arena, &mut self.items, start)?.into())
    }
}

/// Strings to each of which a reference is held. Dropped where the interpreter is held.
#[derive(Default)]
struct Held(Vec<Object>);

impl Drop for Held {
    fn drop(&mut self) {
        for object in &self.0 {
            // SAFETY: each was held once.
            unsafe { ffi::Py_DECREF(*object) };
        }
    }
}

/// The entries of a dict, in order.
struct Entries {
    dict: Object,
    place: ffi::Py_ssize_t,
}

impl Entries {
    fn of(dict: Object) -> Self {
        Self { dict, place: 0 }
    }

    /// # Safety
    /// The object is a dict, as the module promises.
    #[inline]
    unsafe fn next(&mut self) -> Option<(Object, Object)> {
        let (mut key, mut value) = (null_mut(), null_mut());
        // SAFETY: as promised.
        let more = unsafe { ffi::PyDict_Next(self.dict, &raw mut self.place, &raw mut key, &raw mut value) };
        (more != 0).then_some((key, value))
    }
}

/// A size that Python gave; it is negative only for an object of the wrong type, which was ruled out.
fn length(size: ffi::Py_ssize_t) -> usize {
    usize::try_from(size).unwrap_or(0)
}

/// # Safety
/// `object` is an int, as the module promises.
unsafe fn integer(arena: &Arena, object: Object) -> Read<Input<'_>> {
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
