//! The undefined value: prints as nothing, fails on use with a message that says where it came from.

use std::borrow::Cow;
use std::rc::Rc;

use super::Value;
use crate::template::error::{Error, Result};
use crate::template::text::repr::repr;

/// Why a value is undefined.
pub(crate) enum Undef<'a> {
    /// A name that nothing defines.
    Name(&'a str),
    /// An attribute or element that an object of this type lacks.
    Element(&'static str, Value<'a>),
    /// A ready message.
    Hint(Cow<'static, str>),
    /// An access that the sandbox refuses.
    Unsafe(String),
}

impl Undef<'_> {
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Element(_, key) => key.depth(),
            _ => 0,
        }
    }

    /// The error that using the value raises.
    pub(crate) fn error(&self) -> Box<Error> {
        let message = match self {
            Self::Name(name) => format!("'{name}' is undefined"),
            Self::Element(ty, key) => match (key.as_str(), *ty) {
                (Some(name), "NoneType") => format!("'None' has no attribute '{name}'"),
                (Some(name), ty) => format!("'{ty} object' has no attribute '{name}'"),
                (None, ty) => {
                    let shown = repr(key).unwrap_or_else(|_| String::from("…"));
                    let owner = if ty == "NoneType" { "None".to_owned() } else { format!("{ty} object") };
                    format!("{owner} has no element {shown}")
                }
            },
            Self::Hint(text) => text.clone().into_owned(),
            Self::Unsafe(text) => return Error::security(text.clone()),
        };
        Error::undefined(message)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn undefined_name(name: &'a str) -> Self {
        Self::Undefined(Rc::new(Undef::Name(name)))
    }

    pub(crate) fn undefined_hint(hint: &'static str) -> Self {
        Self::Undefined(Rc::new(Undef::Hint(Cow::Borrowed(hint))))
    }

    /// The missing element `key` of `owner`.
    pub(crate) fn missing_element(owner: &Value<'a>, key: Value<'a>) -> Self {
        Self::Undefined(Rc::new(Undef::Element(owner.type_name(), key)))
    }

    /// An attribute that exists but that the sandbox hides.
    pub(crate) fn unsafe_attribute(owner: &Value<'a>, name: &str) -> Self {
        let text = format!("access to attribute '{name}' of '{}' object is unsafe.", owner.type_name());
        Self::Undefined(Rc::new(Undef::Unsafe(text)))
    }

    /// Fails when the value is undefined: nearly every operation on one does.
    pub(crate) fn defined(&self) -> Result<()> {
        match self {
            Self::Undefined(undef) => Err(undef.error()),
            _ => Ok(()),
        }
    }
}
