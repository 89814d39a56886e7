"""``python -m clemcore SCRIPT.py [ARGUMENTS]`` runs a script in which ``import backends`` means clemcore's.

For the script all else is as under ``python SCRIPT.py``: its arguments, its ``__main__``, its folder on the path,
its exit status, its tracebacks. Without a script this is the ``clem`` command. It does not know which names are
aliases: that is :mod:`clemcore.compat`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def main() -> None:
    """Run the script that is named on the command line, or ``clem``."""
    arguments = sys.argv[1:]
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
    compat.install(top_level=True)
    sys.argv = arguments
    if not _path_is_safe():
        # As the interpreter does for a script: its own folder comes first, not the working directory.
        sys.path[0] = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
    try:
        _run(compile(source, path, "exec", dont_inherit=True), path)
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


def _run(code: CodeType, path: str) -> None:
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    module = ModuleType("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=sys.modules["builtins"],
        __cached__=None,
        __file__=path,
        __loader__=SourceFileLoader("__main__", path),
    )
    # It stays there after the script's last line: atexit functions and threads look it up.
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 - running the user's script is what this is for


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not needed for anything else here
            return file.read()
    except OSError as fault:
        print(f"python -m clemcore: cannot open the script '{path}': {fault.strerror}", file=sys.stderr)
        sys.exit(2)


def _path_is_safe() -> bool:
    """Tell whether the interpreter was asked to put neither folder on the path (``-P``, ``-I``)."""
    return bool(getattr(sys.flags, "safe_path", False) or sys.flags.isolated)


if __name__ == "__main__":
    main()
