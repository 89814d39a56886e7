//! The algebra of unification, on random dicts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::unify::{ById, mismatches, unifies, unify};
use clemcore::value::{Dict, Value};
use proptest::prelude::*;

/// Few different leaves and keys, so that many pairs meet and many of those agree.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0..3_i64).prop_map(Value::Int),
        prop_oneof![Just(0.0), Just(1.0), Just(0.5), Just(1e22)].prop_map(Value::Float),
        Just(Value::BigInt("10000000000000000000000".into())),
        "[ab]?".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            dicts_of(inner).prop_map(Value::Dict)
        ]
    })
}

fn dicts_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Dict> {
    let keys = prop::sample::select(vec!["a", "b", "c", "model_name"]);
    prop::collection::vec((keys, values), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn dicts() -> impl Strategy<Value = Dict> {
    dicts_of(values())
}

/// Equality up to the order of keys and the way in which a number is written.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Dict(a), Value::Dict(b)) => same_dict(a, b),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => {
            let wrap = |value: &Value| -> Dict { std::iter::once(("v", value.clone())).collect() };
            unifies(&wrap(left), &wrap(right), &ById)
        }
    }
}

fn same_dict(left: &Dict, right: &Dict) -> bool {
    left.len() == right.len()
        && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
}

/// Whether `whole` says everything that `part` says.
fn says(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Dict(whole), Value::Dict(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| says(other, value)))
        }
        (Value::List(whole), Value::List(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| says(whole, part))
        }
        _ => same(whole, part),
    }
}

proptest! {
    // 256 cases of each; PROPTEST_CASES sets another number.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dict_unifies_with_itself_and_stays_as_it_is(dict in dicts()) {
        prop_assert_eq!(unify(&dict, &dict), Some(dict));
    }

    #[test]
    fn the_sides_can_be_exchanged(left in dicts(), right in dicts()) {
        match (unify(&left, &right), unify(&right, &left)) {
            (Some(a), Some(b)) => prop_assert!(same_dict(&a, &b)),
            (a, b) => prop_assert!(a.is_none() && b.is_none()),
        }
    }

    #[test]
    fn the_grouping_does_not_matter(a in dicts(), b in dicts(), c in dicts()) {
        let left = unify(&a, &b).and_then(|ab| unify(&ab, &c));
        let right = unify(&b, &c).and_then(|bc| unify(&a, &bc));
        match (left, right) {
            (Some(left), Some(right)) => prop_assert!(same_dict(&left, &right)),
            (left, right) => prop_assert!(left.is_none() && right.is_none()),
        }
    }

    #[test]
    fn nothing_is_lost_and_nothing_invented(left in dicts(), right in dicts()) {
        if let Some(merged) = unify(&left, &right) {
            let whole = Value::Dict(merged.clone());
            prop_assert!(says(&whole, &Value::Dict(left.clone())));
            prop_assert!(says(&whole, &Value::Dict(right.clone())));
            prop_assert!(merged.keys().all(|key| left.contains_key(key) || right.contains_key(key)));
            prop_assert!(merged.keys().zip(left.keys()).all(|(a, b)| a == b));
            prop_assert!(merged.keys().skip(left.len()).is_sorted());
        }
    }

    #[test]
    fn the_quick_test_and_the_explanation_agree_with_the_rule(left in dicts(), right in dicts()) {
        let merged = unify(&left, &right).is_some();
        prop_assert_eq!(unifies(&left, &right, &ById), merged);
        prop_assert_eq!(mismatches(&left, &right, &ById).is_empty(), merged);
    }
}
