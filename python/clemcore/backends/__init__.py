"""The public face: ``from clemcore import backends``.

Every name is loaded from its own module when it is first used; importing this package imports no SDK.

Examples:
    >>> from clemcore import backends
    >>> model = backends.get_model_for("mock")
    >>> prompt, response, response_text = model.generate_response([{"role": "user", "content": "Hello!"}])
    >>> response_text
    'Hello!'
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as typing's, whose import alone would cost more than all of this package
if TYPE_CHECKING:
    from typing import Any

    from clemcore.arguments.parameter import Parameter
    from clemcore.backends.base import Backend, RemoteBackend
    from clemcore.backends.human import HumanModel
    from clemcore.backends.lookup import BackendRegistry, is_backend
    from clemcore.backends.mock import CustomResponseModel
    from clemcore.backends.service.backend import ServiceBackend
    from clemcore.backends.service.dialects.base import Dialect
    from clemcore.backends.service.dialects.chat_completions import ChatCompletions
    from clemcore.backends.service.service import Service
    from clemcore.calls.budget import Budget, budget
    from clemcore.calls.cache import cache
    from clemcore.calls.recorder import record
    from clemcore.calls.scope import scope
    from clemcore.errors import BudgetExceededError, ContextExceededError
    from clemcore.keys import Key, KeyRegistry, load_credentials
    from clemcore.loading import (
        get_logger,
        get_model_for,
        load_custom_model_registry,
        load_model,
        load_model_registry,
        load_models,
        project_root,
        resolve,
    )
    from clemcore.model import BatchGenerativeModel, Model, Reply
    from clemcore.registry.registry import ModelRegistry
    from clemcore.registry.spec import ModelSpec

__all__ = [
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
]

_HOMES = {
    "Backend": "clemcore.backends.base",
    "BackendRegistry": "clemcore.backends.lookup",
    "BatchGenerativeModel": "clemcore.model",
    "Budget": "clemcore.calls.budget",
    "BudgetExceededError": "clemcore.errors",
    "ChatCompletions": "clemcore.backends.service.dialects.chat_completions",
    "ContextExceededError": "clemcore.errors",
    "CustomResponseModel": "clemcore.backends.mock",
    "Dialect": "clemcore.backends.service.dialects.base",
    "HumanModel": "clemcore.backends.human",
    "Key": "clemcore.keys",
    "KeyRegistry": "clemcore.keys",
    "Model": "clemcore.model",
    "ModelRegistry": "clemcore.registry.registry",
    "ModelSpec": "clemcore.registry.spec",
    "Parameter": "clemcore.arguments.parameter",
    "RemoteBackend": "clemcore.backends.base",
    "Reply": "clemcore.model",
    "Service": "clemcore.backends.service.service",
    "ServiceBackend": "clemcore.backends.service.backend",
    "budget": "clemcore.calls.budget",
    "cache": "clemcore.calls.cache",
    "get_logger": "clemcore.loading",
    "get_model_for": "clemcore.loading",
    "is_backend": "clemcore.backends.lookup",
    "load_credentials": "clemcore.keys",
    "load_custom_model_registry": "clemcore.loading",
    "load_model": "clemcore.loading",
    "load_model_registry": "clemcore.loading",
    "load_models": "clemcore.loading",
    "project_root": "clemcore.loading",
    "record": "clemcore.calls.recorder",
    "resolve": "clemcore.loading",
    "scope": "clemcore.calls.scope",
}

# What else modules of 3.7.2 had that are now this package (see clemcore.compat), and its name there.
_FORMER = {
    "CustomResponseModelBackend": ("clemcore.backends.mock", "Mock"),
    "HumanModelBackend": ("clemcore.backends.human", "Human"),
    "is_backend_file": ("clemcore.backends.lookup", "is_backend_file"),
    "to_backend_name": ("clemcore.backends.lookup", "to_backend_name"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    home, its_name = _FORMER.get(name) or (_HOMES.get(name), name)
    if home is None:
        raise AttributeError(f"module 'clemcore.backends' has no attribute '{name}'")
    value = getattr(importlib.import_module(home), its_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
