//! Python's strings from within: their UTF-8 form is borrowed, and new ones are written where they stay.
//!
//! CPython keeps a string as bytes of ASCII or Latin-1, or as units of two or four bytes, whatever its largest
//! character needs. What a template renders is UTF-8, so the string is made in one pass over it, which takes runs of
//! ASCII sixteen bytes at a time. (CPython's own decoder starts anew in each wider form.)
#![allow(unsafe_code, reason = "CPython's strings are written and read in place")]

use std::slice::{from_raw_parts, from_raw_parts_mut};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The UTF-8 form of a string, which lives as long as the string; nothing when it holds a lone surrogate.
///
/// # Safety
/// `object` is a live string, and stays so during `'a`; the interpreter is held.
#[inline]
pub(super) unsafe fn borrowed<'a>(object: *mut ffi::PyObject) -> Option<&'a str> {
    #[cfg(not(Py_3_14))]
    // SAFETY: as promised; the text of a compact ASCII string lies behind its header.
    unsafe {
        if ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 {
            let length = ffi::PyUnicode_GET_LENGTH(object).cast_unsigned();
            let text = from_raw_parts(object.cast::<ffi::PyASCIIObject>().add(1).cast(), length);
            return Some(std::str::from_utf8_unchecked(text));
        }
    }
    // SAFETY: as promised.
    unsafe { encoded(object) }
}

/// The same as CPython gives it, which keeps the UTF-8 form with the string.
///
/// # Safety
/// As for [`borrowed`].
unsafe fn encoded<'a>(object: *mut ffi::PyObject) -> Option<&'a str> {
    let mut length = 0;
    // SAFETY: as promised.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length) };
    if data.is_null() {
        // SAFETY: the interpreter is held.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: CPython gave valid UTF-8 of this length.
    Some(unsafe { std::str::from_utf8_unchecked(from_raw_parts(data.cast(), length.cast_unsigned())) })
}

/// A new string.
pub(super) fn string<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    // The shortest ones are shared by the whole interpreter.
    if text.len() < 8 {
        return Ok(PyString::new(py, text));
    }
    let bytes = text.as_bytes();
    // What the largest character needs shows in the largest byte.
    let (count, largest) = match largest(bytes) {
        0x00..=0x7F => (bytes.len(), 0x7F),
        0x80..=0xC3 => (text.chars().count(), 0xFF),
        0xC4..=0xEF => (text.chars().count(), 0xFFFF),
        _ => (text.chars().count(), 0x0010_FFFF),
    };
    // SAFETY: a new string of `count` units is filled before anybody else sees it.
    unsafe {
        let object = ffi::PyUnicode_New(count.cast_signed(), largest);
        let new = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked();
        let data = ffi::PyUnicode_DATA(object);
        match largest {
            0x7F => from_raw_parts_mut(data.cast(), count).copy_from_slice(bytes),
            0xFF => widen(text, from_raw_parts_mut(data.cast::<u8>(), count)),
            0xFFFF => widen(text, from_raw_parts_mut(data.cast::<u16>(), count)),
            _ => widen(text, from_raw_parts_mut(data.cast::<u32>(), count)),
        }
        Ok(new)
    }
}

fn largest(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |largest, byte| largest.max(*byte))
}

/// A character of a string that has nothing larger than `u8`, `u16` or `u32` holds.
trait Unit: Copy + From<u8> {
    fn of(c: char) -> Self;
}

#[allow(clippy::cast_possible_truncation, reason = "the string has no larger character")]
impl Unit for u8 {
    fn of(c: char) -> Self {
        u32::from(c) as Self
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the string has no larger character")]
impl Unit for u16 {
    fn of(c: char) -> Self {
        u32::from(c) as Self
    }
}

impl Unit for u32 {
    fn of(c: char) -> Self {
        c.into()
    }
}

/// Writes a text into as many units as it has characters.
fn widen<T: Unit>(text: &str, out: &mut [T]) {
    const RUN: usize = 16;
    const HIGH_BITS: u128 = u128::from_ne_bytes([0x80; RUN]);
    let (mut text, mut out) = (text, out);
    // Sixteen bytes are taken as if they were ASCII, which holds up to the first high bit; then comes a character.
    while let (Some(run), Some(units)) =
        (text.as_bytes().first_chunk::<RUN>(), out.first_chunk_mut::<RUN>())
    {
        for (unit, byte) in units.iter_mut().zip(run) {
            *unit = T::from(*byte);
        }
        let high = (u128::from_le_bytes(*run) & HIGH_BITS).trailing_zeros() as usize / 8;
        (text, out) = (&text[high..], &mut out[high..]);
        if high < RUN
            && let Some(c) = text.chars().next()
        {
            out[0] = T::of(c);
            (text, out) = (&text[c.len_utf8()..], &mut out[1..]);
        }
    }
    for (unit, c) in out.iter_mut().zip(text.chars()) {
        *unit = T::of(c);
    }
}
