//! Finds the special names (`loop`, `caller`, `kwargs`, `varargs`, `self`) that a body reads before it sets them.
//!
//! The order in which jinja2 visits the parts of a node decides, so it is kept here: an assignment's target comes
//! before its value.

use crate::template::ast::{Expr, For, Kind, Macro, Stmt, StmtKind, Target};

/// Which of `names` the body reads undeclared.
pub(super) fn in_body<'n>(body: &[Stmt<'_>], names: &[&'n str]) -> Vec<&'n str> {
    let mut finder = Finder { names: names.to_vec(), found: Vec::new() };
    finder.body(body);
    finder.found
}

struct Finder<'n> {
    names: Vec<&'n str>,
    found: Vec<&'n str>,
}

impl Finder<'_> {
    fn body(&mut self, body: &[Stmt<'_>]) {
        body.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn read(&mut self, name: &str) {
        if let Some(known) = self.names.iter().copied().find(|known| *known == name)
            && !self.found.contains(&known)
        {
            self.found.push(known);
        }
    }

    fn write(&mut self, name: &str) {
        self.names.retain(|known| *known != name);
    }

    fn target(&mut self, target: &Target<'_>) {
        match target {
            Target::Name(name) => self.write(name),
            Target::Attr(..) => {}
            Target::Tuple(items) => items.iter().for_each(|item| self.target(item)),
        }
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        if let Kind::Name(name) = &expr.kind {
            self.read(name);
        }
        expr.each_child(&mut |child| self.expr(child));
    }

    fn stmt(&mut self, stmt: &Stmt<'_>) {
        match &stmt.kind {
            StmtKind::Output(items) => items.iter().for_each(|expr| self.expr(expr)),
            StmtKind::Set(target, expr) => {
                self.target(target);
                self.expr(expr);
            }
            StmtKind::SetBlock(target, filter, body) => {
                self.target(target);
                filter.iter().for_each(|expr| self.expr(expr));
                self.body(body);
            }
            StmtKind::For(node) => self.for_loop(node),
            StmtKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    self.expr(test);
                    self.body(body);
                }
                self.body(otherwise);
            }
            StmtKind::Macro(node) | StmtKind::Generation(node) => self.function(node),
            StmtKind::CallBlock(node, call) => {
                self.expr(call);
                self.function(node);
            }
            StmtKind::FilterBlock(body, filter) => {
                self.body(body);
                self.expr(filter);
            }
            StmtKind::With(pairs, body) => {
                pairs.iter().for_each(|(target, _)| self.target(target));
                pairs.iter().for_each(|(_, expr)| self.expr(expr));
                self.body(body);
            }
            StmtKind::NoLoader(expr, _) => self.expr(expr),
            StmtKind::Block { .. } | StmtKind::Break | StmtKind::Continue => {}
        }
    }

    fn for_loop(&mut self, node: &For<'_>) {
        self.target(&node.target);
        self.expr(&node.iter);
        self.body(&node.body);
        self.body(&node.otherwise);
        node.test.iter().for_each(|expr| self.expr(expr));
    }

    fn function(&mut self, node: &Macro<'_>) {
        node.args.iter().for_each(|name| self.write(name));
        node.defaults.iter().for_each(|expr| self.expr(expr));
        self.body(&node.body);
    }
}
