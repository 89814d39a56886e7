//! The filters: `x | name(…)`.

mod html;
mod number;
mod select;
mod sequence;
mod sorting;
mod text;
mod wrap;

use super::FilterFn;
use crate::template::error::{Error, Result};
use crate::template::text::repr::repr;
use crate::template::value::Value;

/// The filter of this name. One that exists but that only Python can do makes the template unsupported.
pub(crate) fn find(name: &str) -> Result<Option<FilterFn>> {
    if name == "random" {
        return Err(Error::unsupported("the filter random"));
    }
    Ok(lookup(name))
}

/// Whether jinja2 has a filter of this name.
pub(crate) fn known(name: &str) -> bool {
    name == "random" || lookup(name).is_some()
}

/// The filter that a value names, for `map`.
pub(crate) fn by_value(name: &Value<'_>) -> Result<FilterFn> {
    let found = match name.as_str() {
        Some(name) => find(name)?,
        None => None,
    };
    found.ok_or_else(|| {
        let shown = repr(name).unwrap_or_default();
        Error::runtime(format!("No filter named {shown}."))
    })
}

fn lookup(name: &str) -> Option<FilterFn> {
    Some(match name {
        "abs" => number::abs,
        "attr" => select::attr,
        "batch" => sequence::batch,
        "capitalize" => text::capitalize,
        "center" => text::center,
        "count" | "length" => sequence::length,
        "d" | "default" => select::default,
        "dictsort" => sorting::dictsort,
        "e" | "escape" => html::escape,
        "filesizeformat" => number::filesizeformat,
        "first" => sequence::first,
        "float" => number::float,
        "forceescape" => html::forceescape,
        "format" => text::format,
        "groupby" => sorting::groupby,
        "indent" => text::indent,
        "int" => number::int,
        "items" => sequence::items,
        "join" => sequence::join,
        "last" => sequence::last,
        "list" => sequence::list,
        "lower" => text::lower,
        "map" => select::map,
        "max" => sorting::max,
        "min" => sorting::min,
        "pprint" => wrap::pprint,
        "reject" => select::reject,
        "rejectattr" => select::rejectattr,
        "replace" => text::replace,
        "reverse" => sequence::reverse,
        "round" => number::round,
        "safe" => html::safe,
        "select" => select::select,
        "selectattr" => select::selectattr,
        "slice" => sequence::slice,
        "sort" => sorting::sort,
        "string" => text::string,
        "striptags" => html::striptags,
        "sum" => number::sum,
        "title" => text::title,
        "tojson" => wrap::tojson,
        "trim" => text::trim,
        "truncate" => text::truncate,
        "unique" => sequence::unique,
        "upper" => text::upper,
        "urlencode" => html::urlencode,
        "urlize" => html::urlize,
        "wordcount" => text::wordcount,
        "wordwrap" => wrap::wordwrap,
        "xmlattr" => html::xmlattr,
        _ => return None,
    })
}
