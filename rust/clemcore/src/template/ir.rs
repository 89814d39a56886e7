//! The compiled form of a template: names resolved to slots, everything ready to be walked.
//!
//! A program owns its texts, so it can be shared between threads and rendered many times. Functions are what jinja2
//! compiles to Python functions: the template itself, macros, call and generation blocks, recursive loops, blocks.

use num_bigint::BigInt;

use super::ast::{BinOp, CmpOp};
use super::builtins::FilterFn;
use super::builtins::globals::Global;
use super::builtins::tests::TestKind;
use super::value::{Key, KeyNumbers};

/// A compiled template.
pub(crate) struct Program {
    pub(crate) funcs: Vec<Func>,
    /// The names that are looked up in the caller's context.
    pub(crate) names: Vec<Box<str>>,
    /// Those of them that are built in.
    pub(crate) globals: Vec<(u32, Global)>,
    /// The names that a caller may want to set: looked up, and not built in.
    pub(crate) undeclared: Vec<String>,
    /// The constant names that are looked up in values.
    pub(crate) keys: KeyNumbers,
}

#[derive(Default)]
pub(crate) struct Func {
    pub(crate) name: Box<str>,
    pub(crate) slots: usize,
    pub(crate) entry: Vec<Load>,
    pub(crate) params: Vec<Param>,
    pub(crate) caller: Option<u32>,
    pub(crate) kwargs: Option<u32>,
    pub(crate) varargs: Option<u32>,
    pub(crate) body: Vec<Stmt>,
}

pub(crate) struct Param {
    pub(crate) name: Box<str>,
    pub(crate) slot: u32,
    pub(crate) default: Option<Expr>,
}

/// What happens to a variable when its scope is entered.
pub(crate) enum Load {
    /// Look the name (by number) up in the context.
    Resolve(u32, u32),
    /// Start with the value of an outer variable.
    Alias(u32, Var),
    Undefined(u32),
}

/// A variable: how many functions outwards, and which slot there.
#[derive(Clone, Copy)]
pub(crate) struct Var {
    pub(crate) hops: u32,
    pub(crate) slot: u32,
}

/// The loads on entry and the slots to clear on exit.
#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) entry: Vec<Load>,
    pub(crate) leave: Vec<u32>,
}

pub(crate) struct Stmt {
    pub(crate) kind: StmtKind,
    pub(crate) at: u32,
}

pub(crate) enum StmtKind {
    Text(Box<str>),
    Emit(Expr),
    For(Box<For>),
    /// A recursive loop: its function and what it iterates over first.
    Recursive(u32, Expr),
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    Set(Target, Expr),
    SetBlock(Box<SetBlock>),
    Macro {
        slot: u32,
        func: u32,
    },
    Call {
        func: u32,
        call: Expr,
    },
    Generation(u32),
    Filter {
        scope: Scope,
        body: Vec<Stmt>,
        filter: Expr,
    },
    With {
        scope: Scope,
        values: Vec<(Target, Expr)>,
        body: Vec<Stmt>,
    },
    Block(u32),
    /// Make a top-level variable visible to blocks.
    Export(u32, u32),
    /// An error that comes when the statement is executed, after its expression.
    Fail(Expr, &'static str),
    Break,
    Continue,
}

pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iter: Expr,
    pub(crate) test: Option<LoopTest>,
    /// The slot of `loop`, when the body uses it.
    pub(crate) loop_slot: Option<u32>,
    /// The function of this loop, when it is recursive.
    pub(crate) recursive: Option<u32>,
    pub(crate) scope: Scope,
    /// What each round costs beside its statements.
    pub(crate) price: usize,
    pub(crate) body: Vec<Stmt>,
    pub(crate) otherwise: Option<(Scope, Vec<Stmt>)>,
}

/// The `if` of a loop: evaluated with its own variables whenever the next item is asked for.
pub(crate) struct LoopTest {
    pub(crate) target: Target,
    pub(crate) entry: Vec<Load>,
    pub(crate) test: Expr,
}

pub(crate) struct SetBlock {
    pub(crate) target: Target,
    pub(crate) filter: Option<Expr>,
    pub(crate) scope: Scope,
    pub(crate) body: Vec<Stmt>,
}

pub(crate) enum Target {
    Slot(u32),
    Attr(Var, Box<str>),
    Tuple(Vec<Target>),
}

pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) at: u32,
}

pub(crate) enum ExprKind {
    None,
    Bool(bool),
    Int(i64),
    Big(BigInt),
    Float(f64),
    Str(Box<str>),
    /// A variable of this function, and its name for messages.
    Local(u32, Box<str>),
    Outer(Var, Box<str>),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attr(Box<Expr>, Key),
    Item(Box<Expr>, Box<Expr>),
    ItemStr(Box<Expr>, Key),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    /// A slice in a constant expression: a wrong one is undefined, not an error.
    LenientSlice(Box<Expr>, Box<[Option<Expr>; 3]>),
    /// A constant expression with slices: first as the optimiser folds it, then as it runs. The flag says whether any
    /// result will do (it is printed) or only one that can be written as a literal.
    Folded(Box<Expr>, Box<Expr>, bool),
    Call(Box<Expr>, Box<Args>),
    Filter(Box<Filter>),
    Test(Box<Test>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Pos(Box<Expr>),
    Bin(BinOp, Box<Expr>, Box<Expr>),
    /// A chain of `+`, added from the left.
    Sum(Vec<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(CmpOp, Expr)>),
    Concat(Vec<Expr>),
    Cond {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    /// A call or filter that often gives a part of the text that it is about.
    Part(Box<Part>),
    /// `text.startswith(affix)`, or `endswith`.
    Affix(Box<Affix>),
    /// The text that the enclosing filter or set block captured.
    Captured,
    /// What jinja2's optimiser cannot evaluate; only in the lenient side of `Folded`.
    NotConstant,
}

#[derive(Default)]
pub(crate) struct Args {
    pub(crate) pos: Vec<Expr>,
    pub(crate) kw: Vec<(Box<str>, Expr)>,
    pub(crate) star: Option<Expr>,
    pub(crate) double_star: Option<Expr>,
}

impl Args {
    pub(crate) fn is_empty(&self) -> bool {
        self.pos.is_empty() && self.kw.is_empty() && self.star.is_none() && self.double_star.is_none()
    }
}

/// How a text is cut.
pub(crate) enum Cut {
    /// `strip`, `lstrip`, `rstrip` and `trim`: on the left, on the right, of which characters.
    Strip(bool, bool, Option<Box<str>>),
    /// `lower`, as long as nothing changes.
    Lower,
    /// `split(separator)[0]`
    Before(Box<str>),
    /// `split(separator)[-1]`
    After(Box<str>),
}

pub(crate) struct Part {
    pub(crate) cut: Cut,
    /// The expression as it stands, for everything that is not a plain text.
    pub(crate) whole: Expr,
}

pub(crate) struct Affix {
    pub(crate) at_end: bool,
    pub(crate) with: Box<str>,
    pub(crate) whole: Expr,
}

impl Expr {
    /// What a filter or a method call is about.
    pub(crate) fn subject(&self) -> Option<&Expr> {
        match &self.kind {
            ExprKind::Filter(filter) => Some(&filter.operand),
            ExprKind::Item(value, _) => value.subject(),
            ExprKind::Call(callee, _) => match &callee.kind {
                ExprKind::Attr(owner, _) => Some(owner),
                _ => None,
            },
            _ => None,
        }
    }
}

pub(crate) struct Filter {
    pub(crate) name: Box<str>,
    pub(crate) func: Option<FilterFn>,
    /// It is `length` without arguments.
    pub(crate) is_length: bool,
    pub(crate) operand: Expr,
    pub(crate) args: Args,
}

pub(crate) struct Test {
    pub(crate) name: Box<str>,
    pub(crate) kind: Option<TestKind>,
    pub(crate) operand: Expr,
    pub(crate) args: Args,
}
