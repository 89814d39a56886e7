//! Calls of episodes, from stores and from files.
use crate::guard::guarded;
use clemcore::episodes::{Frames, needed, requested_calls as requested, unpacked};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::borrow::Cow;
use std::collections::HashMap;

/// Number, timestamp, place in the file, player, round, kind, request, answer, record and attempt.
type Requested<'py> =
    (Option<i64>, String, usize, String, i64, String, String, Option<String>, Bound<'py, PyBytes>, i64);

/// The calls of a file of requests; None if it is not exactly as clemcore writes it.
#[pyfunction]
pub(crate) fn requested_calls<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Option<Vec<Requested<'py>>>> {
    guarded(|| {
        let Some(calls) = py.detach(|| requested(data)) else { return Ok(None) };
        let own = Cow::into_owned;
        let rows = calls.into_iter().enumerate().map(|(place, call)| {
            let record = PyBytes::new(py, call.record.as_bytes());
            let text = call.text.map(own);
            (
                call.number,
                call.timestamp.into_owned(),
                place,
                call.player.into_owned(),
                call.round,
                call.kind.into_owned(),
                call.request.into_owned(),
                text,
                record,
                call.attempt,
            )
        });
        Ok(Some(rows.collect()))
    })
}

/// Number, player, round, kind, request, answer, record and attempt.
type Stored<'py> = (i64, String, i64, String, String, Option<String>, Bound<'py, PyBytes>, i64);

/// A body of a store, or None, and the numbers of shared pieces that are missing; without either it is damaged.
#[pyfunction]
pub(crate) fn stored_body<'py>(
    py: Python<'py>,
    kept: &[u8],
    pieces: &Bound<'py, PyDict>,
    most: usize,
) -> PyResult<(Option<Bound<'py, PyBytes>>, Vec<u32>)> {
    guarded(|| {
        let Some(numbers) = needed(kept) else { return Ok((None, Vec::new())) };
        let (known, missing) = among(pieces, numbers)?;
        if !missing.is_empty() {
            return Ok((None, missing));
        }
        let body = py.detach(|| unpacked(kept, &|number| known.get(&number), most));
        Ok((body.map(|body| PyBytes::new(py, &body)), missing))
    })
}

/// The calls that count of the frames in a body, and missing pieces, as for [`stored_body`].
#[pyfunction]
pub(crate) fn stored_calls<'py>(
    py: Python<'py>,
    body: &[u8],
    start: usize,
    pieces: &Bound<'py, PyDict>,
) -> PyResult<(Option<Vec<Stored<'py>>>, Vec<u32>)> {
    guarded(|| {
        let Some(frames) = py.detach(|| Frames::read(body.get(start..)?)) else {
            return Ok((None, Vec::new()));
        };
        let (known, missing) = among(pieces, frames.needed())?;
        if !missing.is_empty() {
            return Ok((None, missing));
        }
        let calls = py.detach(|| frames.calls(&|number| known.get(&number)));
        let rows = calls.map(|calls| {
            let row = |call: clemcore::episodes::StoredCall| {
                let record = PyBytes::new(py, &call.record);
                let (kind, request) = (call.kind, call.request);
                (call.number, call.player, call.round, kind, request, call.text, record, call.attempt)
            };
            calls.into_iter().map(row).collect()
        });
        Ok((rows, missing))
    })
}

/// The pieces with some numbers, and the numbers that are missing.
fn among(pieces: &Bound<'_, PyDict>, numbers: Vec<u32>) -> PyResult<(HashMap<u32, PyBackedBytes>, Vec<u32>)> {
    let (mut known, mut missing) = (HashMap::new(), Vec::new());
    for number in numbers {
        match pieces.get_item(number)? {
            Some(piece) => {
                known.insert(number, piece.extract()?);
            }
            None => missing.push(number),
        }
    }
    Ok((known, missing))
}
