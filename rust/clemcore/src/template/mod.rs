//! Chat templates: the language of jinja2 as transformers sets it up, compiled and rendered without Python.
//!
//! `lexer` → `parser` → `ast` → `compile` → `ir` → `eval`, with `value`, `ops`, `text` and `builtins` for what the
//! program computes with. The text that a render gives is the one that transformers gives, byte for byte; whatever
//! this engine does not cover ends in [`ErrorKind::Unsupported`], so that a caller can let jinja2 do it. Nothing here
//! reads a clock, a file or the environment, and every render is bounded: in steps and sizes by the engine, in time by
//! the caller's [`Watch`].
//!
//! Layers A and B of transformers (preparing messages, continuing the final one) are the business of the caller.

#![allow(clippy::needless_pass_by_value, reason = "filters and methods own their arguments, as calls do")]
#![allow(clippy::unnecessary_wraps, reason = "every filter has the same signature")]
#![allow(clippy::too_many_lines, reason = "tables of names read better whole")]
#![allow(
    clippy::unnecessary_box_returns,
    reason = "errors are boxed so that the happy path moves one pointer"
)]
#![allow(clippy::needless_for_each, reason = "visitors take one line per field")]
#![allow(clippy::similar_names, clippy::many_single_char_names, reason = "operands come in pairs")]
#![allow(clippy::match_same_arms, reason = "tables of names follow Python's order")]
#![allow(clippy::single_match_else, reason = "`None` beside `Some` reads better than an early return here")]

mod ast;
mod budget;
mod builtins;
mod compile;
mod error;
mod eval;
mod input;
mod ir;
mod lexer;
mod ops;
mod parser;
pub(crate) mod text;
mod value;
mod variables;

pub use budget::{Verdict, Watch, count_memory};
pub use error::{Error, ErrorKind, Result};
pub use input::{Input, InputDict, Record};
pub use text::strftime::Clock;
pub use text::unicode::{UNICODE_VERSION, set_newer_printable, unassigned};
pub use value::{Arena, Data, Shape};
pub use variables::Variables;

use std::collections::HashSet;

use budget::Purse;
use builtins::globals::Global;
use ir::Program;

/// How many names a template may have; real ones have a few hundred at most.
const MAX_NAMES: usize = 4000;

/// A compiled template. It can be shared between threads and rendered any number of times.
pub struct Template {
    source: String,
    program: Program,
}

/// Where in the template something is: one-based line and column (in characters), and the text of that line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The text of the line.
    pub excerpt: String,
}

/// What a render gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Where each `generation` block wrote, in bytes, and how many characters. What a block within a captured text
    /// wrote counts from where the capture began, as in transformers, whatever became of it.
    pub spans: Vec<(usize, usize)>,
}

impl Rendered {
    /// The spans, counted in characters.
    #[must_use]
    pub fn character_spans(&self) -> Vec<(usize, usize)> {
        let (mut seen, mut before) = (0, 0);
        let mut span = |&(at, characters): &(usize, usize)| {
            // Blocks come in the order of the text, so that it is counted once.
            before = self.text.get(seen..at).map_or(before, |text| before + text.chars().count());
            seen = at;
            (before, before + characters)
        };
        self.spans.iter().map(&mut span).collect()
    }
}

/// What a render may know besides its variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The local time for `strftime_now`; without one, that function is unsupported.
    pub clock: Option<Clock>,
    /// The size of the input in bytes, which the bounds grow with.
    pub input_bytes: usize,
    /// Asked now and then whether a long render may go on.
    pub watch: Option<Watch>,
}

impl Template {
    /// Compiles a template. `names` finds characters by their Unicode names, for `\N{…}` in string literals.
    ///
    /// # Errors
    /// When the template has a fault, or uses what this engine does not cover.
    pub fn compile(source: &str, names: &dyn Fn(&str) -> Option<char>) -> std::result::Result<Self, Fault> {
        let source = lexer::normalise(source);
        let compiled = lexer::tokenize(&source, names)
            .and_then(bounded)
            .and_then(parser::parse)
            .and_then(|body| compile::compile(&body));
        match compiled {
            Ok(program) => Ok(Self { source, program }),
            Err(error) => Err(Fault::new(*error, &source)),
        }
    }

    /// The names that the template reads from its context, in the order in which they are met.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.program.undeclared
    }

    /// Whether the template asks for the time.
    #[must_use]
    pub fn uses_clock(&self) -> bool {
        self.program.globals.iter().any(|(_, global)| *global == Global::StrftimeNow)
    }

    /// The shape of dicts with these keys, which differ, for [`Record::shaped`].
    #[must_use]
    pub fn shape<'a>(&self, arena: &'a Arena, keys: impl ExactSizeIterator<Item = &'a str>) -> Shape<'a> {
        self.program.keys.shape(arena, keys)
    }

    /// Where the variable of this name is in [`Variables`], if the template reads it.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.program.names.iter().position(|known| &**known == name)
    }

    /// Renders the template that the variables are for. The text is written into `buffer`, whose memory may come from
    /// an earlier render.
    ///
    /// # Errors
    /// When the template raises, uses what this engine does not cover, or exceeds a bound.
    pub fn render(
        variables: Variables<'_>,
        options: Options,
        buffer: String,
    ) -> std::result::Result<Rendered, Fault> {
        let template = variables.template;
        let purse = Purse::filled(options.input_bytes, options.watch);
        // Most of the output is the input, with a little around each message.
        let room = 256 + options.input_bytes.saturating_add(options.input_bytes / 8);
        let mut buffer = buffer;
        buffer.clear();
        buffer.reserve(room.min(purse.longest));
        match eval::render(variables, options.clock, purse, buffer) {
            Ok(output) => Ok(Rendered { text: output.text, spans: output.spans }),
            Err(error) => Err(Fault::new(*error, &template.source)),
        }
    }
}

/// Refuses a template with very many names: a scope finds them one by one.
fn bounded(tokens: Vec<lexer::Token<'_>>) -> Result<Vec<lexer::Token<'_>>> {
    if tokens.len() > MAX_NAMES {
        let names: HashSet<&str> = tokens.iter().filter_map(lexer::Token::name).collect();
        if names.len() > MAX_NAMES {
            return Err(Error::unsupported(format!("a template with more than {MAX_NAMES} names")));
        }
    }
    Ok(tokens)
}

/// An error with its place in the template.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What went wrong.
    pub error: Error,
    /// Where, when it is known.
    pub place: Option<Place>,
}

impl Fault {
    fn new(error: Error, source: &str) -> Self {
        let place = error.offset.map(|offset| place(source, offset as usize));
        Self { error, place }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Fault {}

fn place(source: &str, offset: usize) -> Place {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &source[..offset];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let end = source[offset..].find('\n').map_or(source.len(), |i| offset + i);
    Place {
        line: before.matches('\n').count() + 1,
        column: source[start..offset].chars().count() + 1,
        excerpt: source[start..end].to_owned(),
    }
}
