//! From bytes to text: UTF-8, with every fault of the encoding reported and the rest still readable.
use super::Span;
use crate::catalogue as kind;
use crate::problem::Faults;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Decodes a file; bytes that are not UTF-8 become U+FFFD and a fault each. `None` for another encoding.
pub(crate) fn decode<'b>(bytes: &'b [u8], faults: &mut Faults) -> Option<Cow<'b, str>> {
    if let Some(name) = foreign_encoding(bytes) {
        faults
            .at(&kind::NOT_UTF8, Span::at(0), format!("the file is {name}, not UTF-8"))
            .help("save it as UTF-8");
        return None;
    }
    let length = bytes.len();
    let bytes = if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        faults
            .at(&kind::BYTE_ORDER_MARK, Span::at(0), "the file starts with a byte order mark")
            .help("save it as UTF-8 without BOM; other JSON readers refuse the mark");
        rest
    } else {
        bytes
    };
    Some(match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(decode_lossy(bytes, length - bytes.len(), faults)),
    })
}

fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, b'[' | b'{', ..] | [b'[' | b'{', 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// Decodes bytes that begin at `position` in the file.
fn decode_lossy(bytes: &[u8], mut position: usize, faults: &mut Faults) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if faults.overfull() {
            break;
        }
        text.push_str(chunk.valid());
        position += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            let start = text.len();
            text.push(char::REPLACEMENT_CHARACTER);
            let mut hex = String::new();
            for byte in chunk.invalid() {
                let _ = write!(hex, " {byte:02X}");
            }
            let span = Span::new(start, text.len());
            faults
                .at(&kind::NOT_UTF8, span, format!("the byte{hex} at offset {position} is not UTF-8"))
                .help("save the file as UTF-8");
            position += chunk.invalid().len();
        }
    }
    text
}
