//! A unified diff of two texts, line by line.
use std::fmt::Write as _;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// With more changes than this the middle is shown as one.
const MOST: usize = 1500;

/// One step from the old lines to the new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Remove,
    Add,
}

/// The diff, with `source` as the name of both files; empty where the texts are equal.
pub(super) fn unified(source: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let steps = steps(&old, &new);
    let mut out = String::new();
    let (mut at, mut left, mut right) = (0, 0, 0);
    while let Some(change) = steps[at..].iter().position(|step| *step != Step::Keep).map(|offset| at + offset)
    {
        let start = change.saturating_sub(CONTEXT).max(at);
        (left, right) = (left + start - at, right + start - at);
        let end = end_of_hunk(&steps, change);
        if out.is_empty() {
            let _ = write!(out, "--- {source}\n+++ {source}\n");
        }
        (left, right) = hunk(&mut out, &steps[start..end], &old, &new, left, right);
        at = end;
    }
    out
}

/// Where a hunk ends: when more lines are kept than two contexts hold.
fn end_of_hunk(steps: &[Step], change: usize) -> usize {
    let mut last = change;
    for (at, step) in steps.iter().enumerate().skip(change) {
        if *step != Step::Keep {
            last = at;
        } else if at - last > 2 * CONTEXT {
            break;
        }
    }
    (last + 1 + CONTEXT).min(steps.len())
}

fn hunk(
    out: &mut String,
    steps: &[Step],
    old: &[&str],
    new: &[&str],
    mut left: usize,
    mut right: usize,
) -> (usize, usize) {
    let count = |unwanted: Step| steps.iter().filter(|step| **step != unwanted).count();
    let (olds, news) = (count(Step::Add), count(Step::Remove));
    let from = |at: usize, lines: usize| if lines == 0 { at } else { at + 1 };
    let _ = writeln!(out, "@@ -{},{olds} +{},{news} @@", from(left, olds), from(right, news));
    for step in steps {
        let (sign, line) = match step {
            Step::Keep => (' ', old[left]),
            Step::Remove => ('-', old[left]),
            Step::Add => ('+', new[right]),
        };
        left += usize::from(*step != Step::Add);
        right += usize::from(*step != Step::Remove);
        let _ = write!(out, "{sign}{line}");
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
    (left, right)
}

/// The steps: equal ends are kept, the middle is compared.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut steps = vec![Step::Keep; head];
    steps.extend(middle(old, new).unwrap_or_else(|| {
        let removed = vec![Step::Remove; old.len()];
        removed.into_iter().chain(vec![Step::Add; new.len()]).collect()
    }));
    steps.extend(vec![Step::Keep; tail]);
    steps
}

/// The fewest steps, found by Myers' greedy search; `None` where there are too many.
///
/// `reach[k]` is how far into `old` a path on diagonal `k` (old minus new, shifted by `shift`) has come.
fn middle(old: &[&str], new: &[&str]) -> Option<Vec<Step>> {
    let most = (old.len() + new.len()).min(MOST);
    let shift = most + 1;
    let mut reach = vec![0_usize; 2 * most + 3];
    let mut trace = Vec::new();
    for edits in 0..=most {
        trace.push(reach[shift - edits..=shift + edits].to_vec());
        for diagonal in (shift - edits..=shift + edits).step_by(2) {
            let down = diagonal == shift - edits
                || (diagonal != shift + edits && reach[diagonal - 1] < reach[diagonal + 1]);
            let mut x = if down { reach[diagonal + 1] } else { reach[diagonal - 1] + 1 };
            while x < old.len() && x + shift - diagonal < new.len() && old[x] == new[x + shift - diagonal] {
                x += 1;
            }
            reach[diagonal] = x;
            if x >= old.len() && x + shift >= new.len() + diagonal {
                return Some(path(&trace, old.len(), new.len()));
            }
        }
    }
    None
}

/// Walks the search back from its end.
fn path(trace: &[Vec<usize>], old: usize, new: usize) -> Vec<Step> {
    let (mut x, mut y) = (old, new);
    let mut steps = Vec::new();
    for (edits, reach) in trace.iter().enumerate().skip(1).rev() {
        // Entry `i` of the row is diagonal `i - edits`.
        let diagonal = x + edits - y;
        let down = diagonal == 0 || (diagonal != 2 * edits && reach[diagonal - 1] < reach[diagonal + 1]);
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let from_x = reach[before];
        let from_y = from_x + edits - before;
        while x > from_x + usize::from(!down) && y > from_y + usize::from(down) {
            steps.push(Step::Keep);
            (x, y) = (x - 1, y - 1);
        }
        steps.push(if down { Step::Add } else { Step::Remove });
        (x, y) = (from_x, from_y);
    }
    steps.extend(vec![Step::Keep; x]);
    steps.reverse();
    steps
}
