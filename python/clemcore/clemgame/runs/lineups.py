"""Which models play which roles: the line-ups of a command, their folders, and models that are loaded once.

It does not know games, apart from the number of their players.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from clemcore.calls.encoding import sha256_of_value, to_json
from clemcore.clemgame.layout import line_up_folder
from clemcore.clemgame.runs.runfile import place_of_setting
from clemcore.errors import ClemcoreError, RunError, SpecError
from clemcore.loading import get_model_for, misspelt_arguments, planned
from clemcore.model import Model
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import mask_fields

if TYPE_CHECKING:
    from clemcore.clemgame.runs.settings import RunSettings, Selector

# Backends whose models run in this process: loading one takes minutes and memory.
LOCAL = frozenset({"huggingface_local", "huggingface_multimodal", "llamacpp", "vllm"})


@runtime_checkable
class Priced(Protocol):
    """A model whose calls cost what its entry says."""

    def require_prices(self) -> object:
        """Raise SpecError if the entry has no prices."""


@dataclass(frozen=True)
class Role:
    """The model of one role.

    Attributes:
        selector: what the user wrote.
        asked: the generation arguments that were given with it.
        spec: the specification of the model.
        gen_args: all generation arguments of its calls.
    """

    selector: Selector | ModelSpec
    asked: Mapping[str, Any]
    spec: ModelSpec
    gen_args: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return str(self.spec["model_name"])

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        return self.spec.get("backend") in LOCAL

    def info(self) -> dict[str, Any]:
        """Describe the model as 3.7.2's files do."""
        changes = changes_of(self.spec)
        return {
            "model_spec": mask_fields(self.spec.to_dict()),
            **({"overridden": changes} if changes else {}),
            "gen_args": dict(self.gen_args),
        }

    @property
    def key(self) -> str:
        """What tells the model from others."""
        return sha256_of_value(self.info())


@dataclass(frozen=True)
class LineUp:
    """Models in the order of their roles.

    Attributes:
        roles: the model of each role.
        folder: the folder of its run.
    """

    roles: tuple[Role, ...]
    folder: Path

    def infos(self) -> dict[str, Any]:
        """Describe the models by the number of their role, as 3.7.2's files do."""
        return {str(index): role.info() for index, role in enumerate(self.roles)}

    def __str__(self) -> str:
        """Name the models."""
        return " and ".join(f"'{role.name}'" for role in self.roles)


def line_ups_of(settings: RunSettings) -> list[LineUp]:
    """Return the line-ups that a command plays, in the order in which each local model is loaded once.

    Raises:
        RunError: a model is unknown or its entry is invalid; all problems at once.
    """
    found: list[tuple[Role, ...]] = []
    problems: dict[str, None] = {}
    known: dict[str, Role] = {}
    for selectors in settings.line_up_selectors():
        chosen = selectors * max(1, len(settings.players)) if len(selectors) == 1 else selectors
        if len(settings.players) > len(chosen):
            problems[f"players has {len(settings.players)} roles, and a line-up has {len(chosen)} models"] = None
            continue
        roles: list[Role] = []
        of_roles = [*settings.players, *({} for _ in chosen[len(settings.players) :])]
        for selector, of_role in zip(chosen, of_roles, strict=True):
            asked = {**settings.of_all_models(), **of_role}
            key = sha256_of_value([_plain(selector), asked])
            try:
                if key not in known:
                    known[key] = Role(selector, asked, *planned(selector, asked))
                    problems.update(dict.fromkeys(_misspelt(settings, known[key], len(roles))))
                roles.append(known[key])
            except (ClemcoreError, ImportError) as fault:
                problems[str(fault)] = None
        found.append(tuple(roles))
    if problems:
        raise RunError("\n".join(problems))
    ordered = _ordered(found)
    return [LineUp(*each) for each in zip(ordered, _folders(Path(settings.results_dir), ordered), strict=True)]


def _misspelt(settings: RunSettings, role: Role, number: int) -> list[str]:
    """Say which generation arguments of a role are misspelt, with their places in the run file."""
    problems = []
    for name, near in misspelt_arguments(role.selector, role.asked).items():
        is_of_role = number < len(settings.players) and name in settings.players[number]
        where: tuple[str | int, ...] = ("players", number, name) if is_of_role else ("gen_args", name)
        place = f"{place_of_setting(settings.source, where)}: " if settings.source is not None else ""
        what = f"players[{number}].{name}" if is_of_role else f"gen_args.{name}"
        problems.append(
            f"{place}{what} is not a generation argument of model '{role.name}': did you mean '{near}'?"
        )
    return problems


def _plain(selector: Selector | ModelSpec) -> Any:
    if isinstance(selector, ModelSpec):
        return selector.to_dict()
    return selector if isinstance(selector, str) else dict(selector)


def _ordered(line_ups: Sequence[tuple[Role, ...]]) -> list[tuple[Role, ...]]:
    """Put line-ups of remote models first, then those that share a local model together; none comes twice."""
    different = {tuple(role.key for role in roles): roles for roles in line_ups}
    groups: dict[tuple[str, ...], list[tuple[Role, ...]]] = {(): []}
    for roles in different.values():
        local = tuple(dict.fromkeys(role.key for role in roles if role.is_local))
        groups.setdefault(local, []).append(roles)
    remote = groups.pop(())
    return [*remote, *(roles for local in sorted(groups, key=list(groups).index) for roles in groups[local])]


def _folders(results: Path, line_ups: Iterable[tuple[Role, ...]]) -> list[Path]:
    """Name the folders as 3.7.2; line-ups of other models, or with other arguments, with the same names differ."""
    folders: list[Path] = []
    taken: dict[str, list[dict[str, Any]]] = {}
    for roles in line_ups:
        specs = [role.spec.to_dict() for role in roles]
        plain = line_up_folder(results, specs, taken=taken)
        taken.setdefault(plain.name, specs)
        free = [folder for folder in _numbered(plain, len(folders) + 1) if folder not in folders]
        known = [folder for folder in free if _models_of(folder) == [_as_json(role.info()) for role in roles]]
        folders.append((known or free)[0])
    return folders


def _numbered(plain: Path, count: int) -> list[Path]:
    """Return the folders that a name stands for: itself, those of further line-ups, and as many new ones."""
    found = [plain]
    while len(found) < count or found[-1].exists():
        found.append(plain.with_name(f"{plain.name}.{len(found) + 1}"))
    return found


def _models_of(folder: Path) -> list[Any] | None:
    """Return the models of a run as ``run.json`` describes them, or None where there is none."""
    try:
        models = json.loads((folder / "run.json").read_bytes())["player_models"]
        return [models[number] for number in sorted(models, key=int)]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _as_json(value: Any) -> Any:
    return json.loads(to_json(value))


class LoadedModels:
    """Loads each model once, and lets it go after the last line-up that needs it."""

    def __init__(self, line_ups: Sequence[LineUp]) -> None:
        self._line_ups = line_ups
        self._left = [{role.key for role in line_up.roles} for line_up in line_ups]
        self._loaded: dict[str, Model] = {}

    def load_remote(self, settings: RunSettings, say: Callable[[str], None]) -> None:
        """Load every model that does not run in this process, which takes neither time nor memory.

        Args:
            settings: the settings of the command, with its budgets.
            say: gets warnings.

        Raises:
            ClemcoreError: one cannot be loaded, for example for lack of a key, or its entry lacks prices and there
                is a budget.
        """
        for line_up in self._line_ups:
            for role in line_up.roles:
                if not role.is_local:
                    self._load(role)
        if settings.budget is not None or settings.budget_per_model is not None:
            self._require_prices(say)

    def _load(self, role: Role) -> Model:
        if role.key not in self._loaded:
            self._loaded[role.key] = get_model_for(role.selector, role.asked)
        return self._loaded[role.key]

    def _require_prices(self, say: Callable[[str], None]) -> None:
        """Check that a budget can be kept, and warn of custom models, whose costs nobody knows.

        Raises:
            RunError: entries of remote models have no prices.
        """
        faults: dict[str, None] = {}
        lines: dict[str, str] = {}
        for model in self._loaded.values():
            if not type(model).__module__.startswith("clemcore."):
                lines[model.name] = (
                    f"warning: model '{model.name}' is of a custom backend, so what its calls cost is not known, "
                    "and the budget does not limit them"
                )
            elif isinstance(model, Priced):
                try:
                    model.require_prices()
                except SpecError as fault:
                    faults[str(fault)] = None
        if faults:
            raise RunError("\n".join(faults))
        for line in lines.values():
            say(line)

    def load(self, line_up: LineUp) -> list[Model]:
        """Load the models of a line-up, in the order of their roles.

        Raises:
            ClemcoreError: one cannot be loaded.
        """
        return [self._load(role) for role in line_up.roles]

    def release(self) -> None:
        """Say that the next line-up in the order was played."""
        self._left.pop(0)
        needed = set().union(*self._left)
        if self._loaded.keys() - needed:
            self._loaded = {key: model for key, model in self._loaded.items() if key in needed}
            gc.collect()  # weights are freed now, before the next ones need the place
