"""jinja2 in a process of its own, bounded in time, memory and output.

A template comes from strangers, and jinja2 has no bounds: where the Rust core does not cover something, a hostile
template could otherwise hang or fill the machine. The process is started when a template first needs jinja2,
renders any number of times, and is started again after a render that broke a bound. This module knows templates as
texts, and data, and nothing of messages.

Between the two processes go frames: eight bytes of length, then the content. A request is pickled, because data may
be of any type where old versions of transformers let it through; an answer is JSON, because a template made it.
Memory is bounded where the system has /proc (Linux); elsewhere time and output alone are.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
import subprocess
import sys
import threading
import weakref
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from clemcore import forks
from clemcore.errors import MissingExtraError, TemplateError

# Seconds of processor time for one render, as in the Rust core. Long conversations take milliseconds.
_SECONDS = 0.5
# Bytes of memory beyond what the process has when it begins.
_MEMORY = 200 * 2**20
# Characters of one text.
_OUTPUT = 16 * 2**20
# Seconds of real time after which the process is given up: it may be asleep, or the machine busy.
_PATIENCE = 120.0

# How our engine and this module say that a bound was broken.
_BOUNDS = (
    "the template takes too many steps or too much memory to render",
    "the template takes too long to render",
    "the output grows too large",
    "jinja2 has to render this template, and it needs more than",
    "jinja2 has to render this template: it needs more than",
    "jinja2 has to render this template: the text has more than",
)

_PROGRAM = "import sys; sys.path[:] = {path!r}; from clemcore.prompts.templates.isolation import serve; serve()"
_LENGTH = struct.Struct("<Q")


def breaks_bounds(fault: TemplateError) -> bool:
    """Tell whether a render ended because it would have taken too much time or memory."""
    return str(fault).startswith(_BOUNDS)


class IsolatedTemplate:
    """One template that jinja2 renders elsewhere."""

    def __init__(self, source: str) -> None:
        """Start the process and compile the template there.

        Args:
            source: the template's text.

        Raises:
            TemplateError: it has a fault, or compiling it breaks a bound.
            MissingExtraError: jinja2 is not installed.
        """
        self._source = source
        self._lock = threading.Lock()
        # The lock is held while a template renders; a forked child leaves process and pipes to its parent.
        forks.guard(self, "_lock", hold=False, in_child=IsolatedTemplate._forget)
        self._process: subprocess.Popen[bytes] | None = None
        with self._lock:
            self._started()

    def _forget(self) -> None:
        self._process = None

    def render(self, variables: dict[str, Any], now: datetime | None) -> str:
        """Render with these variables and nothing else.

        Args:
            variables: what the template is given.
            now: what its clock tells; None is the real time.

        Raises:
            TemplateError: whatever goes wrong in it, or it breaks a bound.
        """
        try:
            request = pickle.dumps((variables, now))
        except Exception as fault:  # objects refuse in every way there is
            msg = f"jinja2 has to render this template, and its data cannot be handed over: {fault}"
            raise TemplateError(msg) from fault
        with self._lock:
            text: str = self._ask(self._started(), request)["text"]
        return text

    def variables(self) -> frozenset[str]:
        """Return the names that the template reads and does not set itself.

        Raises:
            TemplateError: finding them breaks a bound.
        """
        with self._lock:
            return frozenset(json.loads(self._ask(self._started(), pickle.dumps(None))["text"]))

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the running process; start one where there is none."""
        if self._process is None or self._process.poll() is not None:
            process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
                [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            weakref.finalize(self, _stop, process)
            self._ask(process, self._source.encode("utf-8", "surrogatepass"))
            # It is kept only now: a signal may have ended this method before the template was handed over.
            self._process = process
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], request: bytes) -> dict[str, Any]:
        watch = threading.Timer(_PATIENCE, process.kill)
        watch.daemon = True
        watch.start()
        try:
            _write(cast("IO[bytes]", process.stdin), request)
            answer = json.loads(_read(cast("IO[bytes]", process.stdout)))
        except (OSError, EOFError, ValueError):
            _stop(process)
            msg = (
                f"jinja2 has to render this template, and it needs more than {_SECONDS:g} s of processor time or "
                f"{_MEMORY >> 20} MiB of memory"
            )
            raise TemplateError(msg) from None
        except BaseException:
            # A signal handler raised, as for Ctrl-C. The next render would read the answer that is still to come.
            _stop(process)
            raise
        finally:
            watch.cancel()
        if "missing" in answer:
            raise MissingExtraError("huggingface_local", "huggingface", answer["missing"])
        if "error" in answer:
            raise TemplateError(answer["error"], line=answer["line"])
        return dict(answer)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()


def _write(stream: IO[bytes], content: bytes) -> None:
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def serve() -> None:
    """Render for the process that started this one, until it closes the pipe."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        source = _read(requests).decode("utf-8", "surrogatepass")
    except EOFError:
        return
    state: dict[str, datetime | None] = {"now": None}
    try:
        from clemcore.prompts.jinja import compile_template, render, undeclared
    except MissingExtraError as fault:
        _write(answers, json.dumps({"missing": fault.name}).encode())
        return
    _bound_memory()
    template: Any = None

    def compiled() -> str:
        nonlocal template
        template = compile_template(source, lambda: state["now"] or datetime.now())
        return ""

    _write(answers, _answer(compiled))
    if template is None:
        return
    while True:
        try:
            request = _read(requests)
        except EOFError:
            return
        try:
            asked = pickle.loads(request)  # noqa: S301 - from its parent
        except Exception as fault:  # noqa: BLE001 - a class that cannot be found here, for one
            _write(answers, _error(f"its data cannot be handed over: {fault}"))
            continue
        if asked is None:
            _write(answers, _answer(lambda: json.dumps(sorted(undeclared(source)))))
            continue
        variables, state["now"] = asked
        _write(answers, _answer(lambda variables=variables: render(template, variables)))


def _answer(work: Any) -> bytes:
    _bound_time(_SECONDS)
    try:
        text = work()
        if len(text) > _OUTPUT:
            return _error(f"the text has more than {_OUTPUT >> 20} Mi characters")
        return json.dumps({"text": text}).encode()
    except TemplateError as fault:
        if isinstance(fault.__cause__, MemoryError):
            return _error(f"it needs more than {_MEMORY >> 20} MiB of memory")
        return json.dumps({"error": str(fault), "line": fault.line}).encode()
    except MemoryError:
        return _error(f"it needs more than {_MEMORY >> 20} MiB of memory")
    except Exception as fault:  # noqa: BLE001 - an error is an answer, too
        return _error(str(fault))
    finally:
        _bound_time(0.0)


def _error(what: str) -> bytes:
    return json.dumps({"error": f"jinja2 has to render this template: {what}", "line": None}).encode()


def _bound_time(seconds: float) -> None:
    """Let the system end this process after so much processor time; 0 lifts the bound."""
    with contextlib.suppress(ImportError, AttributeError):
        import signal

        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
