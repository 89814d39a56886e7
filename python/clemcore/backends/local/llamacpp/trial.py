"""Opens a GGUF file in a process of its own before this process does.

llama.cpp ends its process when it meets some faults of a file (``GGML_ASSERT``, a C++ exception), and no error can
be caught. So another process meets them first. A file that passed is not tried again while it stays as it is. This
module knows files and processes, and neither prompts nor messages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clemcore.errors import ModelLoadError
from clemcore.files import cache_dir, replace_file

# What is encoded: if a tokenizer has no token for a character, llama.cpp ends the process, too.
_TEXT = "".join(map(chr, range(32, 127))) + "\n\n\té漢😀"
# A few tokens show whether the model can compute.
_CONTEXT = 64
_PROGRAM = "import sys; sys.path[:] = {path!r}; from clemcore.backends.local.llamacpp.trial import serve; serve()"
_BEGUN, _PASSED, _REFUSED = "begun", "passed", "refused"
# How ggml and the C++ library say why they end the process; the path of a source file stands before the first.
_REASON = re.compile(r"GGML_ASSERT\(.*\) failed|(?<=what\(\):).*|(?<=ggml_abort: ).*|[^/\s]+\.\w+:\d+: .*")


def require_survival(path: Path, name: str, how: Mapping[str, Any] | None = None) -> None:
    """Refuse a file that ends the process which opens it.

    Args:
        path: the file; of a model in parts the first one.
        name: the model's name, for the error.
        how: how the weights are loaded, as for :class:`Native`; None: only the vocabulary is read.

    Raises:
        ModelLoadError: the process has ended; the message has the reason that llama.cpp wrote.
    """
    libraries = f"llama_cpp_python {version('llama-cpp-python')}"
    state = path.stat()
    what = repr((str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino, how, libraries))
    passed = cache_dir() / "gguf" / hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()
    if passed.is_file():
        return
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
            input=json.dumps({"path": str(path), "how": how}),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},  # else ggml starts a debugger, which can take long
        )
    except OSError:  # no process can be started here
        return
    told = done.stdout.split()
    if _PASSED in told:
        with contextlib.suppress(OSError):  # then it is tried again next time
            passed.parent.mkdir(parents=True, exist_ok=True)
            replace_file(passed, b"")
    elif _BEGUN in told and _REFUSED not in told:
        reason = _reason(done.returncode, done.stderr)
        raise ModelLoadError(
            f"model '{name}': llama.cpp cannot {'load' if how else 'read'} {path}, and ends the process: {reason} "
            f"({libraries}). The file is damaged, or of a kind that this version does not support: download it "
            "again, or choose another file"
        )


def serve() -> None:
    """Open the file that standard input names, and say how that went; the other side of the trial."""
    from clemcore.backends.local.llamacpp.native import Native
    from clemcore.backends.local.llamacpp.vocabulary import Vocabulary

    asked = json.load(sys.stdin)
    path, how = Path(asked["path"]), asked["how"]
    print(_BEGUN, flush=True)
    try:
        if how is None:
            vocabulary = Vocabulary(path)
            vocabulary.decode(vocabulary.encode(_TEXT))
        else:
            context = min(how["context"], _CONTEXT)
            native = Native(path, **{**how, "context": context, "piece": min(how["piece"], context)})
            native.feed([token % native.tokens for token in range(min(8, context))], 0)
            native.close()
    except Exception:  # noqa: BLE001 - whoever opens the file next meets it, too, and reports it
        print(_REFUSED, flush=True)
    else:
        print(_PASSED, flush=True)


def _reason(code: int, written: str) -> str:
    """Return why a process has ended, by what it wrote last, or else by the signal."""
    found = [match[0].strip() for line in written.splitlines() if (match := _REASON.search(line))]
    if found:
        return found[0]
    if hasattr(signal, "SIGKILL") and code == -signal.SIGKILL:
        return "the system has killed it, as it does when memory runs out"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"exit code {code}"
