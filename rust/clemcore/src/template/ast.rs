//! The syntax tree: what the parser found, with names and texts borrowed from the source.
//!
//! Knows nothing about scopes or values. Every expression carries its depth, so that no later pass can be driven
//! into a stack overflow by a hostile template.

use std::borrow::Cow;

use num_bigint::BigInt;

use super::error::{Error, Result};

/// Deeper expressions are refused; jinja2 itself ends with a `RecursionError` well below 300.
pub(crate) const MAX_DEPTH: u16 = 220;

/// An expression, the byte offset of its first token and the depth of its tree.
#[derive(Clone, Debug)]
pub(crate) struct Expr<'s> {
    pub(crate) kind: Kind<'s>,
    pub(crate) at: u32,
    pub(crate) depth: u16,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind<'s> {
    Name(&'s str),
    Data(&'s str),
    Str(Cow<'s, str>),
    Int(BigInt),
    Float(f64),
    Bool(bool),
    None,
    Tuple(Vec<Expr<'s>>),
    List(Vec<Expr<'s>>),
    Dict(Vec<(Expr<'s>, Expr<'s>)>),
    Attr(Box<Expr<'s>>, &'s str),
    Item(Box<Expr<'s>>, Box<Expr<'s>>),
    /// Only as the index of an `Item`: start, stop, step.
    Slice([Option<Box<Expr<'s>>>; 3]),
    Call(Box<Expr<'s>>, Box<Args<'s>>),
    /// `None` as operand: the captured text of a filter block.
    Filter(Option<Box<Expr<'s>>>, Cow<'s, str>, Box<Args<'s>>),
    Test(Box<Expr<'s>>, Cow<'s, str>, Box<Args<'s>>),
    Not(Box<Expr<'s>>),
    Neg(Box<Expr<'s>>),
    Pos(Box<Expr<'s>>),
    Bin(BinOp, Box<Expr<'s>>, Box<Expr<'s>>),
    And(Box<Expr<'s>>, Box<Expr<'s>>),
    Or(Box<Expr<'s>>, Box<Expr<'s>>),
    Compare(Box<Expr<'s>>, Vec<(CmpOp, Expr<'s>)>),
    Concat(Vec<Expr<'s>>),
    Cond {
        test: Box<Expr<'s>>,
        then: Box<Expr<'s>>,
        otherwise: Option<Box<Expr<'s>>>,
    },
}

/// The arguments of a call, filter or test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args<'s> {
    pub(crate) pos: Vec<Expr<'s>>,
    pub(crate) kw: Vec<(&'s str, Expr<'s>)>,
    pub(crate) star: Option<Expr<'s>>,
    pub(crate) double_star: Option<Expr<'s>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CmpOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// Where an assignment goes.
#[derive(Clone, Debug)]
pub(crate) enum Target<'s> {
    Name(&'s str),
    Attr(&'s str, &'s str),
    Tuple(Vec<Target<'s>>),
}

#[derive(Clone, Debug)]
pub(crate) struct Stmt<'s> {
    pub(crate) kind: StmtKind<'s>,
    pub(crate) at: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind<'s> {
    Output(Vec<Expr<'s>>),
    For(Box<For<'s>>),
    /// The branches with their tests, then the `else` body. `elif` is one more branch.
    If(Vec<(Expr<'s>, Vec<Stmt<'s>>)>, Vec<Stmt<'s>>),
    Macro(Box<Macro<'s>>),
    CallBlock(Box<Macro<'s>>, Expr<'s>),
    Generation(Box<Macro<'s>>),
    FilterBlock(Vec<Stmt<'s>>, Expr<'s>),
    With(Vec<(Target<'s>, Expr<'s>)>, Vec<Stmt<'s>>),
    Set(Target<'s>, Expr<'s>),
    SetBlock(Target<'s>, Option<Expr<'s>>, Vec<Stmt<'s>>),
    Block {
        name: &'s str,
        body: Vec<Stmt<'s>>,
        scoped: bool,
        required: bool,
    },
    /// `include`, `import`, `from`, `extends`: an error when executed, because there is no loader.
    NoLoader(Expr<'s>, Vec<&'s str>),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(crate) struct For<'s> {
    pub(crate) target: Target<'s>,
    pub(crate) iter: Expr<'s>,
    pub(crate) test: Option<Expr<'s>>,
    pub(crate) recursive: bool,
    pub(crate) body: Vec<Stmt<'s>>,
    pub(crate) otherwise: Vec<Stmt<'s>>,
}

/// A macro, or the anonymous body of a call or generation block (empty name).
#[derive(Clone, Debug)]
pub(crate) struct Macro<'s> {
    pub(crate) name: &'s str,
    pub(crate) args: Vec<&'s str>,
    pub(crate) defaults: Vec<Expr<'s>>,
    pub(crate) body: Vec<Stmt<'s>>,
}

impl<'s> Expr<'s> {
    /// Builds a node, measuring its depth.
    pub(crate) fn new(kind: Kind<'s>, at: u32) -> Result<Self> {
        let mut depth = 0;
        kind.each_child(&mut |child| depth = depth.max(child.depth));
        if depth >= MAX_DEPTH {
            return Err(Error::recursion("the expression is nested too deeply").at(at));
        }
        Ok(Self { kind, at, depth: depth + 1 })
    }

    /// Calls `f` for each child expression, in the order in which jinja2 lists the fields of the node.
    pub(crate) fn each_child(&self, f: &mut dyn FnMut(&Expr<'s>)) {
        self.kind.each_child(f);
    }
}

impl<'s> Kind<'s> {
    fn each_child(&self, f: &mut dyn FnMut(&Expr<'s>)) {
        match self {
            Kind::Tuple(items) | Kind::List(items) | Kind::Concat(items) => items.iter().for_each(f),
            Kind::Dict(pairs) => pairs.iter().for_each(|(key, value)| {
                f(key);
                f(value);
            }),
            Kind::Attr(x, _) | Kind::Not(x) | Kind::Neg(x) | Kind::Pos(x) => f(x),
            Kind::Item(x, y) | Kind::Bin(_, x, y) | Kind::And(x, y) | Kind::Or(x, y) => {
                f(x);
                f(y);
            }
            Kind::Slice(parts) => parts.iter().flatten().for_each(|x| f(x)),
            Kind::Call(x, args) | Kind::Test(x, _, args) => {
                f(x);
                args.each(f);
            }
            Kind::Filter(x, _, args) => {
                if let Some(x) = x {
                    f(x);
                }
                args.each(f);
            }
            Kind::Compare(x, ops) => {
                f(x);
                ops.iter().for_each(|(_, y)| f(y));
            }
            Kind::Cond { test, then, otherwise } => {
                f(test);
                f(then);
                if let Some(x) = otherwise {
                    f(x);
                }
            }
            Kind::Name(_)
            | Kind::Data(_)
            | Kind::Str(_)
            | Kind::Int(_)
            | Kind::Float(_)
            | Kind::Bool(_)
            | Kind::None => {}
        }
    }
}

impl<'s> Args<'s> {
    pub(crate) fn each(&self, f: &mut dyn FnMut(&Expr<'s>)) {
        self.pos.iter().for_each(&mut *f);
        self.kw.iter().for_each(|(_, x)| f(x));
        self.star.iter().for_each(&mut *f);
        self.double_star.iter().for_each(f);
    }
}
