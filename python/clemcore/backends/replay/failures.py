"""Recorded failures as the errors that they were: the same class, message and attributes.

A class that is not known here becomes an error of the same name. It does not know when they are raised.
"""

from __future__ import annotations

import builtins
from typing import Any

from clemcore import errors
from clemcore.calls.reader import RecordedCall
from clemcore.errors import ClemcoreError, ReplayError

_KEPT = ("provider_message", "retry_after", "tokens_used", "tokens_left", "context_size")


class RecordedError(ClemcoreError):
    """A failure whose class is not known here; the subclass that is raised has its recorded name."""


def failure_of(call: RecordedCall) -> Exception:
    """Return the error that a recorded call failed with.

    Raises:
        ReplayError: the call was interrupted from outside; it has neither answer nor failure.
    """
    known = call.error or {}
    name, message = str(known.get("type")), str(known.get("message"))
    cls = getattr(errors, name, None) or getattr(builtins, name, None)
    if name in ("KeyboardInterrupt", "SystemExit", "CancelledError", "GeneratorExit", "InterruptedCallError"):
        raise ReplayError(
            f"the recorded call {call.place} was interrupted ({name}): it has no answer", place=call.place
        )
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        cls = type(name, (RecordedError,), {"__module__": __name__})
    error = _made(cls, message)
    facts = {"wire": call.facts["wire"]} if isinstance(call.facts.get("wire"), dict) else {}
    values: dict[str, Any] = {name: known[name] for name in _KEPT if name in known}
    if isinstance(error, ClemcoreError):
        wire: dict[str, Any] = facts.get("wire", {})
        values.update(
            prompt=call.prompt,
            response=call.response,
            facts=dict(call.facts),
            status=wire.get("status"),
            request_id=wire.get("request_id"),
        )
    for name, value in values.items():
        setattr(error, name, value)
    return error


def _made(cls: type[Exception], message: str) -> Exception:
    try:
        error = cls(message)
    except TypeError:
        error = Exception.__new__(cls)
    error.args = (message,)
    if str(error) == message:
        return error
    # KeyError shows the repr of what it was given, and what was recorded was shown already.
    again: type[Exception] = type(
        cls.__name__, (cls,), {"__str__": lambda self: str(self.args[0]), "__module__": cls.__module__}
    )
    error = Exception.__new__(again)
    error.args = (message,)
    return error
