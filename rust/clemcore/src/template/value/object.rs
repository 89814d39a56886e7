//! The rarer values: namespaces, macros, bound methods, loops, generators, views, ranges.

use super::Shared;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Counter, Dict, Seq, Value};
use crate::template::builtins::args::Args;
use crate::template::builtins::globals::Global;
use crate::template::eval::FilterSource;

/// Values that are neither scalars nor plain containers.
pub(crate) enum Object<'a> {
    Namespace(RefCell<Vec<(Value<'a>, Value<'a>)>>, Cell<u32>),
    /// A macro: which one, and the activation it was defined in (place and serial number).
    Macro {
        id: usize,
        home: usize,
        serial: u64,
    },
    /// A method of a value, not yet called.
    Method(Value<'a>, Rc<str>),
    Global(Global),
    Loop(Box<LoopState<'a>>),
    Gen(RefCell<Gen<'a>>, u32),
    View(View, Shared<'a, Dict<'a>>),
    Range {
        start: i64,
        stop: i64,
        step: i64,
    },
    Cycler(Vec<Value<'a>>, Cell<usize>),
    Joiner(Value<'a>, Cell<bool>),
    /// The group of `groupby`: a tuple with two names. [`Value::ungrouped`] where it acts as a tuple.
    Group(Value<'a>, Value<'a>),
    /// `self`: only its existence is covered.
    TemplateReference,
}

/// Which side of a dict a view shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Keys,
    Values,
    Items,
}

/// What `loop` knows in a loop body.
pub(crate) struct LoopState<'a> {
    /// The items, when they all are there already: then nothing has to be remembered.
    pub(crate) seq: Option<Shared<'a, Seq<'a>>>,
    pub(crate) source: RefCell<FilterSource<'a>>,
    /// The length of the iterable, where it has one or was counted.
    pub(crate) length: Cell<Option<usize>>,
    /// The number of the current item, from 1; 0 before the first.
    pub(crate) index: Cell<usize>,
    pub(crate) depth0: usize,
    pub(crate) after: RefCell<Option<Value<'a>>>,
    pub(crate) current: RefCell<Value<'a>>,
    pub(crate) before: RefCell<Value<'a>>,
    pub(crate) changed: RefCell<Option<Vec<Value<'a>>>>,
    /// The loop statement to call again, for a recursive loop.
    pub(crate) recurse: Option<Recurse>,
}

/// How to render a recursive loop once more.
#[derive(Clone, Copy)]
pub(crate) struct Recurse {
    pub(crate) func: usize,
    pub(crate) home: usize,
    pub(crate) serial: u64,
}

/// A running iteration over something.
pub(crate) enum Iter<'a> {
    Empty,
    Seq(Shared<'a, Seq<'a>>, usize),
    SeqBack(Shared<'a, Seq<'a>>, usize),
    Chars(Value<'a>, usize),
    View(View, Shared<'a, Dict<'a>>, usize),
    ViewBack(View, Shared<'a, Dict<'a>>, usize),
    Range { next: i64, stop: i64, step: i64 },
    Gen(Shared<'a, Object<'a>>),
    Pair(Value<'a>, Value<'a>, usize),
}

/// A lazy iteration made by a filter: Python's generators. Nothing happens before the first item is asked for.
pub(crate) enum Gen<'a> {
    Done,
    /// Not started: the operand is looked at when the first item is asked for.
    Start(Value<'a>, Box<Step<'a>>),
    Run(Iter<'a>, Box<Step<'a>>),
    /// A plain iterator, for `reverse` and `list_reverseiterator`.
    Plain(Iter<'a>, &'static str),
}

/// What a generator does with each item.
pub(crate) enum Step<'a> {
    Items,
    MapAttr {
        parts: Vec<Value<'a>>,
        default: Option<Value<'a>>,
    },
    MapFilter {
        name: Value<'a>,
        args: Args<'a>,
    },
    /// `map` whose arguments are wrong: fails when first asked.
    Fail(String),
    Select(Select<'a>),
    Unique {
        parts: Vec<Value<'a>>,
        case_sensitive: bool,
        seen: Vec<Value<'a>>,
    },
    Batch {
        count: i64,
        fill: Option<Value<'a>>,
    },
    /// The slices are made when the first one is asked for.
    Slices {
        count: i64,
        fill: Option<Value<'a>>,
    },
}

/// The condition of `select`, `reject`, `selectattr`, `rejectattr`.
pub(crate) struct Select<'a> {
    pub(crate) attr: Option<Vec<Value<'a>>>,
    pub(crate) test: Option<(Value<'a>, Args<'a>)>,
    pub(crate) keep: bool,
}

impl<'a> LoopState<'a> {
    /// A number or flag that is known without looking at further items.
    pub(crate) fn count(&self, counter: Counter) -> Option<Value<'a>> {
        let index = self.index.get();
        Some(match counter {
            Counter::Index => Value::size(index),
            Counter::Index0 => Value::size(index.saturating_sub(1)),
            Counter::First => Value::Bool(index == 1),
            Counter::Last => Value::Bool(index >= self.seq.as_ref()?.items.len()),
        })
    }
}

impl Object<'_> {
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Namespace(_, depth) => depth.get(),
            Self::Method(value, _) => value.depth(),
            Self::Gen(_, depth) => *depth,
            Self::View(_, dict) => dict.depth(),
            Self::Group(_, list) => list.depth() + 1,
            Self::Cycler(items, _) => items.iter().map(Value::depth).max().unwrap_or(0) + 1,
            Self::Joiner(value, _) => value.depth() + 1,
            Self::Loop(state) => {
                state.seq.as_ref().map_or_else(|| state.current.borrow().depth(), |seq| seq.depth) + 1
            }
            _ => 0,
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Namespace(..) => "TemplateNamespace",
            Self::Macro { .. } => "Macro",
            Self::Method(..) => "builtin_function_or_method",
            Self::Global(global) => global.type_name(),
            Self::Loop(_) => "LoopContext",
            Self::Gen(state, _) => match &*state.borrow() {
                Gen::Plain(_, name) => name,
                _ => "generator",
            },
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Range { .. } => "range",
            Self::Cycler(..) => "Cycler",
            Self::Joiner(..) => "Joiner",
            Self::Group(..) => "_GroupTuple",
            Self::TemplateReference => "TemplateReference",
        }
    }
}

/// The number of items of `range(start, stop, step)`.
pub(crate) fn range_len(start: i64, stop: i64, step: i64) -> u64 {
    let (low, high, stride) =
        if step > 0 { (start, stop, step) } else { (stop, start, step.saturating_neg()) };
    if low >= high {
        return 0;
    }
    high.abs_diff(low).saturating_sub(1) / stride.unsigned_abs() + 1
}
