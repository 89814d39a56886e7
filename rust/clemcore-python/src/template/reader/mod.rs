//! Reads Python objects as inputs of a render.
//!
//! Texts are borrowed from Python's strings; nothing is copied. The strings stay alive because no Python code can run
//! from the first text that is borrowed until the render has ended. Python code could drop any of them: not only other
//! threads run it, but also each finalizer (`__del__`) that a dropped reference or the garbage collector calls.
//!
//! Two rules keep it out:
//!
//! * This module calls only functions of `CPython`'s C interface that run no Python code on exact built-in types. They
//!   look at a type, an item, a size, a number or the UTF-8 form of a string. It never attaches to the interpreter,
//!   because `PyO3` then drops references that it had put off. One of the functions can fail, for a string with a lone
//!   surrogate; it then makes an exception, and the collector may run. Reading ends there ([`Stop::Unsupported`]), and
//!   nothing that was read before is looked at again.
//! * A render calls nothing outside the core, which knows no Python. The core has the answers that depend on the
//!   running Python before (`learn_newer_characters` in the parent module).
//!
//! `clippy.toml` forbids `Python::attach` in the crate. Where a batch lets other threads run, its reader holds a
//! reference to each string ([`Reader::holding`]); everything that is not a string is copied when it is read.
#![allow(unsafe_code, reason = "strings are borrowed from CPython for the length of one call")]

mod messages;

use std::ptr::null_mut;
use std::slice::from_raw_parts;

use clemcore::template::{Arena, Error, Input, Record, Template, Variables};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{NotPlainError, UnsupportedError};

use messages::{Kind, MAX_KINDS};

type Object = *mut ffi::PyObject;

/// Containers deeper than this are left to Python.
const MAX_DEPTH: u32 = 200;

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
                if ffi::PyUnicode_CheckExact(key) == 0 {
                    return Err(Stop::NotPlain("a variable whose name is not a string"));
                }
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

    /// Tools or documents: nothing, or a list of dicts.
    pub(super) fn tools(&mut self, object: Option<&'a Bound<'_, PyAny>>) -> Read<Input<'a>> {
        let Some(object) = object else { return Ok(Input::none()) };
        let object = object.as_ptr();
        // SAFETY: see the module; the places lie within the list.
        unsafe {
            if ffi::PyList_CheckExact(object) == 0 {
                return Err(Stop::NotPlain("tools that are not a list"));
            }
            for place in 0..ffi::PyList_Size(object) {
                if ffi::PyDict_CheckExact(ffi::PyList_GetItem(object, place)) == 0 {
                    return Err(Stop::NotPlain("a tool that is not a dict"));
                }
            }
            self.value(object)
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
                let count = length(ffi::PyList_Size(object));
                return self.nested(|reader| {
                    Input::read_list_in(reader.arena, count, false, |place| {
                        reader.value(ffi::PyList_GetItem(object, place.cast_signed()))
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
                let count = length(ffi::PyTuple_Size(object));
                return self.nested(|reader| {
                    Input::read_list_in(reader.arena, count, true, |place| {
                        reader.value(ffi::PyTuple_GetItem(object, place.cast_signed()))
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

/// The UTF-8 form of a string, which `CPython` keeps with it and which lives as long; `None` for a lone surrogate.
///
/// # Safety
/// `object` is a live object, and stays so during `'a`; the interpreter is held.
#[inline]
pub(super) unsafe fn borrowed<'a>(object: Object) -> Option<&'a str> {
    let mut length = 0;
    // SAFETY: as promised; what is not a string is an error, as a lone surrogate is.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length) };
    if data.is_null() {
        // SAFETY: the interpreter is held.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: CPython gave valid UTF-8 of this length.
    Some(unsafe { std::str::from_utf8_unchecked(from_raw_parts(data.cast(), length.cast_unsigned())) })
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
    // SAFETY: as promised. The new string is ours and ASCII, and is dropped after its last use; to drop a string runs
    // no Python code.
    unsafe {
        let hex = ffi::PyNumber_ToBase(object, 16);
        let number = if hex.is_null() {
            ffi::PyErr_Clear();
            None
        } else {
            let number = borrowed(hex).and_then(|hex| Input::big_int_in(arena, hex));
            ffi::Py_DECREF(hex);
            number
        };
        number.ok_or(Stop::Unsupported("a very large integer"))
    }
}
