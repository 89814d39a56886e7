//! Renders that take long: they let other threads run, are open to signals, and end when their time is over.
//!
//! A render begins under the interpreter's lock, because letting it go costs as much as a short conversation. Where it
//! is not done after some ten thousand steps, it is given up, and begun anew without the lock. Then a reference is held
//! to each string whose text is borrowed ([`Reader::holding`]), because other threads and signal handlers may do
//! anything to the messages meanwhile.
#![allow(
    unsafe_code,
    reason = "what one thread works on is shown to be its own; the processor's clock is C's"
)]

use std::cell::RefCell;
use std::time::{Duration, Instant};

use clemcore::template::{Clock, ErrorKind, Fault, Options, Rendered, Template, Variables, Verdict};
use pyo3::prelude::*;

use super::memory::Memory;
use super::reader::{Reader, Stop};
use crate::allocator::Counting;

/// How much processor time one render may take.
const MOST: Duration = Duration::from_millis(500);
/// How often a long render looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);

/// Why there is no text.
pub(super) enum Failure {
    /// The input cannot be read here.
    Stop(Stop),
    /// The template failed.
    Fault(Fault),
    /// A signal handler raised something.
    Raised(PyErr),
}

/// Reads an input and renders it.
pub(super) fn render<'a>(
    py: Python<'_>,
    template: &'a Template,
    memory: &'a Memory,
    (buffer, clock): (String, Option<Clock>),
    read: impl Fn(&mut Reader<'a>) -> Result<Variables<'a>, Stop>,
) -> Result<Rendered, Failure> {
    let mut reader = Reader::new(template, &memory.arena);
    let variables = read(&mut reader).map_err(Failure::Stop)?;
    let options = Options { clock, input_bytes: reader.bytes, watch: Some(|| Verdict::Pause) };
    match Template::render(variables, options, buffer) {
        Err(fault) if fault.error.kind == ErrorKind::Paused => {}
        done => return done.map_err(Failure::Fault),
    }
    let mut reader = Reader::holding(template, &memory.arena);
    let variables = read(&mut reader).map_err(Failure::Stop)?;
    let options = Options { watch: Some(look), ..options };
    // The texts are held by the reader, which is dropped when the lock is held again.
    without_lock(py, || Template::render(variables, options, String::new()))
        .map_err(Failure::Raised)?
        .map_err(Failure::Fault)
}

/// The renders of one thread that are under way without the lock.
#[derive(Default)]
struct Run {
    /// What the processor's clock said when the current render was first looked at.
    started: Option<Duration>,
    /// When signals were last looked for.
    looked: Option<Instant>,
    /// What a signal handler raised.
    raised: Option<PyErr>,
    /// Begins with the first look: what was allocated before is little.
    counting: Option<Counting>,
}

thread_local! {
    static RUN: RefCell<Run> = RefCell::default();
}

/// Works without the interpreter's lock, unless a signal handler raises an error. The work uses nothing that belongs to
/// the interpreter but strings that are held.
pub(super) fn without_lock<T>(py: Python<'_>, work: impl FnOnce() -> T) -> PyResult<T> {
    let open = Open { outer: RUN.take() };
    let work = Alone(work);
    let Alone(result) = py.detach(move || Alone((work.whole().0)()));
    let raised = RUN.take().raised;
    drop(open);
    raised.map_or(Ok(result), Err)
}

/// Tells that the next render of [`without_lock`] begins, which has time of its own.
pub(super) fn begin() {
    RUN.with_borrow_mut(|run| run.started = None);
}

/// What a render without the lock asks: whether it may go on.
pub(super) fn look() -> Verdict {
    let now = processor_time();
    let (raised, late, signals) = RUN.with_borrow_mut(|run| {
        run.counting.get_or_insert_with(Counting::start);
        let started = *run.started.get_or_insert(now);
        let looked = run.looked.get_or_insert_with(Instant::now);
        let signals = looked.elapsed() > SIGNALS;
        if signals {
            *looked = Instant::now();
        }
        (run.raised.is_some(), now.saturating_sub(started) > MOST, signals)
    });
    if raised {
        return Verdict::Interrupt;
    }
    if late {
        return Verdict::Late;
    }
    if !signals {
        return Verdict::GoOn;
    }
    // Nothing is borrowed here that a signal handler, which may render something itself, could need.
    #[allow(clippy::disallowed_methods, reason = "a reference is held to each string that is borrowed")]
    // The method itself would need one lifetime for all calls, so it stands in a closure.
    #[expect(clippy::redundant_closure_for_method_calls)]
    let checked = Python::try_attach(|py| py.check_signals());
    match checked {
        Some(Err(raised)) => {
            RUN.with_borrow_mut(|run| run.raised = Some(raised));
            Verdict::Interrupt
        }
        _ => Verdict::GoOn,
    }
}

/// While it lives, renders go on without the lock. A signal handler in the midst of them may begin others.
struct Open {
    outer: Run,
}

impl Drop for Open {
    fn drop(&mut self) {
        RUN.set(std::mem::take(&mut self.outer));
    }
}

/// How much time the processor has worked for this thread: a busy machine ends no render.
#[cfg(unix)]
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes into the place that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Real time, where there is no such clock.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

/// What one thread works on, handed over to a closure that runs on that very thread.
struct Alone<T>(T);

// SAFETY: `Python::detach` calls its closure on the calling thread. It asks for `Send` to keep out what belongs to the
// interpreter, and there is none of that in here.
unsafe impl<T> Send for Alone<T> {}

impl<T> Alone<T> {
    /// All of it at once: a closure would else take the parts one by one.
    fn whole(self) -> Self {
        self
    }
}
