//! The global functions of the environment that transformers sets up.

use std::cell::{Cell, RefCell};

use super::args::{Args, integer};
use super::markup::plain_str;
use crate::template::budget::gather;
use crate::template::error::{Error, ErrorKind, Result};
use crate::template::eval::{Vm, private_name};
use crate::template::text::strftime::strftime;
use crate::template::value::{Dict, MAX_NESTING, Object, Shared, Value, range_len};

/// The longest range that the sandbox allows.
const MAX_RANGE: u64 = 100_000;

/// A global function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    Range,
    Dict,
    Lipsum,
    Cycler,
    Joiner,
    Namespace,
    RaiseException,
    StrftimeNow,
}

impl Global {
    pub(crate) fn is_dict(self) -> bool {
        self == Self::Dict
    }

    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Dict => "TemplateDict",
            Self::Cycler | Self::Joiner | Self::Namespace => "type",
            _ => "function",
        }
    }
}

/// The global of this name.
pub(crate) fn named(name: &str) -> Option<Global> {
    Some(match name {
        "range" => Global::Range,
        "dict" => Global::Dict,
        "lipsum" => Global::Lipsum,
        "cycler" => Global::Cycler,
        "joiner" => Global::Joiner,
        "namespace" => Global::Namespace,
        "raise_exception" => Global::RaiseException,
        "strftime_now" => Global::StrftimeNow,
        _ => return None,
    })
}

/// Whether the environment itself defines the name.
pub(crate) fn is_global(name: &str) -> bool {
    named(name).is_some()
}

/// Calls a global function.
pub(crate) fn call<'a>(vm: &mut Vm<'a>, global: Global, args: Args<'a>) -> Result<Value<'a>> {
    match global {
        Global::Range => range(args),
        Global::Dict => Ok(Value::Dict(dict(vm, args)?.into())),
        Global::Lipsum => Err(Error::unsupported("lipsum")),
        Global::Cycler => {
            args.no_keywords("cycler")?;
            if args.pos.is_empty() {
                return Err(Error::runtime("at least one item has to be provided"));
            }
            Ok(Value::object(Object::Cycler(args.pos, Cell::new(0))))
        }
        Global::Joiner => {
            let [separator] = args.bind("joiner", &["sep"], 0)?;
            let separator = if matches!(separator, Value::Missing) { Value::Str(", ") } else { separator };
            Ok(Value::object(Object::Joiner(separator, Cell::new(false))))
        }
        Global::Namespace => namespace(vm, args),
        Global::RaiseException => {
            let [message] = args.exactly("raise_exception", &["message"])?;
            let text = plain_str(&message)?;
            Err(Error::new(ErrorKind::Raised, text.as_str().unwrap_or_default()))
        }
        Global::StrftimeNow => {
            let [format] = args.exactly("strftime_now", &["format"])?;
            let Some(format) = format.as_str() else {
                let name = format.type_name();
                return Err(Error::type_error(format!("strftime() argument 1 must be str, not {name}")));
            };
            let Some(clock) = &vm.clock else {
                return Err(Error::unsupported("strftime_now without a clock"));
            };
            strftime(clock, format).map(Value::string)
        }
    }
}

fn range(args: Args<'_>) -> Result<Value<'_>> {
    args.no_keywords("range")?;
    if args.pos.is_empty() || args.pos.len() > 3 {
        return Err(Error::type_error("range expected 1 to 3 arguments"));
    }
    let numbers = args.pos.iter().map(integer).collect::<Result<Vec<i64>>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        _ => (numbers[0], numbers[1], numbers[2]),
    };
    if step == 0 {
        return Err(Error::value("range() arg 3 must not be zero"));
    }
    if range_len(start, stop, step) > MAX_RANGE {
        return Err(Error::overflow(format!(
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_RANGE})."
        )));
    }
    // The step of the reversed range would have more than 64 bits.
    if step == i64::MIN || args.pos.iter().any(|v| matches!(v, Value::Big(_))) {
        return Err(Error::unsupported("a range of very large integers"));
    }
    Ok(Value::object(Object::Range { start, stop, step }))
}

/// `dict(…)`: of a mapping or of pairs, with keywords on top.
fn dict<'a>(vm: &mut Vm<'a>, args: Args<'a>) -> Result<Dict<'a>> {
    if args.pos.len() > 1 {
        let given = args.pos.len();
        return Err(Error::type_error(format!("dict expected at most 1 argument, got {given}")));
    }
    let mut out = Dict::default();
    match args.pos.into_iter().next() {
        None => {}
        Some(Value::Dict(source)) => {
            gather(2 * source.len())?;
            for (key, value) in source.entries() {
                out.push_new(key.clone(), value.clone());
            }
        }
        Some(Value::Undefined(undef)) => return Err(undef.error()),
        Some(Value::Object(object)) if matches!(&*object, Object::Namespace(..)) => {
            return Err(Error::unsupported("a dict of a namespace"));
        }
        Some(source) => {
            for pair in vm.collect(source)? {
                let [key, value]: [Value<'a>; 2] = vm.collect(pair)?.try_into().map_err(|_| {
                    Error::value("dictionary update sequence element has a wrong length; 2 is required")
                })?;
                out.insert(key, value)?;
            }
        }
    }
    for (key, value) in args.kw {
        out.insert(key, value)?;
    }
    Ok(out)
}

fn namespace<'a>(vm: &mut Vm<'a>, args: Args<'a>) -> Result<Value<'a>> {
    let attrs = dict(vm, args)?;
    for (key, _) in attrs.entries() {
        match key.as_str() {
            Some(name) if name.starts_with('_') => return Err(private_name(name)),
            Some(_) => {}
            None => return Err(Error::unsupported("a namespace with a name that is not a string")),
        }
    }
    let depth = attrs.depth();
    if depth >= MAX_NESTING {
        return Err(Error::recursion("containers are nested too deeply"));
    }
    let object = Shared::from(Object::Namespace(RefCell::new(attrs.into_entries()), Cell::new(depth)));
    vm.keep(&object);
    Ok(Value::Object(object))
}
