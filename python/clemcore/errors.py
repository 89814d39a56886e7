"""Every exception that clemcore raises on purpose, and nothing else.

::

    ClemcoreError
    ├── RegistryError             (ValueError)      a registry file has faults; .problems holds all of them
    ├── ModelNotFoundError        (ValueError)      no registry entry matches the selector
    ├── SpecError                 (ValueError)      something that is not a model specification
    ├── BackendNotFoundError      (ValueError)      no backend of that name
    ├── BackendLoadError          (LookupError)     the backend's module has no single Backend class
    ├── MissingExtraError         (ImportError)     an optional package is not installed
    ├── KeyFileError              (ValueError)      key.json cannot be read or has the wrong form
    ├── MissingKeyError           (AssertionError)  no key was found for a backend
    ├── MessagesError             (ValueError)      messages are not a list of {role, content}
    ├── TemplateError             (ValueError)      a chat template does not compile or refuses the messages
    ├── ModelLoadError            (OSError)         a local model is not there or cannot be read
    ├── GenerationError           (RuntimeError)    a local model failed while it computed a reply
    ├── GenerationArgumentError   (ValueError)      a generation argument that cannot be sent as asked
    ├── NotSupportedError         (AttributeError)  the model has no such method; models of other backends have
    ├── ScopeError                (ValueError, TypeError)  a scope, or a list of scopes, cannot be used
    ├── ContextExceededError                        prompt and reply do not fit the context window
    ├── RemoteCallError                             a provider refused or failed; .kind says how
    │   ├── RemoteConnectionError                   the connection failed or broke off
    │   ├── CertificateError                        the server's certificate is not trusted
    │   ├── RemoteTimeoutError                      no whole reply in time
    │   │   └── JoinTimeoutError  (RuntimeError)    nobody has come into the room of a slurk server in time
    │   ├── AuthenticationError                     the key is missing, wrong or revoked
    │   ├── PermissionDeniedError                   the key may not do this
    │   ├── NotServedError                          no such model or address
    │   ├── RateLimitError                          too many requests or tokens
    │   ├── QuotaError                              the account has no credit or quota left
    │   ├── OverloadedError                         the service is overloaded
    │   ├── ServerError                             the service failed
    │   ├── BadRequestError                         the service does not take this request
    │   ├── ContentFilterError                      the service refuses this content
    │   ├── IdentityChangeError                     another model than before answered (on_identity_change: error)
    │   ├── ReasoningExceededError                  reasoning took more than it was given (on_exceed: error)
    │   ├── BadReplyError                           a reply that holds no answer
    │   └── InterruptedCallError                    under way when the program was stopped; only in records
    ├── BudgetExceededError                         a call may cost more than is left of the budget
    ├── RecordError               (ValueError)      a record file cannot be read or extended
    ├── StoreError                (ValueError)      the results of a run cannot be read or written
    │   └── MixedRunError                           a folder holds store files of different runs
    ├── CacheError                (ValueError)      a cache of calls cannot be used
    ├── RunError                  (ValueError)      a run cannot start or continue as asked
    ├── GameError                 (ValueError)      a game, its files or a selection of games is invalid
    │   ├── GameSpecError         (KeyError)        a game's specification lacks a field
    │   └── GameLoadError         (LookupError)     a game's code cannot be imported, or has no benchmark class
    ├── EnvError                  (ValueError)      an environment was used in a way that it cannot follow
    └── ReplayError                                 a call is not the one that a replayed record has next

It does not know how faults are found: registry problems come from the Rust core (``clemcore._core.Problem``).
The second base of a class is what clemcore 3.7.2 raised in that place, so that ``except`` clauses written for it
still catch.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clemcore._core import Problem


class ClemcoreError(Exception):
    """Base of all errors that clemcore raises on purpose.

    Attributes:
        batch_results: where the error ended a batch: what the batch brought, in order, each a reply or the
            exception in its place. None for the error of a single call.
        batch_index: where the error ended a batch: the index of the dialogue that failed with it. None if it is
            that of a single call, or of several dialogues.
    """

    batch_results: list[Any] | None = None
    batch_index: int | None = None

    def __str__(self) -> str:
        """Give the message with control characters as escapes; ``args`` holds it unchanged."""
        from clemcore.visible import visible  # only here: most programs never show an error

        text = visible(super().__str__())
        is_named = self.batch_index is None or "batch index" in text
        return text if is_named else f"batch index {self.batch_index}: {text}"


class RegistryError(ClemcoreError, ValueError):
    """A model registry has faults, or something was asked of it that it cannot do.

    Attributes:
        problems: every fault that was found, in source order, each with file, line and column.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        """Keep the report as the message and the single problems beside it."""
        super().__init__(message)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross a process boundary with the report's text and the single problems."""
        return type(self), (str(self), self.problems)


class ModelNotFoundError(ClemcoreError, ValueError):
    """No registry entry matches the selector; the message names the nearest ones.

    To find those takes a look at every name, so a message given as a function is made when it is first read: who
    asks for a model that may not be there, and goes on without, does not wait for it.
    """

    def __init__(self, message: str | Callable[[], str] = "") -> None:
        """Take the message, or what makes it."""
        super().__init__()
        self._message = message

    def __str__(self) -> str:
        """Give the message."""
        from clemcore.visible import visible

        if not isinstance(self._message, str):
            self._message = self._message()
        return visible(self._message)

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The message alone, as of every exception."""
        return (str(self),)

    def __repr__(self) -> str:
        """Show the message, as of every exception."""
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross a process boundary with the message."""
        return type(self), self.args


class SpecError(ClemcoreError, ValueError):
    """Something that cannot be read as a model specification."""


class BackendNotFoundError(ClemcoreError, ValueError):
    """No backend has the name that the model specification gives; the message lists the known ones."""


class BackendLoadError(ClemcoreError, LookupError):
    """A backend's module was found but does not define exactly one backend class."""


class MissingExtraError(ClemcoreError, ImportError):
    """Packages that are needed are not installed; the message holds the exact pip line."""

    def __init__(self, backend: str, extra: str, missing: str | None, *, what: str | None = None) -> None:
        """Name the backend, the extra that brings what it needs, and the module that was missing.

        Args:
            backend: the backend.
            extra: the extra.
            missing: the module.
            what: what needs the module, if it is not a backend.
        """
        self.extra = extra
        needs = f"backend '{backend}'" if what is None else what
        super().__init__(
            f"{needs} needs the package '{missing}', which is not installed: pip install 'clemcore[{extra}]'",
            name=missing,
        )


class KeyFileError(ClemcoreError, ValueError):
    """A key file is not what a key file must be; it is left as it is."""


class MissingKeyError(ClemcoreError, AssertionError):
    """No key for a backend in the environment or in a key file; the message says where was looked."""


class MessagesError(ClemcoreError, ValueError):
    """Messages are not a non-empty list of ``{"role": …, "content": …}``."""


class TemplateError(ClemcoreError, ValueError):
    """A chat template does not compile, or refuses these messages (``raise_exception``).

    Attributes:
        line: line of the template, counted from 1, or None where it has no place.
        column: column of the template in characters, counted from 1, or None.
        excerpt: the template's line, or None.
        conversation: which one of a batch it is about, counted from 0, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        """Keep the message exactly as the template gave it; the place stands beside it."""
        super().__init__(message)
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.conversation: int | None = None


class ModelLoadError(ClemcoreError, OSError):
    """Tokenizer, configuration or weights of a local model are not there, not whole, or cannot be read."""


class GenerationError(ClemcoreError, RuntimeError):
    """A local model failed while it computed a reply; the message names the model, the step and the versions."""


class GenerationArgumentError(ClemcoreError, ValueError):
    """A generation argument cannot be sent as asked: unknown to the backend, or a value it refuses."""


class NotSupportedError(ClemcoreError, AttributeError):
    """A model has no such method, which models of other backends have."""


class ScopeError(ClemcoreError, ValueError, TypeError):
    """A scope has a wrong label, is closed or is not a scope, or a batch does not have one for each dialogue."""


class ContextExceededError(ClemcoreError):
    """Prompt and asked-for reply do not fit the context window of the model.

    Attributes:
        tokens_used: tokens of the prompt plus the most tokens that the reply may have, or None where the service
            does not say how many the prompt has.
        tokens_left: tokens left in the window; negative by as many as are too many. None: not known.
        context_size: size of the window in tokens, or None where the service does not say it.
        status: HTTP status of the refusal, or None when nothing was sent.
        provider_message: the provider's own words, or None.
        prompt: the request body as it was sent, or None when nothing was sent.
        response: the body that came back, or None.
        request_id: the provider's id of the request, or None.
        facts: what else is known of the call, for the record.
    """

    kind: str = "context_window"
    retryable: bool = False
    retry_after: float | None = None
    status: int | None = None
    provider_message: str | None = None
    tokens_used: int | None = None
    tokens_left: int | None = None
    context_size: int | None = None
    prompt: Any = None
    response: Any = None
    request_id: str | None = None
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        info_str: str = "Context limit exceeded",
        tokens_used: int | None = 0,
        tokens_left: int | None = 0,
        context_size: int | None = 0,
        detail: str = "",
    ) -> None:
        """Take the numbers; the message is ``info_str`` followed by used/size as far as known, as in 3.7.2.

        ``detail`` ends the message, after a colon.
        """
        known = ["?" if number is None else str(number) for number in (tokens_used, context_size)]
        text = info_str if known == ["?", "?"] else f"{info_str} {'/'.join(known)}"
        super().__init__(f"{text}: {detail}" if detail else text)
        self.info_str = info_str
        self.detail = detail
        self.tokens_used = tokens_used
        self.tokens_left = tokens_left
        self.context_size = context_size

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the numbers, so that the error survives a process boundary."""
        numbers = self.tokens_used, self.tokens_left, self.context_size
        return type(self), (self.info_str, *numbers, self.detail)


class BudgetExceededError(ClemcoreError):
    """A call may cost more than is left of the budget; nothing was sent.

    Attributes:
        usd: the budget, in USD.
        spent: what was spent when the call was refused.
        needed: the most that the call could have cost.
    """

    def __init__(self, message: str, *, usd: float = 0.0, spent: float = 0.0, needed: float = 0.0) -> None:
        """Take the message and the amounts."""
        super().__init__(message)
        self.usd = usd
        self.spent = spent
        self.needed = needed


class RemoteCallError(ClemcoreError):
    """A provider refused or failed a call.

    Attributes:
        kind: one word for what happened, the same for every provider.
        retryable: whether the same request may succeed later; it was repeated already, as often as is sensible.
        status: HTTP status, or None when there was no reply.
        provider_message: the provider's own words, or None.
        retry_after: seconds that the provider asked to wait, or None.
        prompt: the request body as it was sent, or None when nothing was sent.
        response: the body that came back, or None.
        request_id: the provider's id of the request, or None.
        facts: what else is known of the call (attempts, times, hashes), for the record.
    """

    kind: str = "unknown"
    retryable: bool = False
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        prompt: Any = None,
        response: Any = None,
        request_id: str | None = None,
        provider_message: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Take the message (secrets already masked) and what is known about the call."""
        super().__init__(message)
        self.status = status
        self.prompt = prompt
        self.response = response
        self.request_id = request_id
        self.provider_message = provider_message
        self.retry_after = retry_after


class RemoteConnectionError(RemoteCallError):
    """The connection to the provider failed or broke off."""

    kind = "connection"
    retryable = True


class CertificateError(RemoteCallError):
    """The server's certificate is not trusted; nothing was sent."""

    kind = "certificate"


class RemoteTimeoutError(RemoteCallError):
    """No whole reply came in time."""

    kind = "timeout"
    retryable = True


class JoinTimeoutError(RemoteTimeoutError, RuntimeError):
    """Nobody has come into the room of a slurk server in time."""


class AuthenticationError(RemoteCallError):
    """The key is missing, wrong or revoked."""

    kind = "authentication"


class PermissionDeniedError(RemoteCallError):
    """The key may not use this model or service."""

    kind = "permission"


class NotServedError(RemoteCallError):
    """The service has no such model or address."""

    kind = "not_found"


class RateLimitError(RemoteCallError):
    """Too many requests or tokens for this account."""

    kind = "rate_limit"
    retryable = True


class QuotaError(RemoteCallError):
    """The account has no credit left, or used up a quota that waiting does not renew."""

    kind = "quota"


class OverloadedError(RemoteCallError):
    """The service is overloaded."""

    kind = "overloaded"
    retryable = True


class ServerError(RemoteCallError):
    """The service failed."""

    kind = "server"
    retryable = True


class BadRequestError(RemoteCallError):
    """The service does not take this request."""

    kind = "bad_request"


class ContentFilterError(RemoteCallError):
    """The service refuses this content."""

    kind = "content_filter"


class IdentityChangeError(RemoteCallError):
    """Another model, or another version of its system, answered than before in this run."""

    kind = "identity_change"


class ReasoningExceededError(RemoteCallError):
    """Reasoning took more tokens than it was given, or left none for an answer (``on_exceed: error``)."""

    kind = "reasoning_exceeded"


class BadReplyError(RemoteCallError):
    """A reply came with a good status and holds no answer."""

    kind = "bad_reply"
    retryable = True


class InterruptedCallError(RemoteCallError):
    """A call was under way when the program was stopped (Ctrl-C) or the task that awaited it was cancelled.

    It is never raised: it is only recorded, so that readers of the record see what was sent.
    """

    kind = "interrupted"


REMOTE_ERRORS: Mapping[str, type[RemoteCallError]] = MappingProxyType(
    {cls.kind: cls for cls in RemoteCallError.__subclasses__()}
)


class RecordError(ClemcoreError, ValueError):
    """A record file cannot be read, or is not a list of calls, or is being written by another process."""


class ReplayError(ClemcoreError):
    """A call is not the one that the replayed record has next; nothing was answered, the replay has stopped.

    Attributes:
        place: file and index of the recorded call, or None where there is none left.
        message_index: index of the first message that differs, or None.
        field: what differs there, such as ``content``, or ``gen_args.temperature``; None where nothing is left.
        position: the first character that differs, counted from 0, or None.
    """

    # Nothing was called: the record of a replay holds the recorded calls alone.
    is_recorded = False

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        message_index: int | None = None,
        field: str | None = None,
        position: int | None = None,
    ) -> None:
        """Keep the diff as the message and its parts beside it."""
        super().__init__(message)
        self.place = place
        self.message_index = message_index
        self.field = field
        self.position = position


class RunError(ClemcoreError, ValueError):
    """A run of games cannot start or continue as asked; nothing was sent. The message lists every problem."""


class StoreError(ClemcoreError, ValueError):
    """The store or the files of a run cannot be read or written; the message says what is safe."""


class MixedRunError(StoreError):
    """A folder holds store files of different runs; the message says which, and how they differ."""


class CacheError(ClemcoreError, ValueError):
    """A cache of calls is not there, is something else, or cannot be opened; it is left as it is."""


class GameError(ClemcoreError, ValueError):
    """A game, its files or a selection of games is invalid; the message says everything that is wrong.

    Attributes:
        problems: every fault of a file, in source order, each with file, line and column.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        """Keep the report as the message and the single problems beside it."""
        super().__init__(message)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross a process boundary with the report's text and the single problems."""
        return type(self), (str(self), self.problems)


class GameSpecError(GameError, KeyError):
    """A game's specification lacks a field that every game must have."""

    def __str__(self) -> str:
        """Give the message as it is; a KeyError would put it into quotes."""
        from clemcore.visible import visible

        return visible(str(self.args[0]))


class GameLoadError(GameError, LookupError):
    """A game's code cannot be imported, or it does not define exactly one benchmark class.

    Attributes:
        details: the traceback of the game's own code, or an empty text.
    """

    def __init__(self, message: str, details: str = "") -> None:
        """Take the message and the traceback."""
        super().__init__(message)
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross a process boundary with both texts."""
        return type(self), (str(self), self.details)


class EnvError(ClemcoreError, ValueError):
    """An environment was used out of order, by the wrong agent or with a bad action."""
