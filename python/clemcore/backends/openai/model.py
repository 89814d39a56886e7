"""The model class that backends of 3.7.2 make with a client of their own.

They call ``OpenAIModel(client, model_spec)``, or derive from it. It does not know how a client sends.
"""

from __future__ import annotations

from typing import Any

from clemcore.backends.openai.service import service_of
from clemcore.backends.service.client import OwnClient
from clemcore.backends.service.model import ServedModel
from clemcore.registry.spec import ModelSpec


class OpenAIModel(ServedModel):
    """A model that a client of the ``openai`` package calls.

    Attributes:
        client: the client.
    """

    def __init__(self, client: Any, model_spec: ModelSpec) -> None:
        """Make a model.

        Args:
            client: an ``OpenAI``, ``AsyncOpenAI``, ``AzureOpenAI`` or ``AsyncAzureOpenAI`` of the openai package.
            model_spec: needs ``model_id``, the model's name at the service.

        Raises:
            BackendLoadError: the client is of another kind.
            SpecError: the entry lacks something or contradicts the client.
        """
        service = service_of(model_spec)
        service.require_engine()
        own = client if isinstance(client, OwnClient) else OwnClient(client, service.backend)
        super().__init__(model_spec, service, own)
        self.client = own.client

    def __reduce__(self) -> Any:
        """Copy the entry and the arguments; the copy shares the client."""
        state = {"_gen_args": dict(self._gen_args), "_defaulted": self._defaulted}
        return type(self), (self._own, self.model_spec), state
