"""API keys: where they are looked for, how they are kept, and how they are hidden.

Looked for per backend, in this order: environment variables, ``./key.json``, ``~/.clemcore/key.json``. It does not
know what a backend does with a key.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore import secrets
from clemcore.errors import KeyFileError, MissingKeyError
from clemcore.files import locked, replace_file

logger = logging.getLogger(__name__)

# Environment variables that providers document under another name than <BACKEND>_API_KEY.
_OTHER_VARIABLES = {
    "huggingface": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "google": ("GEMINI_API_KEY",),
    "cohere": ("CO_API_KEY",),
}
# Names that keys have although no backend need be called so.
KNOWN_NAMES = tuple(_OTHER_VARIABLES)
# Further fields of a key that can stand in the environment, with their variable's ending.
_OTHER_FIELDS = {"base_url": "_BASE_URL", "organization": "_ORGANIZATION"}
_SPELLINGS = {"organisation": "organization", "organization": "organisation"}


class Key(Mapping[str, Any]):
    """What is known for one backend: ``api_key`` and any further fields (``base_url``, ``organization``, …).

    Both spellings of organi[sz]ation read the same field.

    Examples:
        >>> key = Key(api_key="sk-0123456789", organisation="lab")
        >>> key, key["organization"], key.has_api_key()
        (Key(api_key=***, organisation), 'lab', True)
    """

    api_key: str | None

    def __init__(self, api_key: str | None = None, **kwargs: Any) -> None:
        """Take the secret and any further fields."""
        self.__dict__["api_key"] = api_key
        self.__dict__.update(kwargs)
        for name, value in self.__dict__.items():
            if secrets.is_secret_name(name):
                secrets.remember(value)

    def __getitem__(self, name: str) -> Any:
        """Return the field of that name."""
        fields = self.__dict__
        if name not in fields and _SPELLINGS.get(name) in fields:
            name = _SPELLINGS[name]
        return fields[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a field, in either spelling."""
        return name in self.__dict__ or (isinstance(name, str) and _SPELLINGS.get(name) in self.__dict__)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the field names."""
        return iter(self.__dict__)

    def __len__(self) -> int:
        """Count the fields."""
        return len(self.__dict__)

    def has_api_key(self) -> bool:
        """Tell whether the secret is there and not blank."""
        return isinstance(self.api_key, str) and bool(self.api_key.strip())

    def to_json(self, mask_secrets: bool = True) -> str:
        """Return the fields as JSON, secrets replaced by ``***`` (``[MISSING]`` where there is none)."""
        fields = dict(self.__dict__)
        if mask_secrets:
            fields = secrets.mask_fields(fields)
            fields["api_key"] = secrets.MASK if self.has_api_key() else "[MISSING]"
        return json.dumps(fields, indent=2, sort_keys=True)

    def __repr__(self) -> str:
        """Show which fields there are, and nothing of the secret."""
        shown = f"api_key={secrets.MASK}" if self.has_api_key() else "api_key=None"
        others = "".join(f", {name}" for name in self.__dict__ if name != "api_key")
        return f"Key({shown}{others})"


class KeyRegistry(Mapping[str, Key]):
    """The keys of one key file, backed up by the environment and by the key file in the home folder."""

    def __init__(self, key_file_path: Path, keys: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Take the file that ``persist`` writes, and its content."""
        self._key_file_path = Path(key_file_path)
        self._keys: dict[str, Key] = {name: Key(**fields) for name, fields in (keys or {}).items()}
        self._inherited: dict[str, Key] = {}
        self._changed: dict[str, bool] = {}  # backend → whether its entry is replaced as a whole

    @property
    def key_file_path(self) -> Path:
        """The file that ``persist`` writes."""
        return self._key_file_path

    def __getitem__(self, backend_name: str) -> Key:
        """Return the key that a file holds for a backend."""
        return self._keys[backend_name] if backend_name in self._keys else self._inherited[backend_name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the backends that the files hold keys for."""
        yield from self._keys
        yield from (name for name in self._inherited if name not in self._keys)

    def __len__(self) -> int:
        """Count the backends that the files hold keys for."""
        return len(self._keys.keys() | self._inherited.keys())

    def __repr__(self) -> str:
        """Show the file and the backends, no key."""
        return f"KeyRegistry(file='{self._key_file_path}', backends=[{', '.join(self)}])"

    @classmethod
    def from_json(cls, file_name: str = "key.json", fallback: bool = True) -> KeyRegistry:
        """Read ``./key.json`` and, for backends it does not list, ``~/.clemcore/key.json``.

        Args:
            file_name: name of the key file.
            fallback: whether the home folder is looked at. Where there is no file in the working directory,
                the registry is bound to the one in the home folder, as in 3.7.2; where there is no home folder
                either (a container's user without a name), to the working directory.

        Raises:
            KeyFileError: a file is there but is not a JSON object of backends with objects of fields; every
                fault is named with its place, and the file is left as it is.
        """
        here = Path.cwd() / file_name
        home = _home_file(file_name)
        own = _read_key_file(here)
        if not fallback or home is None:
            return cls(here, own)
        inherited = _read_key_file(home)
        if own is None:
            return cls(home, inherited)
        registry = cls(here, own)
        registry._inherited = {name: Key(**fields) for name, fields in (inherited or {}).items()}
        return registry

    def find(self, backend_name: str) -> tuple[Key, str] | None:
        """Return the key for a backend and where it was found, or None.

        Fields of two places are mixed only where the file's entry has no secret of its own: a key is never
        sent to a ``base_url`` that was written for another key.
        """
        on_file = self.get(backend_name)
        from_environment, variable = _from_environment(backend_name)
        if "api_key" in from_environment:
            if on_file is not None and not on_file.has_api_key():
                from_environment = {**{k: v for k, v in on_file.items() if v}, **from_environment}
            return Key(**from_environment), f"${variable}"
        if on_file is None:
            return None
        inherited = backend_name not in self._keys
        home = _home_file(self._key_file_path.name)
        return on_file, str(home if inherited and home is not None else self._key_file_path)

    def get_key_for(self, backend_name: str) -> Key:
        """Return the key for a backend.

        Raises:
            MissingKeyError: there is none; the message says where was looked and how to give one.
        """
        found = self.find(backend_name)
        if found is None:
            variables = " or ".join(f"${name}" for name in _variables(backend_name))
            raise MissingKeyError(
                f"no key for '{backend_name}': set {variables}, or add it to {self._key_file_path} "
                f"(clem register key -n {backend_name}); looked in the environment, in ./key.json and in "
                "~/.clemcore/key.json"
            )
        return found[0]

    def set_key_for(self, backend_name: str, values: Mapping[str, Any], reset: bool = False) -> KeyRegistry:
        """Set fields of a backend's key in memory; ``reset`` drops the fields it had."""
        old = {} if reset else dict(self._keys.get(backend_name, {}))
        self._keys[backend_name] = Key(**{**old, **values})
        self._changed[backend_name] = reset or self._changed.get(backend_name, False)
        return self

    def persist(self) -> KeyRegistry:
        """Write what was set into the key file, with permissions 0600, whole or not at all.

        The file is read again under a lock first: entries of other backends and unknown fields stay, two
        writers lose nothing.

        Raises:
            KeyFileError: the file there cannot be read as a key file; it is left as it is.
        """
        path = self._key_file_path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path):
            stored = _read_key_file(path) or {}
            for name, key in self._keys.items():
                if name in self._changed or name not in stored:
                    kept = {} if self._changed.get(name, True) else stored.get(name, {})
                    stored[name] = {**kept, **{k: v for k, v in key.items() if v is not None}}
            text = json.dumps(stored, indent=2, ensure_ascii=False) + "\n"
            replace_file(path, text.encode(), mode=0o600)
        return self

    @classmethod
    def register(
        cls,
        backend_name: str,
        *,
        api_key: str | None = None,
        organization: str | None = None,
        base_url: str | None = None,
        reset: bool = False,
        persist: bool = True,
        force_cwd: bool = False,
        **kwargs: Any,
    ) -> KeyRegistry:
        """Set a backend's key and write the key file.

        Args:
            backend_name: the backend's name as registry entries give it.
            api_key: the secret.
            organization: the account's organization, where a provider has it.
            base_url: the address of the service, where it is not fixed.
            reset: drop the fields that the entry had.
            persist: write the file (else in memory only).
            force_cwd: write ``./key.json`` even when there is none yet.
            **kwargs: further fields.
        """
        fields = {"api_key": api_key, "organization": organization, "base_url": base_url, **kwargs}
        registry = cls.from_json(fallback=not force_cwd)
        registry.set_key_for(backend_name, {k: v for k, v in fields.items() if v is not None}, reset=reset)
        return registry.persist() if persist else registry


def _home_file(name: str) -> Path | None:
    """Return the key file of the home folder, or None where the user has no home."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises without HOME and without an account
    return None if home == "~" else Path(home) / ".clemcore" / name


def _variables(backend_name: str) -> tuple[str, ...]:
    stem = backend_name.upper().replace("-", "_").replace(".", "_")
    return (f"{stem}_API_KEY", *_OTHER_VARIABLES.get(backend_name, ()))


def _from_environment(backend_name: str) -> tuple[dict[str, Any], str]:
    fields: dict[str, Any] = {}
    found = ""
    for variable in _variables(backend_name):
        value = os.environ.get(variable, "").strip()
        if value:
            fields["api_key"], found = value, variable
            break
    stem = _variables(backend_name)[0].removesuffix("_API_KEY")
    for field, ending in _OTHER_FIELDS.items():
        value = os.environ.get(stem + ending, "").strip()
        if value:
            fields[field] = value
    return fields, found


def _read_key_file(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return the entries of a key file, or None where there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    faults: list[str] = []
    content: Any = None
    try:
        content = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as fault:
        faults.append(f"{path}: byte {fault.start} is not UTF-8")
    except json.JSONDecodeError as fault:
        faults.append(f"{path}:{fault.lineno}:{fault.colno}: {fault.msg}")
    if not faults:
        faults = _shape_faults(path, content)
    if faults:
        # Raised outside the except block: the decoder's exception holds the whole text, keys included.
        raise KeyFileError(
            "the key file cannot be used; fix it or move it away, nothing was changed\n  "
            + "\n  ".join(faults)
            + '\n  expected: {"BACKEND": {"api_key": "…"}, …}'
        )
    entries: dict[str, dict[str, Any]] = content
    return entries


def _shape_faults(path: Path, content: Any) -> list[str]:
    if not isinstance(content, dict):
        return [f"{path}: the file must hold a JSON object, not {type(content).__name__}"]
    faults = []
    for backend, fields in content.items():
        if not isinstance(fields, dict):
            faults.append(f"{path}: '{backend}' must be an object of fields, not {type(fields).__name__}")
        elif not isinstance(fields.get("api_key", ""), str):
            kind = type(fields["api_key"]).__name__
            faults.append(f"{path}: '{backend}.api_key' must be a string, not {kind}: put it in quotes")
    return faults


def load_credentials(backend: str, file_name: str = "key.json") -> dict[str, dict[str, Any]]:
    """Return ``{backend: fields}`` as the releases before 3.4.0 did; new code uses :class:`KeyRegistry`."""
    return {backend: dict(KeyRegistry.from_json(file_name).get_key_for(backend))}
