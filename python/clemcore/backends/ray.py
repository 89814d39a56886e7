"""Backend ``ray``: whole models as processes of a machine or a Ray cluster, for exact answers on many devices.

``{"model_name": NAME, "backend": "ray", "model": SELECTOR, "replicas": N}``. Each replica loads the model as this
process would. Dialogues stay with their replica, and the record is that of this process. Ray is imported only when
a model is made; no dashboard is started, and no reports are sent (``docs/backends/ray.md``).
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from clemcore.backends.base import Backend
from clemcore.backends.lookup import BackendRegistry
from clemcore.calls.batch import Batch
from clemcore.calls.request import Request, running
from clemcore.calls.scope import Membership
from clemcore.errors import ClemcoreError, SpecError
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Model, Reply
from clemcore.registry import resolution
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import misspelling_of

if TYPE_CHECKING:
    from clemcore.backends.replicas.pool import Pool


# The core does not describe this backend's keys; the checks of registries read them here.
REGISTRY_KEYS = {
    "model": {
        "type": ["string", "object"],
        "meaning": "The name or the selector of the model that has replicas.",
    },
    "replicas": {"type": "integer", "meaning": "How many processes load the whole model; 1 by default."},
    "gpus_per_replica": {
        "type": "number",
        "meaning": "How many GPUs each replica has; by default 1 where the cluster has any.",
    },
    "threads_per_replica": {
        "type": "integer",
        "meaning": "How many threads each replica computes with; it takes as many CPUs.",
    },
}


class Ray(Backend):
    """Makes models with replicas."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Start the replicas of a model.

        Args:
            model_spec: has ``model``, the selector of the model itself, and ``replicas``.

        Raises:
            MissingExtraError: Ray is not installed.
            SpecError: the entry is invalid, the cluster is too small, or the replicas differ.
            ModelLoadError: a replica could not load the model.
        """
        _refuse_misspelt(model_spec)
        inner = inner_spec(model_spec)
        replicas = _number(model_spec, "replicas", 1, least=1)
        gpus = _number(model_spec, "gpus_per_replica", None, least=0)
        threads = _number(model_spec, "threads_per_replica", int(os.environ.get("OMP_NUM_THREADS") or 1), least=1)
        from clemcore.backends.replicas.pool import Pool, Size

        size = Size(replicas, gpus, threads)
        is_exact = (inner.get("model_config") or {}).get("exactness", inner.get("exactness")) != "fast"
        return ReplicatedModel(model_spec, Pool(inner, model_spec["model_name"], size, is_exact=is_exact))

    @classmethod
    def argument_names(cls, model_spec: ModelSpec) -> Collection[str] | None:
        """Return the names that the model itself knows."""
        inner = inner_spec(model_spec)
        backends = BackendRegistry.from_packaged_and_cwd_files()
        return backends.get_backend_class(inner["backend"]).argument_names(inner)


def inner_spec(model_spec: ModelSpec) -> ModelSpec:
    """Return the specification of the model that has replicas.

    Raises:
        SpecError: ``model`` is missing, or is a model with replicas itself.
        ModelNotFoundError: no entry matches it.
    """
    selector = model_spec.get("model")
    name = model_spec.get("model_name")
    if not isinstance(selector, (str, Mapping)) or not selector:
        found = "is missing: it is" if selector is None else f"is {selector!r}, but must be"
        raise SpecError(f"model '{name}': 'model' {found} the name or the selector of the model that has replicas")
    inner = resolution.resolve(copy.deepcopy(selector) if isinstance(selector, str) else dict(selector)).spec
    if inner.get("backend") == "ray":
        raise SpecError(f"model '{name}': its 'model' has replicas itself; name the model that they are of")
    return inner


def _number(spec: ModelSpec, name: str, default: Any, *, least: int) -> Any:
    """Return a number of the entry; a share is allowed where it may be 0, as of GPUs."""
    found: Any = spec.get(name)
    if found is None:
        return default
    is_number = isinstance(found, int if least else (int, float)) and not isinstance(found, bool)
    if not is_number or not least <= found < float("inf"):
        what = "a whole number" if least else "a number"
        raise SpecError(f"model '{spec['model_name']}': {name} must be {what} of at least {least}, not {found!r}")
    return found


def _refuse_misspelt(spec: ModelSpec) -> None:
    """Refuse keys that look like a misspelt one of this backend."""
    for key in spec:
        if key not in REGISTRY_KEYS and (near := misspelling_of(key, REGISTRY_KEYS)) is not None:
            raise SpecError(f"model '{spec['model_name']}': unknown key {key!r}; did you mean {near!r}?")


class ReplicatedModel(BatchGenerativeModel):
    """A model with replicas. Copies share them."""

    conversations: ClassVar[int | None] = None

    def __init__(self, model_spec: ModelSpec, pool: Pool) -> None:
        """Take the replicas.

        Args:
            model_spec: the entry.
            pool: the replicas.
        """
        super().__init__(model_spec)
        self._pool = pool

    def __deepcopy__(self, memo: dict[int, Any]) -> ReplicatedModel:
        """Return a model with the same replicas and its own generation arguments."""
        other = ReplicatedModel(self.model_spec, self._pool)
        other._gen_args, other._defaulted = dict(self._gen_args), self._defaulted
        return other

    def close(self) -> None:
        """End the replicas; the model cannot answer afterwards."""
        self._pool.close()

    @property
    def useful_calls(self) -> int:
        """How many calls at once the replicas answer."""
        return self._pool.size

    def generate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue by the replica that has its beginning.

        Raises:
            GenerationError: the replica failed, or died again and again.
            ClemcoreError: what the model itself raises.
        """
        what = running(self)
        belongs = what.scope if isinstance(what, Request) else None
        more = what.gen_args if isinstance(what, Request) else {}
        found = self._pool.answer([(messages, dict(more))], [_dialogue(belongs)], self._arguments())
        ((_, result),) = found
        if isinstance(result, Exception):
            raise result
        return result

    def _answer_items(self, batch: Batch) -> None:
        items = batch.pending
        questions = [(item.request.messages, dict(item.request.gen_args)) for item in items]
        dialogues = [_dialogue(item.request.scope) for item in items]
        try:
            for index, result in self._pool.answer(questions, dialogues, self._arguments()):
                batch.finish(items[index], _renumbered(result, items[index].index))
        except BaseException as stop:
            batch.finish_rest(stop)
            raise

    def _arguments(self) -> tuple[dict[str, Any], frozenset[str]]:
        return dict(self._gen_args), self._defaulted


def _renumbered(result: Any, index: int) -> Any:
    """Return a result; an error names its index in the whole batch, not in the part that a replica had."""
    if isinstance(result, ClemcoreError) and result.args and isinstance(result.args[0], str):
        words = re.sub(r"(?<= at batch index )\d+", str(index), result.args[0])
        result.args = (words, *result.args[1:])
    return result


def _dialogue(belongs: Membership | None) -> Any:
    """Return the key of a dialogue; None where labels do not identify one."""
    return belongs.conversation if belongs is not None and "episode" in belongs.labels else None
