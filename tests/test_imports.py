"""One direction of imports, one public face, and a light start."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import clemcore
from clemcore import backends, errors

PACKAGE = Path(clemcore.__file__).parent

# Left to right: a module imports only from modules to its left (docs/decisions/0001-layout-and-flow.md).
ORDER = [
    "_core",
    "errors",
    "_jinja",
    "secrets",
    "atomic",
    "cache",
    "callcache",
    "spec",
    "override",
    "explanation",
    "prices",
    "budget",
    "examination",
    "layers",
    "entries",
    "registry",
    "keys",
    "messages",
    "templates",
    "proof",
    "guard",
    "jsonlist",
    "recording",
    "records",
    "verification",
    "calls",
    "model",
    "backends.base",
    "backends.lookup",
    "backends.*",
    "loading",
    "aliases",
    "backends",
    "__init__",
    "cli",
    "__main__",
]
# The version stands in the package itself; the record and the CLI show it.
ALLOWED = {("calls", "__init__"), ("backends._remote.engine", "__init__"), ("proof.subject", "__init__")}


def _place(module: str) -> int:
    name = module.removeprefix("clemcore").removeprefix(".") or "__init__"
    parts = name.split(".")
    if parts[0] == "backends" and len(parts) > 1 and name not in ORDER:
        name = "backends.*"
    return ORDER.index(name if name in ORDER else parts[0])


def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            for alias in node.names:
                submodule = f"{module}.{alias.name}"
                is_module = (PACKAGE.parent / (submodule.replace(".", "/") + ".py")).exists() or (
                    PACKAGE.parent / submodule.replace(".", "/")
                ).is_dir()
                found.append(submodule if is_module or alias.name == "_core" else module)
    return [name for name in found if name.split(".")[0] == "clemcore"]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_the_left(path: Path) -> None:
    module = ".".join(("clemcore", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for imported in _imports(path):
        pair = (module.removeprefix("clemcore."), imported.removeprefix("clemcore").removeprefix(".") or "__init__")
        same = _place(imported) == _place(module)
        assert _place(imported) < _place(module) or same or pair in ALLOWED, f"{module} imports {imported}"


def test_the_public_names_are_pinned() -> None:
    assert sorted(clemcore.__all__) == ["__version__", "backends", "get_version"]
    assert sorted(backends.__all__) == [
        "Backend",
        "BackendRegistry",
        "BatchGenerativeModel",
        "Budget",
        "BudgetExceededError",
        "ChatCompletions",
        "ContextExceededError",
        "CustomResponseModel",
        "Dialect",
        "HumanModel",
        "Key",
        "KeyRegistry",
        "Model",
        "ModelRegistry",
        "ModelSpec",
        "Parameter",
        "RemoteBackend",
        "Reply",
        "Service",
        "ServiceBackend",
        "budget",
        "cache",
        "get_logger",
        "get_model_for",
        "is_backend",
        "load_credentials",
        "load_custom_model_registry",
        "load_model",
        "load_model_registry",
        "load_models",
        "project_root",
        "record",
        "resolve",
    ]
    for name in backends.__all__:
        assert getattr(backends, name) is not None
    assert set(backends.__all__) == set(backends._HOMES)
    with pytest.raises(AttributeError, match="nothing"):
        _ = backends.nothing


def test_what_custom_backends_import_is_there() -> None:
    utils = importlib.import_module("clemcore.backends.utils")
    for name in (
        "ensure_messages_format",
        "augment_response_object",
        "ensure_alternating_roles",
        "ContextExceededError",
        "check_context_limit_generic",
    ):
        assert hasattr(utils, name)
    assert utils.check_context_limit_generic(10, [1, 2], "m", 5) == (True, 7, 3, 10)
    with pytest.raises(backends.ContextExceededError, match="m exceeded 12/10") as caught:
        utils.check_context_limit_generic(10, [1, 2], "m", 10)
    assert (caught.value.tokens_used, caught.value.tokens_left, caught.value.context_size) == (12, -2, 10)


def test_names_of_the_modules_of_3_7_2_are_there() -> None:
    former = importlib.import_module("clemcore.backends.backend_registry")
    assert former.is_backend_file("lab_api.py")
    assert former.to_backend_name("lab_api.py") == "lab"
    human, mock = former.HumanModelBackend(), former.CustomResponseModelBackend()
    assert isinstance(human.get_model_for(backends.ModelSpec.from_name("human")), backends.HumanModel)
    assert isinstance(mock.get_model_for(backends.ModelSpec.from_name("mock")), backends.CustomResponseModel)


def test_every_error_stands_in_the_tree() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(classes) > 10
    for cls in classes:
        assert issubclass(cls, errors.ClemcoreError)
        assert cls.__name__ in (errors.__doc__ or ""), f"{cls.__name__} is missing in the tree"


HEAVY = [
    "torch",
    "transformers",
    "openai",
    "aiohttp",
    "socketio",
    "asyncio",
    "tenacity",
    "httpx",
    "httpx2",
    "nltk",
    "pandas",
    "pydantic",
    "numpy",
    "click",
    "jinja2",
]


def test_importing_loads_no_sdk_and_touches_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, logging; from clemcore import backends; backends.get_model_for('mock');"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules];"
        "assert not loaded, loaded; assert not logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
