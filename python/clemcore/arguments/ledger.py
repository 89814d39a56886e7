"""The account of a call's generation arguments: asked → sent, with every change and its reason.

It holds what stands where in the body and says what becomes of an argument that cannot be sent as asked. It knows
neither formats nor entries (``arguments`` and the dialects fill it).
"""

from __future__ import annotations

import marshal
from collections.abc import Collection, Mapping
from typing import Any, Literal

from clemcore.arguments.reasoning import OnExceed, Reasoning
from clemcore.errors import GenerationArgumentError
from clemcore.registry.spec import ModelSpec

# What becomes of an argument that was asked for and is not taken: an error; left out; the nearest that is taken.
OnUnsupported = Literal["error", "drop", "nearest"]

_NOTHING: Any = object()
Path = tuple[str, ...]


def check_names(gen_args: Mapping[Any, Any]) -> None:
    """Refuse names that are not text.

    Raises:
        GenerationArgumentError: there are some.
    """
    odd = [name for name in gen_args if not isinstance(name, str)]
    if odd:
        raise GenerationArgumentError(
            f"generation arguments have names, such as 'temperature', and {', '.join(map(repr, odd))} is not text: "
            "write the name between quotation marks"
        )


class Ledger:
    """What becomes of the generation arguments of a call.

    Attributes:
        fields: the fields of the body as they are sent, nested as they stand in it.
        renamed: asked name → where it stands in the body, joined by dots.
        dropped: name → why it was not sent.
        clamped: name → the value asked for, the one sent, and why.
        reasoning: the reasoning that is asked for, or None.
        on_exceed: what follows where reasoning has used up its tokens: ``empty``, ``error``, or for local models
            ``close``; None where that was not asked for.
        closing: the sentence with which a local model's thought is closed; empty where none was asked for.
    """

    def __init__(self, model: str, asked: Collection[str] = (), policy: OnUnsupported = "error") -> None:
        """Begin an account.

        Args:
            model: the model's name, for messages.
            asked: names of the arguments that the caller asked for; the others are defaults.
            policy: what becomes of one that was asked for and is not taken.
        """
        self.fields: dict[str, Any] = {}
        self.renamed: dict[str, str] = {}
        self.dropped: dict[str, str] = {}
        self.clamped: dict[str, dict[str, Any]] = {}
        self.reasoning: Reasoning | None = None
        self.on_exceed: OnExceed | None = None
        self.closing = ""
        self._model = model
        self._asked = set(asked)
        self._policy = policy
        self._paths: dict[str, Path] = {}
        self._faults: list[str] = []
        self._policy_helps = False  # against one of the faults

    def __contains__(self, name: object) -> bool:
        """Tell whether an argument is sent."""
        return name in self._paths

    def was_asked(self, name: str) -> bool:
        """Tell whether the caller asked for an argument."""
        return name in self._asked

    def value(self, name: str, default: Any = None) -> Any:
        """Return the value that is sent for an argument."""
        return default if name not in self._paths else value_at(self.fields, self._paths[name])

    def with_value(self, name: str, value: Any) -> Ledger:
        """Return the same account with another value for an argument that is sent as it was asked."""
        other = Ledger.__new__(Ledger)  # for each call of a game: copy.copy takes ten times as long
        other.__dict__.update(self.__dict__)
        other.fields = marshal.loads(marshal.dumps(self.fields))  # noqa: S302 - as in facts()
        _set(other.fields, self._paths[name], value)
        return other

    def overlapping(self, path: Path, but: str) -> str | None:
        """Return the name of another argument that stands at a place, within it or around it, or None."""
        for name, other in self._paths.items():
            least = min(len(path), len(other))
            if name != but and other[:least] == path[:least]:
                return name
        return None

    def put(self, name: str, path: Path, value: Any) -> None:
        """Send an argument at a place of the body."""
        self._paths[name] = path
        _set(self.fields, path, value)
        if path != (name,):
            self.renamed[name] = ".".join(path)
        else:
            self.renamed.pop(name, None)

    def move(self, name: str, path: Path) -> None:
        """Send an argument at another place, in the order that it had; nothing where it is not sent."""
        if name not in self._paths or self._paths[name] == path:
            return
        old = self._paths[name]
        value = value_at(self.fields, old)
        if len(old) == len(path) == 1:
            self.fields = {path[0] if key == old[0] else key: field for key, field in self.fields.items()}
        else:
            _remove(self.fields, old)
        self.put(name, path, value)

    def change(self, name: str, value: Any, why: str) -> None:
        """Send another value than the one asked for."""
        before = self.clamped.get(name, {}).get("asked", self.value(name))
        _set(self.fields, self._paths[name], value)
        self.clamped[name] = {"asked": before, "sent": value, "why": why}

    def drop(self, name: str, why: str) -> None:
        """Do not send an argument."""
        if name in self._paths:
            _remove(self.fields, self._paths.pop(name))
        self.renamed.pop(name, None)
        self.clamped.pop(name, None)
        self.dropped[name] = why

    def refuse(self, why: str) -> None:
        """Note what makes the call impossible; all such notes are raised together."""
        self._faults.append(why)

    def unsupported(self, name: str, why: str, nearest: Any = _NOTHING, *, value: Any = None) -> bool:
        """Decide about an argument that is not taken as it is.

        A default is left out, or fitted where something is near. One that was asked for is an error, or treated the
        same way where the entry says so.

        Args:
            name: the argument; it was put before, or it was not.
            why: what is wrong, without the name: it stands behind it.
            nearest: the nearest value that is taken.
            value: the value asked for, where the argument was not put.

        Returns:
            Whether the nearest value is sent; of an argument that was put, it stands in the body already.
        """
        if self.was_asked(name) and self._policy == "error":
            self.refuse(f"{name}: {why}")
            self._policy_helps = True
            return False
        if nearest is _NOTHING or (self.was_asked(name) and self._policy != "nearest"):
            self.drop(name, why if self.was_asked(name) else f"default; {why}")
            return False
        if name in self:
            self.change(name, nearest, why)
        else:
            self.clamped[name] = {"asked": value, "sent": nearest, "why": why}
        return True

    def require(self) -> None:
        """Raise what was refused, all of it at once.

        Raises:
            GenerationArgumentError: something was.
        """
        if self._faults:
            hint = ""
            if self._policy_helps:
                hint = '; model_config.on_unsupported "drop" or "nearest" leaves out or fits what is not taken'
            raise GenerationArgumentError(
                f"generation arguments of model '{self._model}' cannot be sent as asked: "
                f"{'; '.join(self._faults)}{hint}"
            )

    def facts(self) -> dict[str, Any]:
        """Return what goes into the record."""
        sent = marshal.loads(marshal.dumps(self.fields))  # noqa: S302 - the quickest deep copy of what is JSON
        return {"sent": sent, "parameters": self.parameters}

    def marshalled(self) -> bytes:
        """Return :meth:`facts`, marshalled: each reply gets a copy of its own."""
        return marshal.dumps({"sent": self.fields, "parameters": self.parameters})

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The account of changes, for the record."""
        return {"renamed": dict(self.renamed), "dropped": dict(self.dropped), "clamped": dict(self.clamped)}


def value_at(fields: Mapping[str, Any], path: Path, default: Any = None) -> Any:
    """Return what stands at a place of a body, or the default.

    Examples:
        >>> value_at({"config": {"seed": 1}}, ("config", "seed"))
        1
    """
    found: Any = fields
    for step in path:
        if not isinstance(found, Mapping) or step not in found:
            return default
        found = found[step]
    return found


def merge(fields: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put fields into others; objects are merged to the depth, anything else is replaced."""
    for name, value in more.items():
        inside = fields.get(name)
        if isinstance(inside, dict) and isinstance(value, Mapping):
            merge(inside, value)
        else:
            fields[name] = value


def leaves(fields: Mapping[str, Any]) -> list[Path]:
    """Return the places of all values in a body's fields; lists are values.

    Examples:
        >>> leaves({"config": {"seed": 1}, "stop": ["x"]})
        [('config', 'seed'), ('stop',)]
    """
    found: list[Path] = []
    for name, value in fields.items():
        inside = leaves(value) if isinstance(value, Mapping) else []
        found += [(name, *path) for path in inside] or [(name,)]
    return found


def _set(fields: dict[str, Any], path: Path, value: Any) -> None:
    for step in path[:-1]:
        inside = fields.get(step)
        if not isinstance(inside, dict):
            inside = fields[step] = {}
        fields = inside
    fields[path[-1]] = value


def _remove(fields: dict[str, Any], path: Path) -> None:
    """Take a field out, and every object that is empty without it."""
    if len(path) > 1 and isinstance(fields.get(path[0]), dict):
        _remove(fields[path[0]], path[1:])
        if fields[path[0]]:
            return
    fields.pop(path[0], None)


def make_room(ledger: Ledger, spec: ModelSpec, budget: int) -> None:
    """Add what the model may think to the limit on its answer, for services where thinking counts in it.

    Args:
        ledger: the account; one without a limit is left alone.
        spec: the entry, whose ``max_output_tokens`` bounds both together.
        budget: tokens for thinking.
    """
    answer = ledger.value("max_tokens")
    if not isinstance(answer, int):
        return
    ledger.change("max_tokens", answer + budget, f"thinking counts in it: its budget of {budget} was added")
    most = spec.get("max_output_tokens")
    if isinstance(most, int) and answer + budget > most:
        why = f"with the {budget} for thinking it exceeds the {most} tokens that the model answers with at most"
        ledger.unsupported("max_tokens", why, most)
