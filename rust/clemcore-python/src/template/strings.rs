//! Python's strings from within: their UTF-8 form is borrowed, and new ones are written where they stay.
//!
//! `CPython` keeps a string as bytes of ASCII or Latin-1, or as units of two or four bytes, whatever its largest
//! character needs. What a template renders is UTF-8, so the string is made where it stays: ASCII is copied, and what
//! is wider is written in one pass, sixteen bytes of ASCII at a time. (Python's own decoder starts anew in each form.)
#![allow(unsafe_code, reason = "CPython's strings are written and read in place")]

use std::mem::MaybeUninit;
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

/// The same as `CPython` gives it, which keeps the UTF-8 form with the string.
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
    // Most texts are ASCII, which shows while they are copied.
    // SAFETY: ASCII has units of one byte.
    let ascii = unsafe { filled::<u8>(py, bytes.len(), 0x7F, |units| copy_ascii(bytes, units))? };
    if let Some(ascii) = ascii {
        return Ok(ascii);
    }
    let (count, largest) = measure(bytes);
    // SAFETY: the units have one byte up to Latin-1, then two, and four beyond the basic plane.
    let wide = unsafe {
        match largest {
            0xFF => filled::<u8>(py, count, largest, |units| widen(bytes, units)),
            0xFFFF => filled::<u16>(py, count, largest, |units| widen(bytes, units)),
            _ => filled::<u32>(py, count, largest, |units| widen(bytes, units)),
        }
    }?;
    Ok(wide.unwrap_or_else(|| PyString::new(py, text)))
}

/// A new string with this many characters and room for the largest one, if `fill` has written all of its units.
///
/// # Safety
/// `T` is what `CPython` takes for a unit where that is the largest character; `fill` tells the truth.
unsafe fn filled<T>(
    py: Python<'_>,
    count: usize,
    largest: u32,
    fill: impl FnOnce(&mut [MaybeUninit<T>]) -> bool,
) -> PyResult<Option<Bound<'_, PyString>>> {
    // SAFETY: nobody else has the new string before it is filled, nor at all if it is not.
    unsafe {
        let object = ffi::PyUnicode_New(count.cast_signed(), largest);
        let new = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked();
        let units = from_raw_parts_mut(ffi::PyUnicode_DATA(object).cast(), count);
        Ok(fill(units).then_some(new))
    }
}

/// Copies a text of nothing but ASCII; false when it is not.
fn copy_ascii(bytes: &[u8], out: &mut [MaybeUninit<u8>]) -> bool {
    const PART: usize = 1024;
    bytes.chunks(PART).zip(out.chunks_mut(PART)).all(|(part, units)| {
        for (unit, byte) in units.iter_mut().zip(part) {
            unit.write(*byte);
        }
        part.iter().fold(0, |seen, byte| seen | byte) < 0x80
    })
}

/// How many characters there are in UTF-8 text that is not all ASCII, and the largest one that needs room.
fn measure(bytes: &[u8]) -> (usize, u32) {
    // Counted in bytes, as many at once as cannot overflow one.
    let firsts = |part: &[u8]| part.iter().fold(0u8, |sum, byte| sum + u8::from(!is_continuation(*byte)));
    let count = bytes.chunks(192).map(|part| usize::from(firsts(part))).sum();
    // The first byte of a character tells how large it is, and the others are smaller than any first byte.
    match bytes.iter().fold(0, |largest, byte| largest.max(*byte)) {
        0..=0xC3 => (count, 0xFF),
        0xC4..=0xEF => (count, 0xFFFF),
        _ => (count, 0x0010_FFFF),
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// A character of a string that has nothing larger than `u8`, `u16` or `u32` holds.
trait Unit: Copy + From<u8> {
    fn of(c: u32) -> Self;
}

#[allow(clippy::cast_possible_truncation, reason = "the string has no larger character")]
impl Unit for u8 {
    fn of(c: u32) -> Self {
        c as Self
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the string has no larger character")]
impl Unit for u16 {
    fn of(c: u32) -> Self {
        c as Self
    }
}

impl Unit for u32 {
    fn of(c: u32) -> Self {
        c
    }
}

/// Writes UTF-8 text into as many units as it has characters; false when those are not so many.
fn widen<T: Unit>(bytes: &[u8], out: &mut [MaybeUninit<T>]) -> bool {
    let (mut from, mut to) = (0, 0);
    while let Some(&first) = bytes.get(from) {
        let Some(unit) = out.get_mut(to) else { return false };
        if first < 0x80 {
            let ascii = widen_ascii(&bytes[from..], &mut out[to..]);
            (from, to) = (from + ascii, to + ascii);
            continue;
        }
        let rest = |place: usize| u32::from(bytes.get(from + place).copied().unwrap_or(0) & 0x3F);
        let (c, size) = match first {
            0..=0xDF => (u32::from(first & 0x1F) << 6 | rest(1), 2),
            0xE0..=0xEF => (u32::from(first & 0x0F) << 12 | rest(1) << 6 | rest(2), 3),
            _ => (u32::from(first & 0x07) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3), 4),
        };
        unit.write(T::of(c));
        (from, to) = (from + size, to + 1);
    }
    to == out.len()
}

/// Writes the ASCII that the text begins with, and tells how much that is.
#[inline]
fn widen_ascii<T: Unit>(bytes: &[u8], out: &mut [MaybeUninit<T>]) -> usize {
    const RUN: usize = 16;
    let mut done = 0;
    // Sixteen bytes are written as if they all were ASCII; what comes after a high bit is written again.
    for (run, units) in bytes.as_chunks::<RUN>().0.iter().zip(out.as_chunks_mut::<RUN>().0) {
        for (unit, byte) in units.iter_mut().zip(run) {
            unit.write(T::from(*byte));
        }
        let high = u128::from_le_bytes(*run) & u128::from_ne_bytes([0x80; RUN]);
        if high != 0 {
            return done + high.trailing_zeros() as usize / 8;
        }
        done += RUN;
    }
    for (byte, unit) in bytes[done..].iter().zip(&mut out[done..]) {
        if *byte >= 0x80 {
            break;
        }
        unit.write(T::from(*byte));
        done += 1;
    }
    done
}
