"""The Rust core as Python sees it: registries, unification, diagnostics.

Files are read in Python; the core gets text. Everything here is thread-safe, and long work releases the GIL.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, final

from typing_extensions import Self, disjoint_base

__all__ = [
    "Evaluation",
    "Fixed",
    "NotPlainError",
    "Problem",
    "Refusal",
    "Registry",
    "Report",
    "ResultsTable",
    "TemplateCore",
    "UnsupportedError",
    "__version__",
    "_panic",
    "absence",
    "added_fields",
    "address_fault",
    "address_key",
    "alternating_messages",
    "are_plain_messages",
    "argument_senders",
    "bradley_terry",
    "canonical_json",
    "catalogue",
    "check",
    "check_json",
    "check_layers",
    "codes_page",
    "common_length",
    "context_tokens",
    "episode_view",
    "explain",
    "fields_page",
    "fix",
    "freeze",
    "game_plots",
    "is_hard_to_read",
    "json_indented",
    "json_line",
    "json_parts",
    "json_schema",
    "judge",
    "known_backends",
    "leading_messages",
    "mean_interval",
    "override_fields",
    "packaged_registry",
    "page_files",
    "proportion_interval",
    "requested_calls",
    "results_page",
    "servers_file",
    "settings",
    "stored_body",
    "stored_calls",
    "thaw",
    "transcript",
    "transcript_html",
    "transcript_images",
    "unify",
    "upsert_entries",
    "use_of_key",
]

__version__: str

_Container = TypeVar("_Container", dict[str, Any], list[Any])

# A custom backend: its name, or its name and its keys with their types and values.
_Backend: TypeAlias = str | tuple[str, dict[str, tuple[list[str], list[str]]]]

class _Setting(TypedDict):
    """What the schema says about one setting of a backend;."""

    types: tuple[str, ...]
    values: tuple[str, ...]
    above: int | None
    least: int | None
    most: int | None
    is_pattern: bool
    is_nested: bool
    unit: str
    default: str
    meaning: str
    deprecated: str
    refused: str
    counts_if_false: bool

# A field that a selector adds. Why it may not: "unread", "misplaced" or "unknown", the nearest name, who reads it.
_Added: TypeAlias = tuple[str, tuple[str, str | None, list[str]] | None]

class _Kind(TypedDict):
    code: str
    kind: str
    title: str
    severity: Literal["error", "warning", "hint"]
    explanation: str
    bad: str
    good: str

@final
class Problem:
    """One thing that is wrong with a registry file."""

    @property
    def code(self) -> str:
        """The kind of problem, as ``R010``; :func:`explain` has a page about it."""
    @property
    def kind(self) -> str:
        """The kind of problem in words, as ``trailing-comma``."""
    @property
    def severity(self) -> Literal["error", "warning", "hint"]:
        """How bad it is; only an error stops a registry from loading."""
    @property
    def stops_model(self) -> bool:
        """Whether a model whose entry has this problem is not loaded."""
    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
    @property
    def help(self) -> str | None:
        """How to fix it."""
    @property
    def source(self) -> str:
        """The file, as the caller named it."""
    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
    @property
    def column(self) -> int:
        """Column of the first character, from 1, in Unicode characters."""
    @property
    def end_line(self) -> int:
        """Line of the place after the last character."""
    @property
    def end_column(self) -> int:
        """Column after the last character."""
    @property
    def entry(self) -> int | None:
        """Which entry of the file, from 0."""
    @property
    def model(self) -> str | None:
        """The entry's ``model_name``."""
    @property
    def field(self) -> str | None:
        """The field, as ``model_config.eos_to_cull`` or ``languages[2]``."""
    def to_dict(self) -> dict[str, Any]:
        """Give all attributes as a dict that JSON can hold."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Report:
    """All that was found in one or more files."""

    @property
    def problems(self) -> list[Problem]:
        """The problems, by file and place; of each severity at most a thousand per file."""
    @property
    def errors(self) -> int:
        """How many errors there are."""
    @property
    def warnings(self) -> int:
        """How many warnings there are."""
    @property
    def hints(self) -> int:
        """How many hints there are."""
    def render(self, format: str = "human", color: bool = False) -> str:
        """Write the report.

        Args:
            format: ``human`` (as a compiler would), ``json``, ``github`` (annotations) or ``sarif`` (2.1.0).
            color: use colours of a terminal; for ``human`` only.

        Raises:
            ValueError: there is no such format.
        """
    def joined(self, other: Report) -> Report:
        """Give one report of the files of both."""

@final
class Refusal:
    """Why one entry does not fit a selector; ``str()`` says it in a sentence."""

    @property
    def entry(self) -> int:
        """Which entry."""
    @property
    def source(self) -> str:
        """The entry's file."""
    @property
    def line(self) -> int:
        """The entry's line in it; 0 where it comes from no file."""
    @property
    def mismatches(self) -> list[tuple[str, Any, Any]]:
        """Each contradiction: the field, the selector's value, the entry's value."""

@final
class Registry:
    """Entries in the order in which a selector tries them."""

    @staticmethod
    def load(layers: Sequence[tuple[str, bytes | None]], backends: Sequence[_Backend] | None = None) -> Registry:
        """Read registry files, earlier layers first.

        Each entry gets a last key ``lookup_source`` with the layer's name, unless it has one.

        Args:
            layers: a name and the bytes of each file; None instead of bytes for the registry that is compiled in.
                The bytes are kept, and an entry becomes a dict when it is asked for.
            backends: further known backends, besides those that come with clemcore: the name, or the
                name with the types (of JSON Schema) and the values of each key that it reads.

        Raises:
            clemcore.errors.RegistryError: a file has errors; all problems of all layers are in it.
        """
    @staticmethod
    def from_specs(specs: Sequence[dict[str, Any]]) -> Registry:
        """Make a registry of dicts, without a check.

        Values that JSON cannot hold are kept as the objects that they are, and compared with ``==``.

        Raises:
            TypeError: a key is not a str.
            ValueError: a dict contains itself, or is nested more than 500 deep.
        """
    def __len__(self) -> int: ...
    def entry(self, index: int) -> dict[str, Any]:
        """Give a copy of an entry.

        Raises:
            IndexError: there is none of that index.
        """
    def location(self, index: int) -> tuple[str, int]:
        """Give an entry's file and line; its ``lookup_source`` and 0 where it comes from no file.

        Raises:
            IndexError: there is no entry of that index.
        """
    def names(self) -> list[str]:
        """Give every model name once, in the order of the entries."""
    def resolve(self, selector: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Find the first entry that unifies with the selector, and merge the two.

        Where none of the selector's name does, those that have it as an alias are tried.
        """
    def select(self, selector: dict[str, Any]) -> tuple[int, str, dict[str, Any], list[_Added]] | None:
        """Find the first entry that the selector names and that unifies with it (docs/decisions/0010).

        Returns:
            The entry's index; by what the selector names it (``"name"``, ``"alias"``, ``"model_id"``,
            ``"huggingface_id"``); the two merged; and the fields that the selector adds.
        """
    def named_by(self, selector: dict[str, Any]) -> list[int]:
        """Return the indexes of all entries that the selector names, in the order in which they are tried."""
    def refusals(self, selector: dict[str, Any]) -> list[Refusal]:
        """Say of each entry that the selector names and that does not unify: why."""
    def explain(self, selector: dict[str, Any]) -> dict[str, Any]:
        """Say how the selector comes to its entry, its ``override`` included.

        Returns:
            ``layers``, ``tried``, ``omitted``, ``passed``, ``found`` and ``near``, as
            :class:`clemcore.registry.explanation.Explanation` has them; ``found`` is None, or holds ``entry``,
            ``model_name``, ``source``, ``line``, ``also``, ``spec``, ``fields`` and ``overridden``.
        """
    def nearest(self, name: str, limit: int = 5, further: list[str] = ...) -> list[str]:
        """Return the names, aliases and further names that are most like a name, best first."""
    def warnings(self) -> Report:
        """Give what was found on loading; never an error."""

def added_fields(selector: dict[str, Any], entry: dict[str, Any]) -> list[_Added]:
    """Return the fields that a selector adds to an entry, and why it may not add some of them."""

def check(source: str, text: bytes, backends: Sequence[_Backend] | None = None) -> Report:
    """Check one registry file.

    Args:
        source: its name in the report.
        text: its bytes.
        backends: further known backends, besides those that come with clemcore: the name,
            or the name with the types (of JSON Schema) and the values of each key that it reads.
    """

def check_json(
    source: str,
    text: bytes,
    findings: Sequence[tuple[str, Sequence[str | int], str, str | None, Sequence[str | int] | None]] = ...,
) -> Report:
    """Check the text of any JSON file, and find the places of what is wrong with its value.

    Args:
        source: its name in the report.
        text: its bytes.
        findings: what is wrong with its value: the code of the catalogue, the path to the place (keys and indexes),
            the message, the help, and the path to another place, whose line and column replace ``{place}`` in the
            help. They are left out where the text itself has errors.

    Raises:
        ValueError: the catalogue has no such code.
    """

def check_layers(layers: Sequence[tuple[str, bytes | None]], backends: Sequence[_Backend] | None = None) -> Report:
    """Check registry files that are loaded together, earlier layers first: each, and what they are to each other.

    Args:
        layers: a name and the bytes of each file; None for the registry that is compiled in, which is compared
            and not reported on.
        backends: further known backends, besides those that come with clemcore: the name,
            or the name with the types (of JSON Schema) and the values of each key that it reads.
    """

@final
class Fixed:
    """A registry's text that was fixed."""

    @property
    def text(self) -> str:
        """The text; the old one where nothing was to be fixed."""
    @property
    def is_changed(self) -> bool:
        """Whether it is another text than before."""
    @property
    def problems(self) -> list[Problem]:
        """What was fixed; at most a thousand of a round."""
    @property
    def count(self) -> int:
        """How many problems were fixed."""
    @property
    def rest(self) -> Report:
        """What is left."""
    def diff(self, source: str) -> str:
        """Give what changed as a unified diff; empty where nothing did."""

def fix(source: str, text: bytes, backends: Sequence[_Backend] | None = None) -> Fixed:
    """Fix what has only one meaning, and leave every other byte of a registry file as it is.

    Args:
        source: its name in reports.
        text: its bytes.
        backends: further known backends, besides those that come with clemcore: the name,
            or the name with the types (of JSON Schema) and the values of each key that it reads.
    """

def freeze(fields: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a specification: a new dict, in which dicts and lists are copied and refuse changes.

    Raises:
        TypeError: a key of the fields is not a str.
        SpecError: the fields are nested more than 500 deep, contain themselves, or change meanwhile.
    """

def thaw(value: _Container) -> _Container:
    """Give a dict or a list as plain dicts and lists, a copy to the depth.

    Raises:
        SpecError: it is nested more than 500 deep, contains itself, or changes meanwhile.
    """

def _panic(message: str) -> None:
    """Panic, so that a test can see what becomes of it.

    Raises:
        ClemcoreError: always.
    """

def packaged_registry() -> bytes:
    """Give the registry that is compiled in."""

def unify(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any] | None:
    """Merge two dicts, or give None where they contradict each other.

    The result has the left dict's keys in their order, then the right one's new keys, sorted. Dicts inside are
    merged, lists must have one length and unify item by item, all else must be equal. A boolean is never equal to a
    number here. An object that occurs twice in one dict is merged in each place for itself.

    Raises:
        TypeError: a key is not a str.
        ValueError: a dict contains itself, or is nested more than 500 deep.
    """

def upsert_entries(
    text: bytes | None,
    entries: Sequence[tuple[dict[str, Any], int | None]],
    *,
    source: str = "model_registry.json",
) -> str:
    """Put entries into the text of a registry and leave every other byte as it is.

    Args:
        text: the file; None for a new one.
        entries: each entry (its ``lookup_source`` is left out) and which one it replaces, counted in the file with
            those before it put in; None where it becomes the first.
        source: the file's name in an error.

    Raises:
        clemcore.errors.RegistryError: the text has errors.
        IndexError: there is no entry of that index.
        TypeError: the entry holds something that JSON cannot hold.
    """

def override_fields(spec: dict[str, Any], fields: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Replace fields by the rule of JSON Merge Patch (RFC 7396).

    Returns:
        The new dict; and for each field that changed a dict of ``field``, ``old`` (where there was a value) and
        ``new`` (where it was not removed).
    """

def settings(backend: str) -> dict[str, _Setting]:
    """Give the settings that a backend reads, by name: its keys of ``model_config`` and further keys of the entry.

    Each has ``types`` (of JSON Schema), ``values`` (empty for any), a range (``above``, ``least``, ``most``),
    ``unit``, ``default`` and ``meaning`` in words, ``is_nested`` (it stands in ``model_config``), ``deprecated``
    (what to write today), ``refused`` (why the backend does not support it), and ``counts_if_false`` (it counts by
    being there).
    A backend that the core does not know has the settings that every backend reads.
    """

def argument_senders() -> dict[str, list[str]]:
    """Return the backends that send each generation argument, beside the arguments that every entry may have."""

def use_of_key(name: str, backend: str) -> str:
    """Say what a key at the top of an entry is to a backend: ``"field"``, ``"of others"`` or ``"unknown"``.

    A backend reads its fields. Those of others are read by other backends only.
    """

def known_backends() -> list[str]:
    """Give the names of the backends whose entries the core knows."""

def absence(backend: str) -> str | None:
    """Say that clemcore does not include a backend that older registries name; None for every other name."""

def judge(entry: dict[str, Any], backend: str | None = None) -> list[Problem]:
    """Find what is wrong with one entry that comes from no file; the places of the problems mean nothing.

    Args:
        entry: its fields. Nothing is said about values that JSON cannot hold.
        backend: the backend by whose rules it is judged; None for its own.
    """

def canonical_json(text: bytes) -> bytes | None:
    """Write JSON text in its canonical form: ASCII, names sorted, no blanks, numbers as ``json.dumps`` writes them.

    None where it is not JSON in UTF-8, or nested too deeply. ``NaN``, which ``json.loads`` reads, is not JSON.
    """

def json_indented(value: object) -> bytes | None:
    """Return a value as JSON that is indented by two; None where :func:`json_line` gives None."""

def json_line(value: object, text: type[bytes] | None = None) -> bytes | None:
    """Write a value as one line of JSON in UTF-8, as ``json.dumps(value, ensure_ascii=False)`` does.

    None where Python has to write it: it is nested too deeply, a number is not finite or has more than 64 bits, a
    text has half of a surrogate pair, a name is not a text, or there is an object of any other class.

    Args:
        value: the value.
        text: a class of bytes that are JSON already, and go into the line as they are.
    """

def json_parts(text: bytes, at: int) -> bytes:
    """Return where the parts of the list or the object are that begins at a place of a valid JSON text.

    The bytes are an ``array("Q")``: begin and end of each item, or of each name and each value, one after another.
    """

def is_hard_to_read(text: bytes, levels: int, digits: int) -> bool:
    """Tell whether a reader of JSON may fail at a text.

    Args:
        text: JSON text.
        levels: lists and objects may be nested so deeply.
        digits: a number must have fewer digits than this.
    """

def are_plain_messages(messages: list[Any], roles: frozenset[str]) -> bool:
    """Tell whether all messages are a role of ``roles`` and a content that is a text, and nothing else."""

def alternating_messages(messages: list[Any]) -> list[dict[str, Any]] | None:
    """Copy each message if no two neighbours have the same role.

    None if two have, or if a message is not a plain dict with a text as its role.
    """

def common_length(left: bytes, at: int, right: bytes, at_right: int) -> int:
    """Return how many bytes two texts have in common from two places on."""

def leading_messages(messages: list[Any], known: list[str]) -> int:
    """Count the first messages that are known: a role and a content, in this order, which are the very objects.

    Args:
        messages: messages.
        known: role and content of each known message, one after the other.
    """

def address_fault(text: str) -> str | None:
    """Say what is wrong with the address of a server, as the rest of a sentence; None for a valid one."""

def address_key(text: str) -> str:
    """Give the form of an address that is the same for all spellings of one server."""

def servers_file(text: str) -> str | None:
    """Return the path where a ``base_url`` names a file with addresses; None otherwise."""

def json_schema() -> str:
    """Give the JSON Schema (draft 2020-12) of a registry file."""

def context_tokens(text: str) -> int | None:
    """Give the number of tokens that a text such as ``131072``, ``128k`` or ``1.5k`` means (k is 1024)."""

def explain(what: str) -> str | None:
    """Give the page about a kind of problem (by code or name) or a key of an entry; None if there is none."""

def codes_page() -> str:
    """Write the reference page of all kinds of problems, in Markdown."""

def fields_page() -> str:
    """Give the reference page of all keys, in Markdown."""

def catalogue() -> list[_Kind]:
    """Give every kind of problem there is."""

# Chat templates (rust/clemcore-python/src/template/); clemcore.prompts.templates is the face of these.

class UnsupportedError(Exception):
    """Only jinja2 can render this; the message says what is not covered."""

class NotPlainError(Exception):
    """The data holds objects of other types than JSON has; it must be made plain first."""

@disjoint_base
class TemplateCore:
    """What ``clemcore.prompts.templates.ChatTemplate`` is made of."""

    def __new__(
        cls,
        source: str,
        special_tokens: dict[str, Any] | None = None,
        now: object = None,
        *,
        drop_none: bool = True,
        alias_reasoning: bool = True,
    ) -> Self:
        """Compile a template; raises TemplateError. ``now`` is the subclass's business."""
    @property
    def unsupported(self) -> str | None:
        """Why only jinja2 can render this template, if so."""
    @property
    def names(self) -> list[str] | None:
        """The names that the template reads and does not define itself, if it is compiled."""
    @property
    def uses_clock(self) -> bool:
        """Whether the template calls ``strftime_now``."""
    def render(
        self,
        messages: Sequence[Any],
        tools: Sequence[Any] | None = None,
        documents: Sequence[Any] | None = None,
        add_generation_prompt: bool | None = False,
        continue_final_message: bool | str | None = False,
        **kwargs: Any,
    ) -> str:
        """Make the prompt text for a conversation, as ``apply_chat_template(..., tokenize=False)`` does.

        ``tools`` are JSON schemas or functions, ``add_generation_prompt`` ends with the header of the assistant's
        turn, ``continue_final_message`` ends inside the last message; further keywords are variables of the
        template and win over special tokens. Raises TemplateError when the template refuses the messages or
        fails; its text is then exactly what the template gave to ``raise_exception``.
        """
    def render_batch(
        self,
        conversations: Iterable[Sequence[Any]],
        tools: Sequence[Any] | None = None,
        documents: Sequence[Any] | None = None,
        add_generation_prompt: bool | None = False,
        continue_final_message: bool | str | None = False,
        **kwargs: Any,
    ) -> list[str]:
        """Make the prompt text of each conversation, with the same further arguments as :meth:`render`.

        Other threads run while it renders, and an interrupt ends it; what they do to a conversation counts if it
        comes before that one is read. A failure is that of the first conversation that fails: a TemplateError has
        its place in the batch as ``conversation``, and from Python 3.11 on every exception has it as a note.
        """
    def render_context(
        self,
        context: list[dict[str, Any]],
        now: tuple[int, int, int, int, int, int, int] | None = None,
    ) -> tuple[str, list[tuple[int, int]]]:
        """Render with the variables of these dicts and nothing else, later ones winning.

        Beside the text: the character ranges that ``generation`` blocks wrote. Raises :class:`UnsupportedError` and
        :class:`NotPlainError`, which ``render`` answers itself.
        """

@final
class Evaluation:
    """Scores of episodes, and the tables that they give.

    An episode is named by game, model, experiment and episode.
    """

    def __new__(cls) -> Self: ...
    def add(self, episodes: Sequence[tuple[tuple[str, str, str, str], bytes]]) -> list[tuple[int, bool, str]]:
        """Add the scores of episodes, each as the content of its ``scores.json``.

        Returns:
            For each that was not added: its index, whether its game computes "Played" itself, and the reason.
        """

    def recall(
        self, known: bytes, origin: str
    ) -> list[tuple[str, int, list[tuple[str, tuple[int, int, int, int]]]]]:
        """Take the scores of an earlier evaluation, to be added by :meth:`add_recalled` where nothing changed.

        Args:
            known: what :meth:`ledger` gave. If it is damaged, or of other code or another folder, it is ignored.
            origin: the folder that is evaluated.

        Returns:
            The episodes, by the folders that hold theirs: each folder, the number of its first episode, and for
            each episode the name of its folder and the state of its file.
        """

    def recalled_names(self, number: int) -> tuple[str, str, str, str]:
        """Return game, model, experiment and episode of an episode of the earlier evaluation, by number.

        Raises:
            IndexError: it is not one of those that :meth:`recall` gave.
        """

    def add_recalled(self, numbers: Sequence[int]) -> None:
        """Add the scores of episodes of the earlier evaluation, by number.

        Raises:
            IndexError: a number is not one of those that :meth:`recall` gave.
        """

    def ledger(
        self, origin: str, places: Sequence[int | tuple[str, str, tuple[int, int, int, int]] | None]
    ) -> bytes:
        """Return the scores of the episodes that were added, for :meth:`recall`.

        Args:
            origin: the folder that is evaluated.
            places: for each episode that was added, in this order: its folder, its name and the state of its file;
                the number of an earlier one; or None for one that is to be read again.
        """

    def add_rows(self, rows: Sequence[tuple[tuple[str, str, str, str], str, float]]) -> None:
        """Add rows: the episode, the metric and its value."""

    def keep(self, text: bytes, model: str | None = None, game: str | None = None) -> None:
        """Keep the rows of an earlier ``raw.csv``, without those of the selection.

        Raises:
            ValueError: it is not such a file; the message continues its name.
        """

    def count_played(self) -> None:
        """Add a row "Played" for each new row "Aborted"; comes after all episodes."""

    def __len__(self) -> int: ...
    def raw_csv(self, start: int, count: int) -> bytes:
        """Return some rows of ``raw.csv``; those from 0 on begin with the header."""

    def note_unknown(self, episodes: Sequence[tuple[tuple[str, str, str, str], str]]) -> None:
        """Note episodes that have no scores, each with "error", "limit", "missing" or "unscored"."""

    def set_level(self, game: str, model: str, level: float) -> None:
        """Set the level of the intervals of a game and model, which was looked at several times."""

    def json(self, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> str:
        """Return the content of ``results.json``, with intervals of this level."""

    def remember(self, known: bytes) -> bool:
        """Take the intervals of an earlier evaluation, to be used by :meth:`json` where nothing changed.

        Returns:
            Whether they can be used; damaged ones, and those of other code, are ignored.
        """

    def remembered(self) -> bytes:
        """Return the intervals that :meth:`json` gave, for :meth:`remember`."""

    def comparison(self, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> str:
        """Return all pairs of models on the instances that both played, as JSON."""

    def table(
        self, *, deviation: bool = False, by_clemscore: bool = False, ignore_missing: bool = False
    ) -> ResultsTable:
        """Return the table of all models and games; with ``ignore_missing`` that of 3.7.2."""

@final
class ResultsTable:
    """The table of results. What is not there is NaN."""

    @property
    def columns(self) -> list[str]: ...
    @property
    def models(self) -> list[str]: ...
    @property
    def cells(self) -> list[list[float]]: ...
    def csv(self) -> str:
        """Return the content of ``results.csv``."""

    def html(self) -> str:
        """Return the content of ``results.html``. All names are escaped."""

def bradley_terry(
    matches: Sequence[tuple[int, int, float, int]], count: int, *, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """Return the strength of each model with the ends of its interval; their mean is 0.

    Args:
        matches: the numbers of two models, what the first one got (1, 0.5 or 0), and the number of the instance.
        count: how many models there are.
        level: the share of intervals that are to cover the truth.

    Raises:
        ValueError: no strengths are the most likely ones; the message says why.
    """

def mean_interval(
    strata: Sequence[Sequence[Sequence[float]]],
    *,
    range: tuple[float, float] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    name: str = "",
) -> tuple[float, float, str] | None:
    """Return the interval of a mean, and its method; None for fewer than two instances.

    Args:
        strata: for each experiment, the instances: the sum of its values, and how many they are.
        range: the lowest and the highest possible value, if there are such.
        level: the share of intervals that are to cover the truth.
        resamples: how often the instances are drawn again.
        seed: where the random numbers begin.
        name: of its stream of random numbers.
    """

def proportion_interval(
    strata: Sequence[Sequence[Sequence[float]]], *, level: float = 0.95
) -> tuple[float, float, str] | None:
    """Return the interval of a proportion, and its method; the arguments are those of :func:`mean_interval`."""

def transcript(
    interactions: bytes,
    find_images: Callable[[list[str]], dict[str, str]],
    calls: list[tuple[int, str, int, str, int, str | None, bytes, bytes | None]] = ...,
) -> tuple[bytes, bytes]:
    """Return the transcript of an episode as HTML and as TeX.

    Args:
        interactions: the content of ``interactions.json`` of any release.
        find_images: returns the ``data:`` addresses of images by the names that messages give; others are shown by
            their names. It is called only if messages name images.
        calls: the calls of the episode, as :func:`episode_view` takes them; HTML shows them below their rounds.

    Raises:
        ValueError: it is not JSON.
    """

def requested_calls(
    data: bytes,
) -> list[tuple[int | None, str, int, str, int, str, str, str | None, bytes, int]] | None:
    """Return the calls of a file of requests.

    Args:
        data: the content of the file.

    Returns:
        For each call its number if the file has it, its time, its place in the file, player, round, kind, request,
        answer, record and attempt. None if the file is not exactly as a release of clemcore writes it.
    """

def stored_body(kept: bytes, pieces: dict[int, bytes], most: int) -> tuple[bytes | None, list[int]]:
    """Return a body of a store.

    Args:
        kept: what is in the file.
        pieces: shared pieces by their numbers.
        most: return only so many bytes from the beginning; 0: all.

    Returns:
        The body, or None, and the numbers of pieces that are needed and missing. If none is, the body is damaged.
    """

def stored_calls(
    body: bytes, start: int, pieces: dict[int, bytes]
) -> tuple[list[tuple[int, str, int, str, str, str | None, bytes, int]] | None, list[int]]:
    """Return the calls that count of the frames in a body of a store, by number.

    Args:
        body: the body.
        start: where the frames begin in it.
        pieces: shared pieces by their numbers.

    Returns:
        The fields of each call as ``StoredCall`` has them, or None, and the numbers of pieces that are needed and
        missing. If none is, the frames are damaged, or no reader of JSON in the core can read them.
    """

def transcript_html(interactions: bytes, images: dict[str, str]) -> bytes:
    """Return the transcript of an episode as HTML alone, without calls.

    Args:
        interactions: the content of ``interactions.json`` of any release.
        images: ``data:`` addresses of images by the names that messages give. Others are shown by their names.

    Raises:
        ValueError: it is not JSON.
    """

def transcript_images(interactions: bytes) -> list[str]:
    """Return the names of the images of an episode.

    Raises:
        ValueError: it is not JSON.
    """

def episode_view(
    interactions: bytes,
    calls: list[tuple[int, str, int, str, int, str | None, bytes, bytes | None]],
    images: dict[str, str],
) -> tuple[bytes, tuple[int, int, int, float, float], list[str], str]:
    """Return an episode as JSON for the script of the page of results.

    Args:
        interactions: the content of ``interactions.json``; empty if there is none.
        calls: number, player, round, kind, attempt, text and record of each call, and the record without half
            characters if it has some.
        images: ``data:`` addresses of images by the names that messages give.

    Returns:
        The JSON; the number of calls of models, their tokens in and out, USD and seconds; the answers; the type of
        the last event of the game master with itself.

    Raises:
        ValueError: the interactions are not JSON.
    """

def page_files() -> tuple[str, str]:
    """Return the style sheet and the script of the page of results."""

def results_page(
    title: str, start: str, hashes: tuple[str, str], parts: list[tuple[str, str]] | None = None
) -> bytes:
    """Return the page of results.

    Args:
        title: its title.
        start: the data that it begins with, as JSON.
        hashes: SHA-256 of style sheet and script, in base64.
        parts: for a page in one file: name and content in base64 of all other data.
    """

def game_plots(
    lines: list[tuple[str, list[int], float | None, tuple[float, float] | None]], is_dark: bool
) -> tuple[str, str]:
    """Return the plots of a game as SVG: how episodes ended, and the quality of each model.

    Args:
        lines: for each model its name; how many of its episodes were played, lost, aborted, ended by a limit, ended
            by an error, are missing, have no scores; the quality; its interval.
        is_dark: whether they will be shown on a dark page.
    """
