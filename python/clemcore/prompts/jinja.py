"""The environment that transformers gives to chat templates, built from jinja2 itself.

It takes over where the Rust core says that it does not cover a template or its data. It knows the environment and
nothing about messages. Importing it imports jinja2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from clemcore.errors import MissingExtraError, TemplateError

try:
    import jinja2
    from jinja2 import meta, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace
except ImportError as fault:
    raise MissingExtraError("huggingface_local", "huggingface", fault.name) from fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = ["compile_template", "render", "undeclared"]


class _Generation(Extension):
    """``{% generation %}``: a scope of its own around what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own protocol

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_write"), [], [], body).set_lineno(line)

    def _write(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """``dict`` without access to the type itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _SafeNamespace(Namespace):
    """``namespace`` that keeps no private names."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        values = dict(*rest, **kwargs)
        for name in values:
            _refuse_private(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        Namespace.__setitem__(self, name, value)


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        msg = (
            f"Chat templates cannot store underscore-prefixed attributes on a namespace, but got {name!r}. "
            "Please rename the attribute."
        )
        raise SecurityError(msg)


def _raise_exception(message: Any) -> NoReturn:
    raise jinja2.TemplateError(message)


def _tojson(
    x: Any, ensure_ascii: Any = False, indent: Any = None, separators: Any = None, sort_keys: Any = False
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def undeclared(source: str) -> frozenset[str]:
    """Return the names that a template reads and does not set itself.

    Raises:
        TemplateError: the template has a fault.
    """
    try:
        return frozenset(meta.find_undeclared_variables(_environment().parse(source)))
    except (jinja2.TemplateError, RecursionError) as fault:
        raise TemplateError(str(fault), line=getattr(fault, "lineno", None)) from fault


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )


def compile_template(source: str, now: Callable[[], datetime]) -> jinja2.Template:
    """Compile a template in that environment; ``now`` is what ``strftime_now`` writes.

    Raises:
        TemplateError: the template has a fault.
    """
    environment = _environment()
    environment.filters["tojson"] = _tojson
    environment.globals.update(
        raise_exception=_raise_exception,
        strftime_now=lambda format: now().strftime(format),
        dict=_Dict(),
        namespace=_SafeNamespace,
    )
    try:
        return environment.from_string(source)
    except (jinja2.TemplateError, SyntaxError, RecursionError) as fault:
        raise TemplateError(str(fault), line=getattr(fault, "lineno", None)) from fault


def render(template: jinja2.Template, variables: dict[str, Any]) -> str:
    """Render a template.

    Raises:
        TemplateError: whatever goes wrong in it.
    """
    try:
        return template.render(**variables)
    except Exception as fault:  # a template can raise anything that Python can
        raise TemplateError(str(fault), line=getattr(fault, "lineno", None)) from fault
