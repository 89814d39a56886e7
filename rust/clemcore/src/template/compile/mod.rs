//! Syntax tree → program: every name becomes a slot, by jinja2's own scoping rules.
//!
//! [`scope`] decides which variable a name means, [`undeclared`] finds the special names of loops and macros; the other
//! modules translate statements and expressions. Does not evaluate anything.

mod cut;
mod expr;
mod frame;
mod scope;
mod stmt;
mod undeclared;

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::Stmt;
use super::builtins::globals::{is_global, named};
use super::error::{Error, Result};
use super::ir::{Func, Load, Program, StmtKind, Var};
use super::value::KeyNumbers;
use frame::Frame;
use scope::{Action, Ident, Symbols};

/// Compiles a parsed template.
pub(crate) fn compile(body: &[Stmt<'_>]) -> Result<Program> {
    let mut compiler = Compiler { blocks_present: stmt::any_block(body), ..Compiler::default() };
    compiler.template(body)?;
    let undeclared =
        compiler.names.iter().filter(|name| !is_global(name)).map(std::string::ToString::to_string).collect();
    let globals =
        (0..).zip(&compiler.names).filter_map(|(number, name)| Some((number, named(name)?))).collect();
    let funcs = compiler.funcs.into_iter().map(|builder| builder.func).collect();
    Ok(Program { funcs, names: compiler.names, globals, undeclared, keys: compiler.keys })
}

#[derive(Default)]
struct Compiler<'s> {
    funcs: Vec<Builder<'s>>,
    names: Vec<Box<str>>,
    name_numbers: HashMap<&'s str, u32>,
    keys: KeyNumbers,
    /// Block name → function; filled when a block is met.
    blocks: HashMap<&'s str, u32>,
    blocks_present: bool,
    /// How many constant expressions with slices there were.
    folds: usize,
    /// Whether a constant is compiled of which only the text is written.
    whole: bool,
    /// A new number for each scope whose variables must not share slots with its siblings.
    spaces: u32,
}

/// A function under construction.
#[derive(Default)]
struct Builder<'s> {
    func: Func,
    parent: Option<usize>,
    slots: HashMap<(u32, u16, &'s str), u32>,
}

impl<'s> Compiler<'s> {
    fn template(&mut self, body: &[Stmt<'s>]) -> Result<()> {
        let root = self.new_func(None);
        let mut symbols = Symbols::root(root);
        let uses_self = undeclared::in_body(body, &["self"]).contains(&"self");
        if uses_self {
            if self.blocks_present {
                return Err(Error::unsupported("self in a template with blocks"));
            }
            symbols.declare_parameter("self");
        }
        symbols.visit_body(body);
        let mut frame = Frame::new(Rc::new(symbols), root);
        frame.toplevel = true;
        if uses_self {
            let slot = self.slot(frame.symbols.reference("self")?);
            self.funcs[root].func.kwargs = Some(slot);
        }
        let entry = self.loads(&frame);
        self.funcs[root].func.entry = entry;
        let body = self.body(body, &frame)?;
        self.funcs[root].func.body = body;
        Ok(())
    }

    fn new_func(&mut self, parent: Option<usize>) -> usize {
        self.funcs.push(Builder { parent, ..Builder::default() });
        self.funcs.len() - 1
    }

    fn name(&mut self, name: &'s str) -> u32 {
        if let Some(number) = self.name_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.into());
        self.name_numbers.insert(name, number);
        number
    }

    /// The slot of a variable in its own function.
    fn slot(&mut self, ident: Ident<'s>) -> u32 {
        let builder = &mut self.funcs[ident.func];
        let next = u32::try_from(builder.func.slots).unwrap_or(u32::MAX);
        let slot = *builder.slots.entry((ident.space, ident.level, ident.name)).or_insert(next);
        if slot == next {
            builder.func.slots += 1;
        }
        slot
    }

    /// How the function of `frame` reaches a variable.
    fn var(&mut self, ident: Ident<'s>, frame: &Frame<'s>) -> Result<Var> {
        let mut hops = 0;
        let mut func = frame.func;
        while func != ident.func {
            let Some(parent) = self.funcs[func].parent else {
                return Err(Error::unsupported("a variable outside its function"));
            };
            func = parent;
            hops += 1;
        }
        Ok(Var { hops, slot: self.slot(ident) })
    }

    /// What entering the frame does to its variables.
    fn loads(&mut self, frame: &Frame<'s>) -> Vec<Load> {
        let mut entry = Vec::new();
        let symbols = Rc::clone(&frame.symbols);
        for (ident, action) in symbols.loads() {
            let slot = self.slot(*ident);
            match action {
                Action::Parameter => {}
                Action::Resolve(name) => {
                    let number = self.name(name);
                    entry.push(Load::Resolve(slot, number));
                }
                Action::Alias(outer) => {
                    if let Ok(var) = self.var(*outer, frame) {
                        entry.push(Load::Alias(slot, var));
                    }
                }
                Action::Undefined => entry.push(Load::Undefined(slot)),
            }
        }
        entry
    }

    /// The slots that leaving the frame clears.
    fn leave(&mut self, frame: &Frame<'s>) -> Vec<u32> {
        let symbols = Rc::clone(&frame.symbols);
        symbols.loads().iter().map(|(ident, _)| self.slot(*ident)).collect()
    }

    fn fresh_space(&mut self) -> u32 {
        self.spaces += 1;
        self.spaces
    }

    /// Exports the names that an assignment in a top-level frame set, for blocks to see.
    fn export(&mut self, names: &[&'s str], frame: &Frame<'s>, out: &mut Vec<StmtKind>) -> Result<()> {
        if !self.blocks_present || !frame.toplevel {
            return Ok(());
        }
        for name in names {
            let slot = self.slot(frame.symbols.reference(name)?);
            let number = self.name(name);
            out.push(StmtKind::Export(number, slot));
        }
        Ok(())
    }
}
