"""Compiles the regular expressions of entries, and refuses those that could take for ever on a reply.

Python's expressions have no limit on time, and ``(a+)+$`` takes seconds for 27 letters. An expression in which
repetitions could multiply is therefore tried in a process of its own, which the system ends when it takes too long.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys

# Seconds of processor time that all trials of one expression may take; the process starts in 0.02 s.
_SECONDS = 1
# Seconds after which the process is given up, because a busy machine does not let it run.
_PATIENCE = 120
_REPETITION = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")
_REPEATED_GROUP = re.compile(r"(?<!\\)\)(?:[*+]|\{\d)")
_LONGEST_SHOWN = 80
_MOST_LETTERS = 24
_LENGTHS = (30, 300)

_TRIAL = """
import json, re, sys
pattern, texts, seconds = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
except (ImportError, OSError, ValueError):
    pass
for text in texts:
    for _ in re.finditer(pattern, text):
        pass
"""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression of an entry.

    Raises:
        ValueError: it is not one, or it can take too long.
    """
    shown = pattern if len(pattern) <= _LONGEST_SHOWN else f"{pattern[:_LONGEST_SHOWN]}…"
    try:
        compiled = re.compile(pattern)
    except re.error as fault:
        raise ValueError(f"is not a regular expression: {fault} in {shown!r}") from None
    except (RecursionError, OverflowError, MemoryError):
        raise ValueError(f"is nested too deeply or too large for a regular expression: {shown!r}") from None
    if _takes_too_long(pattern):
        raise ValueError(
            f"can take for ever on some replies, because its repetitions multiply: simplify {shown!r}, for example "
            "'(a+)+' to 'a+'"
        )
    return compiled


@functools.lru_cache(maxsize=256)
def _takes_too_long(pattern: str) -> bool:
    if len(_REPETITION.findall(pattern)) <= 1 and not _REPEATED_GROUP.search(pattern):
        return False
    letters = "".join(dict.fromkeys(pattern))[:_MOST_LETTERS] + " a0"
    units = [*letters, letters, *(one + other for one in letters[:8] for other in letters[:8])]
    # The last character matches nothing, so that every way to divide the rest is tried.
    texts = [unit * (length // len(unit) + 1) + end for length in _LENGTHS for unit in units for end in ("\0", "")]
    request = json.dumps([pattern, texts, _SECONDS])
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-I", "-S", "-c", _TRIAL],
            input=request,
            text=True,
            timeout=_PATIENCE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0
