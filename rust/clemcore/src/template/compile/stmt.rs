//! Statements → program.

use std::rc::Rc;

use super::cut::whole;
use super::frame::Frame;
use super::scope::Symbols;
use super::{Compiler, undeclared};
use crate::template::ast::{
    self, Expr as AstExpr, Kind, Stmt as AstStmt, StmtKind as Ast, Target as AstTarget,
};
use crate::template::error::{Error, Result};
use crate::template::ir::{ExprKind, For, LoopTest, Param, Scope, SetBlock, Stmt, StmtKind, Target};

impl<'s> Compiler<'s> {
    pub(super) fn body(&mut self, body: &[AstStmt<'s>], frame: &Frame<'s>) -> Result<Vec<Stmt>> {
        let mut out = Vec::with_capacity(body.len());
        for stmt in body {
            let mut kinds = Vec::new();
            self.stmt(stmt, frame, &mut kinds).map_err(|e| e.at(stmt.at))?;
            out.extend(kinds.into_iter().map(|kind| Stmt { kind, at: stmt.at }));
        }
        Ok(out)
    }

    fn stmt(&mut self, stmt: &AstStmt<'s>, frame: &Frame<'s>, out: &mut Vec<StmtKind>) -> Result<()> {
        let kind = match &stmt.kind {
            Ast::Output(items) => return self.output(items, frame, out),
            Ast::For(node) => self.for_loop(node, frame)?,
            Ast::If(branches, otherwise) => self.if_chain(branches, otherwise, frame)?,
            Ast::Set(target, expr) => {
                let target_ir = self.target(target, frame)?;
                out.push(StmtKind::Set(target_ir, self.expr(expr, frame)?));
                return self.export(&target_names(target), frame, out);
            }
            Ast::SetBlock(target, filter, body) => {
                out.push(self.set_block(target, filter.as_ref(), body, frame)?);
                return self.export(&target_names(target), frame, out);
            }
            Ast::Macro(node) => {
                let func = self.function(node, frame)?;
                let slot = self.slot(frame.symbols.reference(node.name)?);
                out.push(StmtKind::Macro { slot, func });
                return self.export(&[node.name], frame, out);
            }
            Ast::CallBlock(node, call) => {
                let func = self.function(node, frame)?;
                StmtKind::Call { func, call: whole(self.expr(call, frame)?) }
            }
            Ast::Generation(node) => StmtKind::Generation(self.function(node, frame)?),
            Ast::FilterBlock(body, filter) => self.filter_block(body, filter, frame)?,
            Ast::With(pairs, body) => self.with(pairs, body, frame)?,
            Ast::Block { name, body, scoped, required } => self.block(name, body, *scoped, *required)?,
            Ast::NoLoader(expr, _) => {
                StmtKind::Fail(self.expr(expr, frame)?, "no loader for this environment specified")
            }
            Ast::Break if frame.loops > 0 => StmtKind::Break,
            Ast::Continue if frame.loops > 0 => StmtKind::Continue,
            Ast::Break => return Err(Error::syntax("'break' outside loop")),
            Ast::Continue => return Err(Error::syntax("'continue' not properly in loop")),
        };
        out.push(kind);
        Ok(())
    }

    fn output(&mut self, items: &[AstExpr<'s>], frame: &Frame<'s>, out: &mut Vec<StmtKind>) -> Result<()> {
        for item in items {
            let text = match &item.kind {
                Kind::Data(text) => Some(*text),
                Kind::Str(text) => Some(&**text),
                _ => None,
            };
            match (text, out.last_mut()) {
                (Some(""), _) => {}
                (Some(text), Some(StmtKind::Text(before))) => {
                    *before = format!("{before}{text}").into();
                }
                (Some(text), _) => out.push(StmtKind::Text(text.into())),
                (None, _) => out.push(StmtKind::Emit(self.printed(item, frame)?)),
            }
        }
        Ok(())
    }

    fn if_chain(
        &mut self,
        branches: &[(AstExpr<'s>, Vec<AstStmt<'s>>)],
        otherwise: &[AstStmt<'s>],
        frame: &Frame<'s>,
    ) -> Result<StmtKind> {
        let soft = frame.soft();
        let mut compiled = Vec::with_capacity(branches.len());
        for (test, body) in branches {
            compiled.push((self.expr(test, &soft)?, self.body(body, &soft)?));
        }
        Ok(StmtKind::If(compiled, self.body(otherwise, &soft)?))
    }

    pub(super) fn target(&mut self, target: &AstTarget<'s>, frame: &Frame<'s>) -> Result<Target> {
        Ok(match target {
            AstTarget::Name(name) => Target::Slot(self.slot(frame.symbols.reference(name)?)),
            AstTarget::Attr(name, attr) => {
                let ident = frame.symbols.reference(name)?;
                Target::Attr(self.var(ident, frame)?, (*attr).into())
            }
            AstTarget::Tuple(items) => {
                Target::Tuple(items.iter().map(|item| self.target(item, frame)).collect::<Result<_>>()?)
            }
        })
    }

    fn scope(&mut self, frame: &Frame<'s>) -> Scope {
        Scope { entry: self.loads(frame), leave: self.leave(frame) }
    }

    fn for_loop(&mut self, node: &ast::For<'s>, frame: &Frame<'s>) -> Result<StmtKind> {
        if assigns_loop(node) {
            return Err(Error::syntax("Can't assign to special loop variable in for-loop target"));
        }
        if !node.recursive {
            let iter = self.expr(&node.iter, frame)?;
            return Ok(StmtKind::For(Box::new(self.loop_body(node, iter, frame, None)?)));
        }
        let func = self.new_func(Some(frame.func));
        let iter = self.expr(&node.iter, frame)?;
        // Slot 0 of the function holds what this round iterates over.
        self.funcs[func].func.slots = 1;
        let number = u32::try_from(func).unwrap_or(u32::MAX);
        let inner = Frame { func, loops: 0, ..frame.clone() };
        let source = crate::template::ir::Expr { kind: ExprKind::Local(0, "".into()), at: node.iter.at };
        let body = self.loop_body(node, source, &inner, Some(number))?;
        self.funcs[func].func.body = vec![Stmt { kind: StmtKind::For(Box::new(body)), at: node.iter.at }];
        Ok(StmtKind::Recursive(number, iter))
    }

    fn loop_body(
        &mut self,
        node: &ast::For<'s>,
        iter: crate::template::ir::Expr,
        frame: &Frame<'s>,
        recursive: Option<u32>,
    ) -> Result<For> {
        let extended = node.recursive || undeclared::in_body(&node.body, &["loop"]).contains(&"loop");
        let mut symbols = Symbols::child(&frame.symbols, frame.func);
        if extended {
            symbols.declare_parameter("loop");
        }
        symbols.visit_loop(node);
        let mut loop_frame = frame.inner(symbols);
        loop_frame.loops += 1;
        let test = self.loop_test(node, frame)?;
        let loop_slot = if extended { Some(self.slot(loop_frame.symbols.reference("loop")?)) } else { None };
        let target = self.target(&node.target, &loop_frame)?;
        let scope = self.scope(&loop_frame);
        let body = self.body(&node.body, &loop_frame)?;
        let otherwise = if node.otherwise.is_empty() {
            None
        } else {
            let mut symbols = Symbols::child(&frame.symbols, frame.func);
            symbols.visit_body(&node.otherwise);
            let else_frame = frame.inner(symbols);
            let scope = self.scope(&else_frame);
            Some((scope, self.body(&node.otherwise, &else_frame)?))
        };
        let price = 1 + scope.entry.len() / 4;
        Ok(For { target, iter, test, loop_slot, recursive, scope, price, body, otherwise })
    }

    fn loop_test(&mut self, node: &ast::For<'s>, frame: &Frame<'s>) -> Result<Option<LoopTest>> {
        let Some(test) = &node.test else { return Ok(None) };
        let space = self.fresh_space();
        let mut symbols = Symbols::child(&frame.symbols, frame.func).in_space(space);
        symbols.visit_loop_test(node);
        let test_frame = frame.inner(symbols);
        let entry = self.loads(&test_frame);
        let target = self.target(&node.target, &test_frame)?;
        Ok(Some(LoopTest { target, entry, test: self.expr(test, &test_frame)? }))
    }

    fn set_block(
        &mut self,
        target: &AstTarget<'s>,
        filter: Option<&AstExpr<'s>>,
        body: &[AstStmt<'s>],
        frame: &Frame<'s>,
    ) -> Result<StmtKind> {
        let mut symbols = Symbols::child(&frame.symbols, frame.func);
        symbols.visit_body(body);
        let inner = frame.inner(symbols);
        let scope = self.scope(&inner);
        let body = self.body(body, &inner)?;
        let target = self.target(target, frame)?;
        let filter = filter.map(|filter| self.expr(filter, &inner)).transpose()?;
        Ok(StmtKind::SetBlock(Box::new(SetBlock { target, filter, scope, body })))
    }

    fn filter_block(
        &mut self,
        body: &[AstStmt<'s>],
        filter: &AstExpr<'s>,
        frame: &Frame<'s>,
    ) -> Result<StmtKind> {
        let mut symbols = Symbols::child(&frame.symbols, frame.func);
        symbols.visit_body(body);
        symbols.visit_expr(filter);
        let inner = frame.inner(symbols);
        let scope = self.scope(&inner);
        let body = self.body(body, &inner)?;
        Ok(StmtKind::Filter { scope, body, filter: self.expr(filter, &inner)? })
    }

    fn with(
        &mut self,
        pairs: &[(AstTarget<'s>, AstExpr<'s>)],
        body: &[AstStmt<'s>],
        frame: &Frame<'s>,
    ) -> Result<StmtKind> {
        let mut symbols = Symbols::child(&frame.symbols, frame.func);
        pairs.iter().for_each(|(target, _)| symbols.visit_target(target, true));
        symbols.visit_body(body);
        let inner = frame.inner(symbols);
        let scope = self.scope(&inner);
        let mut values = Vec::with_capacity(pairs.len());
        for (target, expr) in pairs {
            values.push((self.target(target, &inner)?, self.expr(expr, frame)?));
        }
        Ok(StmtKind::With { scope, values, body: self.body(body, &inner)? })
    }

    fn block(
        &mut self,
        name: &'s str,
        body: &[AstStmt<'s>],
        scoped: bool,
        required: bool,
    ) -> Result<StmtKind> {
        if scoped || required {
            return Err(Error::unsupported("scoped and required blocks"));
        }
        if self.blocks.contains_key(name) {
            return Err(Error::syntax(format!("block '{name}' defined twice")));
        }
        if !undeclared::in_body(body, &["self", "super"]).is_empty() {
            return Err(Error::unsupported("self and super in blocks"));
        }
        let func = self.new_func(None);
        let number = u32::try_from(func).unwrap_or(u32::MAX);
        self.blocks.insert(name, number);
        let mut symbols = Symbols::root(func);
        symbols.visit_body(body);
        let frame = Frame::new(Rc::new(symbols), func);
        self.funcs[func].func.entry = self.loads(&frame);
        let body = self.body(body, &frame)?;
        self.funcs[func].func.body = body;
        Ok(StmtKind::Block(number))
    }

    /// A macro or the body of a call or generation block, as a function of its own.
    fn function(&mut self, node: &ast::Macro<'s>, frame: &Frame<'s>) -> Result<u32> {
        let func = self.new_func(Some(frame.func));
        let mut symbols = Symbols::child(&frame.symbols, func);
        symbols.visit_macro(node);
        let special = undeclared::in_body(&node.body, &["caller", "kwargs", "varargs"]);
        let explicit_caller = node.args.iter().position(|name| *name == "caller");
        if let (true, Some(place)) = (special.contains(&"caller"), explicit_caller)
            && place + node.defaults.len() < node.args.len()
        {
            return Err(Error::syntax(
                "When defining macros or call blocks the special \"caller\" argument must be omitted or be given \
                     a default.",
            ));
        }
        let implicit = |name: &str| special.contains(&name) && !node.args.contains(&name);
        for name in ["caller", "kwargs", "varargs"].into_iter().filter(|name| implicit(name)) {
            symbols.declare_parameter(name);
        }
        let inner = Frame::new(Rc::new(symbols), func);
        let mut slot_of = |name: &str| -> Result<Option<u32>> {
            if !implicit(name) {
                return Ok(None);
            }
            Ok(Some(self.slot(inner.symbols.reference(name)?)))
        };
        let (caller, kwargs, varargs) = (slot_of("caller")?, slot_of("kwargs")?, slot_of("varargs")?);
        let entry = self.loads(&inner);
        let mut params = Vec::with_capacity(node.args.len());
        for (i, name) in node.args.iter().enumerate() {
            let default = (i + node.defaults.len()).checked_sub(node.args.len()).map(|d| &node.defaults[d]);
            let default = default.map(|expr| self.expr(expr, &inner)).transpose()?;
            params.push(Param {
                name: (*name).into(),
                slot: self.slot(inner.symbols.reference(name)?),
                default,
            });
        }
        let body = self.body(&node.body, &inner)?;
        let built = &mut self.funcs[func].func;
        built.name = node.name.into();
        (built.entry, built.params, built.body) = (entry, params, body);
        (built.caller, built.kwargs, built.varargs) = (caller, kwargs, varargs);
        Ok(u32::try_from(func).unwrap_or(u32::MAX))
    }
}

fn target_names<'s>(target: &AstTarget<'s>) -> Vec<&'s str> {
    match target {
        AstTarget::Name(name) => vec![name],
        AstTarget::Attr(..) => Vec::new(),
        AstTarget::Tuple(items) => items.iter().flat_map(target_names).collect(),
    }
}

/// Whether a loop, or anything in it, assigns to the name `loop`.
fn assigns_loop(node: &ast::For<'_>) -> bool {
    let named = |target: &AstTarget<'_>| target_names(target).contains(&"loop");
    named(&node.target)
        || [&node.body, &node.otherwise].into_iter().flatten().any(|stmt| {
            any(stmt, &|s| match &s.kind {
                Ast::Set(target, _) | Ast::SetBlock(target, ..) => named(target),
                Ast::For(inner) => named(&inner.target),
                _ => false,
            })
        })
}

/// Whether a template has a block anywhere.
pub(super) fn any_block(body: &[AstStmt<'_>]) -> bool {
    body.iter().any(|stmt| any(stmt, &|s| matches!(s.kind, Ast::Block { .. })))
}

fn any(stmt: &AstStmt<'_>, test: &dyn Fn(&AstStmt<'_>) -> bool) -> bool {
    let inside = |body: &[AstStmt<'_>]| body.iter().any(|s| any(s, test));
    test(stmt)
        || match &stmt.kind {
            Ast::For(node) => inside(&node.body) || inside(&node.otherwise),
            Ast::If(branches, otherwise) => branches.iter().any(|(_, b)| inside(b)) || inside(otherwise),
            Ast::Macro(node) | Ast::CallBlock(node, _) | Ast::Generation(node) => inside(&node.body),
            Ast::FilterBlock(body, _) | Ast::With(_, body) | Ast::SetBlock(_, _, body) => inside(body),
            Ast::Block { body, .. } => inside(body),
            _ => false,
        }
}
