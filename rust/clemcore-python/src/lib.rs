//! `clemcore._core`: the list of what Python sees of the core crate.
//!
//! This crate converts, releases the GIL and maps errors. A decision about registries in it is in the wrong crate.
#![deny(unsafe_code)]
#![allow(clippy::needless_pass_by_value, reason = "PyO3 hands converted arguments over by value")]

use pyo3::prelude::*;

mod allocator;
mod convert;
mod custom_backend;
mod episodes;
mod errors;
mod explain;
mod frozen;
mod guard;
mod json;
mod messages;
mod page;
mod registry;
mod results;
mod schema;
mod template;

// Strings are borrowed and dicts are walked under the interpreter's lock.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::episodes::{requested_calls, stored_body, stored_calls};

    #[pymodule_export]
    use crate::errors::{Fixed, Problem, Report, catalogue, codes_page, explain, fix};

    #[pymodule_export]
    use crate::frozen::{freeze, thaw};

    #[pymodule_export]
    use crate::json::{
        canonical_json, check_json, common_length, is_hard_to_read, json_indented, json_line, json_parts,
    };

    #[pymodule_export]
    use crate::messages::{alternating_messages, are_plain_messages, leading_messages};

    #[pymodule_export]
    use crate::page::{
        episode_view, game_plots, page_files, results_page, transcript, transcript_html, transcript_images,
    };

    #[pymodule_export]
    use crate::registry::{
        Refusal, Registry, added_fields, address_fault, address_key, check, check_layers, context_tokens,
        judge, override_fields, packaged_registry, servers_file, unify, upsert_entries,
    };

    #[pymodule_export]
    use crate::results::{PyEvaluation, PyTable, bradley_terry, mean_interval, proportion_interval};

    #[pymodule_export]
    use crate::schema::{
        absence, argument_senders, fields_page, json_schema, known_backends, settings, use_of_key,
    };

    #[pymodule_export]
    use crate::template::{NotPlainError, TemplateCore, UnsupportedError};

    #[pymodule_export]
    use crate::guard::panic_for_test;

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        crate::guard::install();
        crate::template::entry::install(module.py())
    }

    #[cfg(feature = "handwritten")]
    #[pymodule_export]
    use crate::template::handwritten::chatml;
}
