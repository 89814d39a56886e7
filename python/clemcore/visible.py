r"""Make text safe to show: characters that steer a terminal or reorder a line are shown as escapes.

Everything that people read passes through here: errors, notes, answers and tables on a terminal, dialogues of
``human``. A file, a server or a model must not move the cursor, retitle the window or hide text. It does not know
streams: data in a pipe stays exact.
"""

from __future__ import annotations

import re

# C0 controls without tab and line feed, DEL, C1 controls, bidirectional controls, lone surrogates.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return the text with control characters as escapes; tabs and line feeds stay.

    Examples:
        >>> visible("a\x1b[31m\tb\n\x9b2J\u202e")
        'a\\x1b[31m\tb\n\\x9b2J\\u202e'
    """
    if text.isprintable():  # false for every character that is hidden
        return text
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def visible_json(text: str) -> str:
    r"""Return JSON text with control characters as JSON escapes; its value stays the same.

    Examples:
        >>> visible_json('"\x9b2J\u202e"')
        '"\\u009b2J\\u202e"'
    """
    if text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
