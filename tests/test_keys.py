"""Keys: where they are found, what happens to broken files, and that they never show."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clemcore import secrets
from clemcore.errors import KeyFileError, MissingKeyError
from clemcore.files import cache_dir
from clemcore.keys import Key, KeyRegistry, load_credentials

CANARY = "sk-canary-0123456789"


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _home_file() -> Path:
    return Path.home() / ".clemcore" / "key.json"


def test_the_environment_wins_then_the_working_directory_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    _write(_home_file(), {"openai": {"api_key": "from-home"}, "cohere": {"api_key": "only-home"}})
    assert KeyRegistry.from_json().get_key_for("openai")["api_key"] == "from-home"
    _write(Path("key.json"), {"openai": {"api_key": "from-here"}})
    assert KeyRegistry.from_json().get_key_for("openai")["api_key"] == "from-here"
    assert KeyRegistry.from_json().get_key_for("cohere")["api_key"] == "only-home"
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    key, where = KeyRegistry.from_json().find("openai") or (Key(), "")
    assert (key["api_key"], where) == ("from-environment", "$OPENAI_API_KEY")


def test_a_key_is_never_mixed_with_the_address_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    _write(Path("key.json"), {"openai": {"api_key": "of-the-proxy", "base_url": "https://proxy.example/v1"}})
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-provider")
    assert "base_url" not in KeyRegistry.from_json().get_key_for("openai")


def test_an_entry_without_a_secret_is_completed_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    _write(Path("key.json"), {"openai_compatible": {"api_key": "", "base_url": "https://here.example/v1"}})
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "k")
    key = KeyRegistry.from_json().get_key_for("openai_compatible")
    assert (key["api_key"], key["base_url"]) == ("k", "https://here.example/v1")


def test_other_names_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf")
    assert KeyRegistry.from_json().get_key_for("huggingface")["api_key"] == "hf"


def test_a_missing_key_says_where_was_looked() -> None:
    with pytest.raises(MissingKeyError, match=r"\$OPENAI_API_KEY.*key\.json.*~/\.clemcore") as caught:
        KeyRegistry.from_json().get_key_for("openai")
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ('{"openai": {"api_key": "' + CANARY + '",}}', [r"key\.json:1:4\d"]),
        ('["' + CANARY + '"]', ["must hold a JSON object, not list"]),
        (
            {"openai": CANARY, "cohere": {"api_key": 5}},
            ["'openai' must be an object", r"'cohere\.api_key' must be a string, not int"],
        ),
    ],
)
def test_a_broken_key_file_is_named_and_left_alone(content: object, faults: list[str]) -> None:
    path = _write(Path("key.json"), content)
    before = path.read_bytes()
    for change in (False, True):
        with pytest.raises(KeyFileError) as caught:
            KeyRegistry.register("new", api_key="x") if change else KeyRegistry.from_json()
        for fault in faults:
            caught.match(fault)
        assert CANARY not in str(caught.value)
        assert caught.value.__context__ is None
    assert path.read_bytes() == before


def test_register_makes_the_file_private_and_keeps_the_rest() -> None:
    KeyRegistry.register("openai", api_key=CANARY, organization="lab")
    assert stat.S_IMODE(_home_file().stat().st_mode) == 0o600
    stored = json.loads(_home_file().read_text())
    stored["other"] = {"api_key": "x", "unknown": [1]}
    _write(_home_file(), stored)
    KeyRegistry.register("openai", base_url="https://u.example")
    KeyRegistry.register("third", api_key="y", reset=True)
    assert json.loads(_home_file().read_text()) == {
        "openai": {"api_key": CANARY, "organization": "lab", "base_url": "https://u.example"},
        "other": {"api_key": "x", "unknown": [1]},
        "third": {"api_key": "y"},
    }
    KeyRegistry.register("openai", api_key="z", reset=True)
    assert json.loads(_home_file().read_text())["openai"] == {"api_key": "z"}


def test_register_here_does_not_copy_keys_from_home() -> None:
    KeyRegistry.register("openai", api_key="of-home")
    KeyRegistry.register("cohere", api_key="of-here", force_cwd=True)
    assert json.loads(Path("key.json").read_text()) == {"cohere": {"api_key": "of-here"}}
    KeyRegistry.register("mistral", api_key="m")
    assert sorted(json.loads(Path("key.json").read_text())) == ["cohere", "mistral"]


@pytest.mark.slow
def test_two_writers_lose_nothing() -> None:
    code = (
        "import sys; from clemcore.keys import KeyRegistry\n"
        "for n in range(20): KeyRegistry.register(f'{sys.argv[1]}{n}', api_key='k'*8, force_cwd=True)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(json.loads(Path("key.json").read_text())) == 40
    assert [path.name for path in Path().iterdir()] == ["key.json"]


def test_both_spellings_of_organization() -> None:
    assert Key(organisation="a")["organization"] == "a"
    assert "organisation" in Key(organization="a")
    assert "organization" not in Key(api_key="k")


def test_no_secret_shows() -> None:
    key = Key(api_key=CANARY, token="tok-" + CANARY, base_url="https://u.example")
    assert CANARY not in repr(key) + key.to_json()
    assert "https://u.example" in key.to_json()
    assert CANARY in key.to_json(mask_secrets=False)
    assert json.loads(Key().to_json())["api_key"] == "[MISSING]"
    assert secrets.scrub(f"Bearer {CANARY}!") == "Bearer ***!"
    assert secrets.mask_fields({"a": [{"password": "p", "text": CANARY}]}) == {
        "a": [{"password": "***", "text": "***"}]
    }


def test_a_secret_with_quotes_is_found_in_json() -> None:
    secret = 'quo"ted\\ä-secret'
    secrets.remember(secret)
    assert b"ted" not in secrets.scrub_json(json.dumps({"x": secret}).encode())
    assert b"ted" not in secrets.scrub_json(json.dumps({"x": secret}, ensure_ascii=False).encode())


def test_the_old_credentials_call() -> None:
    _write(Path("key.json"), {"openai": {"api_key": "k", "organisation": "o"}})
    assert load_credentials("openai") == {"openai": {"api_key": "k", "organisation": "o"}}


def test_a_user_without_a_home_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number without an account."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    with pytest.raises(RuntimeError):
        Path.home()
    assert dict(KeyRegistry.from_json()) == {}
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    assert KeyRegistry.from_json().get_key_for("openai")["api_key"] == CANARY
    KeyRegistry.register("cohere", api_key="k")
    assert json.loads(Path("key.json").read_text()) == {"cohere": {"api_key": "k"}}
    monkeypatch.delenv("CLEMCORE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(FileNotFoundError, match=r"there is no home folder: set \$CLEMCORE_CACHE"):
        cache_dir()


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_a_key_in_quotes_is_found_without_them_and_breaks_no_json(quote: str) -> None:
    secrets.remember(f"{quote}sk-in-quotes-0123456789{quote}")
    text = json.dumps({"param": "sk-in-quotes-0123456789", "message": 'not "sk-in-quotes-0123456789"'}).encode()
    assert json.loads(secrets.scrub_json(text)) == {"param": "***", "message": 'not "***"'}
