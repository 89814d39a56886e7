//! The pure core of clemcore: from the text of a model registry to the entry that a selector means.
//!
//! ```text
//! bytes → text::decode → json::parse → registry (check, entries, index) → unify → merged dict
//!                 └──────────┴──────────┴─→ problem → report (human, json, github)
//! ```
//! Nothing here reads a file or the environment, and nothing panics on any input: it gets bytes and gives values,
//! problems and text, so that everything can be tested with strings. Which keys exist is data in [`schema`], which
//! faults exist is data in [`catalogue`].
//!
//! ```
//! use clemcore::registry::{check, Registry};
//! let text = br#"[{"model_name": "m", "backend": "mock", "temperature": 0.5}]"#;
//! assert!(check("model_registry.json", text, None).is_usable());
//!
//! let registry = Registry::load(&[("model_registry.json", text)], None).unwrap();
//! let selector = [("model_name", "m")].into_iter().collect();
//! let (index, merged) = registry.resolve(&selector).unwrap();
//! assert_eq!(index, 0);
//! assert_eq!(merged.keys().last(), Some("temperature"));
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod catalogue;
pub mod edit;
pub mod episodes;
pub mod fix;
pub mod json;
pub mod page;
pub mod patch;
pub mod problem;
pub mod registry;
pub mod report;
pub mod results;
pub mod schema;
pub mod template;
mod text;
pub mod unify;
pub mod value;
