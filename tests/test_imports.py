"""One direction of imports, one public face, and a light start."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import clemcore
from clemcore import backends, compat, errors

PACKAGE = Path(clemcore.__file__).parent

# From the bottom up: a module imports only from its own family and from lower levels
# (docs/decisions/0001-layout-and-flow.md). Families of one level do not import each other.
LEVELS = (
    {"_core", "visible", "utils"},
    {"errors", "spelling"},
    {"abilities", "messages", "secrets", "files", "forks", "names", "plugins"},
    {"keys", "registry"},
    {"arguments"},
    {"images", "prompts", "calls", "diagnosis"},
    {"model"},
    {"backends"},
    {"loading"},
    {"verify", "clemgame"},
    {"compat", "cli"},
    {"__init__", "__main__"},
)
# These only list public names, which they load when somebody asks for one.
FACES = ("clemcore", "clemcore.backends", "clemcore.clemgame")


def _name_of(path: Path) -> str:
    return ".".join(("clemcore", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {_name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _family(module: str) -> str:
    return module.removeprefix("clemcore").removeprefix(".").split(".")[0] or "__init__"


def _level(module: str) -> int:
    return next(number for number, families in enumerate(LEVELS) if _family(module) in families)


def _for_type_checkers(tree: ast.Module) -> set[int]:
    blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    return {id(inner) for block in blocks for part in block.body for inner in ast.walk(part)}


def _imports(path: Path) -> set[str]:
    """Return the modules of clemcore that a module imports, also inside functions; not those for type checkers."""
    tree = ast.parse(path.read_text())
    unseen, found = _for_type_checkers(tree), set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES or alias.name == "_core" else str(node.module))
    return {name for name in found if name.split(".")[0] == "clemcore"}


GRAPH = {name: _imports(path) - {name} for name, path in MODULES.items()}


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(FACES)))
def test_imports_point_down(module: str) -> None:
    for imported in GRAPH[module]:
        is_within = _family(imported) == _family(module)
        assert is_within or _level(imported) < _level(module), f"{module} imports {imported}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"import cycle: {' → '.join((*way, module))}"
        if module not in done:
            for imported in sorted(GRAPH.get(module, ())):
                walk(imported, (*way, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


def test_games_know_the_face_of_the_backends_alone() -> None:
    for module, imported in GRAPH.items():
        if _family(module) == "clemgame":
            assert not [name for name in imported if name.startswith("clemcore.backends.")], module


def test_no_backend_knows_games() -> None:
    for module, imported in GRAPH.items():
        if _family(module) == "backends":
            assert not [name for name in imported if _family(name) == "clemgame"], module


LOCAL = ("clemcore.backends.local", "clemcore.backends.huggingface_local")
SERVICE = ("clemcore.backends.service", "clemcore.backends.slurk")


@pytest.mark.parametrize(("ones", "others"), [(LOCAL, SERVICE), (SERVICE, LOCAL)])
def test_local_and_service_backends_do_not_know_each_other(ones: tuple[str, ...], others: tuple[str, ...]) -> None:
    mine = [module for module in MODULES if module.startswith(ones)]
    assert mine
    for module in mine:
        assert not [name for name in GRAPH[module] if name.startswith(others)], module


def test_moved_modules_answer_by_their_old_names() -> None:
    for old, new in compat.RENAMED.items():
        assert importlib.import_module(old) is importlib.import_module(new)
    assert importlib.import_module("clemcore.templates.gguf") is importlib.import_module(
        "clemcore.prompts.templates.gguf"
    )
    old_pickle = b"\x80\x04cclemcore.spec\nModelSpec\n."
    assert pickle.loads(old_pickle) is backends.ModelSpec  # noqa: S301 - our own bytes


def test_the_public_names_are_pinned() -> None:
    assert dir(clemcore) == ["__version__", "backends", "budget", "cache", "get_model_for", "record", "scope"]
    assert clemcore.record is backends.record
    assert dir(backends) == [
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
        "scope",
        "shared_limits",
    ]
    for name in dir(backends):
        assert getattr(backends, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = backends.nothing  # type: ignore[attr-defined]


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


def test_the_steps_of_a_run_do_not_know_the_command_that_runs_them() -> None:
    for module, imported in GRAPH.items():
        inner = module.removeprefix("clemcore.clemgame.").split(".")[0]
        if inner in {"engine", "store", "layout", "scoring", "reading"}:
            assert not [name for name in imported if name.startswith("clemcore.clemgame.runs")], module
        if inner == "reading":
            others = [name for name in imported if name.startswith("clemcore.clemgame.")]
            assert all(name.startswith("clemcore.clemgame.reading") for name in others), module
