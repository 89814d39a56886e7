"""``python -m clemcore SCRIPT.py [ARGUMENTS]`` runs a script in which ``import backends`` means clemcore's.

``python -m clemcore -m MODULE [ARGUMENTS]`` does the same for a module. All else is as under ``python SCRIPT.py``
and ``python -m MODULE``: arguments, ``__main__``, path, exit status, tracebacks. Without either this is the
``clem`` command. It does not know which names are aliases: that is :mod:`clemcore.compat`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import CodeType
    from typing import NoReturn


def main() -> None:
    """Run the script or module that is named on the command line, or ``clem``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["-m"]:
        run_module(arguments[1:])
        return
    if not arguments or not arguments[0].endswith(".py"):
        from clemcore.cli import main as clem

        sys.exit(clem())
    run_script(arguments)


def run_script(arguments: list[str]) -> None:
    """Run a script in this process, as its ``__main__``.

    Args:
        arguments: the script's path, and what it shall find in ``sys.argv[1:]``.
    """
    import os

    from clemcore import compat

    path = os.path.abspath(arguments[0])  # noqa: PTH100 - as the interpreter makes it, symbolic links kept
    source = _read(path)
    compat.install()
    sys.argv = arguments
    if not _path_is_safe():
        # As the interpreter does for a script: its own folder comes first, not the working directory.
        sys.path[0] = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
    _run(lambda: compile(source, path, "exec", dont_inherit=True), path)


def run_module(arguments: list[str]) -> None:
    """Run a module in this process, as its ``__main__``; a package is run by its ``__main__`` module.

    Args:
        arguments: the module's name, and what it shall find in ``sys.argv[1:]``.
    """
    from clemcore import compat

    if not arguments:
        _refuse("-m needs the name of a module")
    compat.install()
    spec = _spec_of(arguments[0])
    sys.argv = [spec.origin or arguments[0], *arguments[1:]]
    _run(lambda: _code_of(spec), sys.argv[0], spec)


def _spec_of(name: str) -> ModuleSpec:
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as fault:  # a package above it
        _refuse(str(fault))
    if spec is None:
        _refuse(f"No module named {name}")
    return spec


def _code_of(spec: ModuleSpec) -> CodeType:
    read = getattr(spec.loader, "get_code", None)
    code: CodeType | None = read(spec.name) if read is not None else None
    if code is None:  # built into the interpreter, or compiled
        _refuse(f"'{spec.name}' cannot be run as a program")
    return code


def _run(make: Callable[[], CodeType], path: str, spec: ModuleSpec | None = None) -> None:
    """Compile and run a program; errors of both look as they do without us."""
    try:
        _execute(make(), path, spec)
    except SystemExit:
        raise
    except BaseException as error:
        # The traceback begins in the script. The interpreter then ends as it does after any uncaught
        # exception (exit status, functions registered with atexit), with nothing left to print.
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.excepthook = lambda *_: None
        raise


def _execute(code: CodeType, path: str, spec: ModuleSpec | None) -> None:
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    module = ModuleType("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=sys.modules["builtins"],
        __cached__=None,
        __file__=path,
        __loader__=SourceFileLoader("__main__", path) if spec is None else spec.loader,
    )
    if spec is not None:
        module.__dict__.update(__spec__=spec, __package__=spec.parent, __cached__=spec.cached)
    # It stays there after the script's last line: atexit functions and threads look it up.
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 - running the user's script is what this is for


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not needed for anything else here
            return file.read()
    except OSError as fault:
        _refuse(f"cannot open the script '{path}': {fault.strerror}")


def _refuse(message: str) -> NoReturn:
    print(f"python -m clemcore: {message}", file=sys.stderr)
    sys.exit(2)


def _path_is_safe() -> bool:
    """Tell whether the interpreter was asked to put neither folder on the path (``-P``, ``-I``)."""
    return bool(getattr(sys.flags, "safe_path", False) or sys.flags.isolated)


if __name__ == "__main__":
    main()
