//! The pure core of clemcore.
#![forbid(unsafe_code)]
