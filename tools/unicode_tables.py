"""Write rust/clemcore/src/template/text/tables.rs: the Unicode facts that Python's str methods go by.

Run it with the oldest Python whose answers shall be built in (the tables were made with 3.11, Unicode 14);
a newer Python is asked once which further characters it prints (see text/unicode.rs).
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

LIMIT = 0x110000


def ranges(test):
    """Inclusive ranges of the code points for which `test` holds."""
    found, start = [], None
    for code in range(LIMIT + 1):
        inside = code < LIMIT and not 0xD800 <= code < 0xE000 and test(chr(code))
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            found.append((start, code - 1))
            start = None
    return found


def table(name, doc, rows):
    """One static table of ranges."""
    body = ""
    line = "   "
    for low, high in rows:
        item = f" (0x{low:x}, 0x{high:x}),"
        if len(line) + len(item) > 108:
            body += line + "\n"
            line = "   "
        line += item
    return f"/// {doc}\npub(super) static {name}: [(u32, u32); {len(rows)}] = [\n{body}{line}\n];\n"


def mapping(name, doc, change):
    """One static table of characters whose mapping is special."""
    rows = [(c, change(chr(c))) for c in range(LIMIT) if not 0xD800 <= c < 0xE000 and change(chr(c)) is not None]
    text = ""
    for code, to in rows:
        escaped = "".join(f"\\u{{{ord(c):x}}}" for c in to)
        text += f"    ('\\u{{{code:x}}}', \"{escaped}\"),\n"
    return f"/// {doc}\npub(super) static {name}: [(char, &str); {len(rows)}] = [\n{text}];\n"


hidden = ("Cc", "Cf", "Co", "Zl", "Zp", "Zs")
parts = [
    f"//! Unicode {unicodedata.unidata_version} as Python {sys.version_info[0]}.{sys.version_info[1]} sees it.\n"
    "//! Written by `tools/unicode_tables.py`; do not edit.\n#![allow(clippy::all, clippy::pedantic)]\n",
    table("PRINTABLE", "`str.isprintable`.", ranges(str.isprintable)),
    table(
        "HIDDEN",
        "Assigned, but not printable.",
        ranges(lambda c: not c.isprintable() and unicodedata.category(c) in hidden),
    ),
    table("ALPHABETIC", "`str.isalpha`.", ranges(lambda c: ord(c) > 127 and c.isalpha())),
    table("DECIMAL", "`str.isdecimal`: runs of ten digits.", ranges(str.isdecimal)),
    table("DIGIT", "`str.isdigit` beyond decimals.", ranges(lambda c: c.isdigit() and not c.isdecimal())),
    table("NUMERIC", "`str.isnumeric` beyond digits.", ranges(lambda c: c.isnumeric() and not c.isdigit())),
    table("LOWER", "`str.islower` beyond ASCII.", ranges(lambda c: ord(c) > 127 and c.islower())),
    table("UPPER", "`str.isupper` beyond ASCII.", ranges(lambda c: ord(c) > 127 and c.isupper())),
    mapping(
        "TITLE",
        "Characters whose title case is not their upper case.",
        lambda c: c.title() if c.title() != c.upper() else None,
    ),
    mapping(
        "FOLD",
        "Characters whose case folding is not their lower case.",
        lambda c: c.casefold() if c.casefold() != c.lower() else None,
    ),
]
target = Path(__file__).resolve().parent.parent / "rust/clemcore/src/template/text/tables.rs"
target.write_text("\n".join(parts), encoding="utf-8")
