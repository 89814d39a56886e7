//! Finds the calls that only look at a text or cut it, so that it need not be copied.
//!
//! This is about constant arguments only. Whether the subject is a plain text is known when the template runs; for
//! anything else the expression is evaluated as it stands.

use crate::template::ir::{Affix, Args, Cut, Expr, ExprKind, Part};

/// Gives an expression its short form, where it has one.
pub(super) fn shorten(kind: ExprKind, at: u32) -> ExprKind {
    if let Some(cut) = cut(&kind) {
        return ExprKind::Part(Box::new(Part { cut, whole: Expr { kind, at } }));
    }
    if let Some(("startswith" | "endswith", args)) = method(&kind)
        && let [affix] = &args.pos[..]
        && let (Some(affix), true) = (constant(affix), args.kw.is_empty() && no_star(args))
    {
        let at_end = matches!(method(&kind), Some(("endswith", _)));
        return ExprKind::Affix(Box::new(Affix { at_end, with: affix.into(), whole: Expr { kind, at } }));
    }
    kind
}

/// The expression as it stands.
pub(super) fn whole(expr: Expr) -> Expr {
    match expr.kind {
        ExprKind::Part(part) => part.whole,
        ExprKind::Affix(affix) => affix.whole,
        _ => expr,
    }
}

fn cut(kind: &ExprKind) -> Option<Cut> {
    match kind {
        ExprKind::Filter(filter) if matches!(filter.operand.kind, ExprKind::Captured) => None,
        ExprKind::Filter(filter) if filter.args.is_empty() => match &*filter.name {
            "trim" => Some(Cut::Strip(true, true, None)),
            "lower" => Some(Cut::Lower),
            _ => None,
        },
        ExprKind::Item(value, index) => {
            let ("split", args) = method(&value.kind)? else { return None };
            let separator = only_text(args)?.filter(|text| !text.is_empty())?;
            match index.kind {
                ExprKind::Int(0) => Some(Cut::Before(separator.into())),
                ExprKind::Int(-1) => Some(Cut::After(separator.into())),
                _ => None,
            }
        }
        _ => {
            let (name, args) = method(kind)?;
            let sides = match name {
                "strip" => (true, true),
                "lstrip" => (true, false),
                "rstrip" => (false, true),
                "lower" if args.is_empty() => return Some(Cut::Lower),
                _ => return None,
            };
            Some(Cut::Strip(sides.0, sides.1, only_text(args)?.map(Into::into)))
        }
    }
}

fn method(kind: &ExprKind) -> Option<(&str, &Args)> {
    let ExprKind::Call(callee, args) = kind else { return None };
    let ExprKind::Attr(_, key) = &callee.kind else { return None };
    Some((&key.name, args))
}

/// The only argument, a constant text, or none at all.
#[allow(clippy::option_option, reason = "unsuitable arguments, or none, or one")]
fn only_text(args: &Args) -> Option<Option<&str>> {
    if !args.kw.is_empty() || !no_star(args) {
        return None;
    }
    match &args.pos[..] {
        [] => Some(None),
        [text] => constant(text).map(Some),
        _ => None,
    }
}

fn no_star(args: &Args) -> bool {
    args.star.is_none() && args.double_star.is_none()
}

fn constant(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Str(text) => Some(text),
        _ => None,
    }
}
