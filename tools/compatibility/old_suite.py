"""Run the tests of clemcore 3.7.2 against this version.

::

    git clone https://github.com/clp-research/clemcore build/clemcore-3.7.2
    python tools/compatibility/old_suite.py build/clemcore-3.7.2
    python tools/compatibility/old_suite.py build/clemcore-3.7.2 --model FOLDER   # and tests of local models
    python tools/compatibility/old_suite.py build/clemcore-3.7.2 --games FOLDER   # and tests that play public games
    python tools/compatibility/old_suite.py build/clemcore-3.7.2 --only test_recorder

It prints a line for each file of tests. It exits with 1 if a test fails that ``FAIL`` does not list, or if a listed
test passes. The tests run from an empty folder and see a copy of the package. Two files read the packaged registry
where 3.7.2 kept it, so the copy has it there. ``--model`` names a folder with a chat model that takes the place of
the models that the tests would download. Its answers must not be empty.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TAG = "3.7.2"

LEFT_OUT = {
    "test_model_registry_integration": "needs keys of every service",
}
NEED_KEYS = {"test_backend": "not test_generate_response"}
NEED_GAMES = {"test_branching", "test_pettingzoo_api"}
NEED_MODELS = {"test_huggingface_integration", "test_huggingface_local_api"}
_INSIDE = "it replaces names inside the module `clemcore.cli`"
_REPLACED = "it replaces functions that `perform_evaluation` does not call"
_MASK = "it expects characters of the secret, or four asterisks: `***` masks all of it"
_NAME = "it expects the name of the class: the classes are aliases of `Human` and `Mock`"
# Tests that fail, with the reason. docs/compatibility.md or docs/differences.md shows them.
FAIL = {
    "test_backend_registry": {"test_backend_repr": _NAME, "test_backend_str": _NAME},
    "test_clemeval": {"test_full_pipeline_writes_files": _REPLACED, "test_raises_on_played_in_scores": _REPLACED},
    "test_cli": {
        "test_distinct_game_selectors_each_run": _INSIDE,
        "test_duplicate_game_selectors_run_once": _INSIDE,
        "test_run_exception_is_logged": _INSIDE,
    },
    "test_key_registry": {"test_key_to_json_masks_long_key": _MASK, "test_key_to_json_masks_short_key": _MASK},
    "test_model_registry_eos": {
        "test_eos_to_cull_no_unescaped_specials": "it allows no group in a pattern: ours match a repeated token"
    },
}

_PROBLEM = re.compile(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", re.MULTILINE)
_COUNT = re.compile(r"(\d+) (passed|deselected|skipped)")
_MODEL_ID = re.compile(r'(?<="huggingface_id": )"[^"]+"')


@dataclass
class Outcome:
    """What the tests of one file did."""

    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def unexpected(self, listed: dict[str, str]) -> list[str]:
        """Return the tests that failed without a reason, or passed although there is one."""
        names = {test.rpartition("::")[2] for test in self.failed}
        return sorted([f"{name} fails" for name in names - listed.keys()]) + sorted(
            f"{name} is listed as failing, but passes" for name in listed.keys() - names
        )


def prepare(clone: Path, work: Path, model: str | None) -> Path:
    """Copy the tests and the package below ``work``, and return the folder of the tests."""
    archive = subprocess.run(["git", "-C", clone, "archive", TAG, "tests"], stdout=subprocess.PIPE, check=True)  # noqa: S603, S607
    subprocess.run(["tar", "-x", "-C", work], input=archive.stdout, check=True)  # noqa: S603, S607
    package = shutil.copytree(ROOT / "python" / "clemcore", work / "package" / "clemcore")
    (work / "clemcore" / "backends").mkdir(parents=True)
    for place in (package / "registry", work / "clemcore" / "backends"):
        shutil.copy(ROOT / "model_registry.json", place)
    (work / "empty").mkdir()
    tests = work / "tests"
    if model is not None:
        for name in NEED_MODELS:
            file = tests / f"{name}.py"
            file.write_text(_MODEL_ID.sub(repr(str(Path(model).absolute())), file.read_text("utf-8")), "utf-8")
    return tests


def run_file(file: Path, work: Path, folder: Path) -> Outcome:
    """Run one file of tests in a process of its own, which starts in a folder."""
    keyword = ["-k", NEED_KEYS[file.stem]] if file.stem in NEED_KEYS else []
    options = ["-q", "--no-header", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-W", "ignore"]
    # Some games use NLTK's data, which are in the home folder.
    data = os.environ.get("NLTK_DATA", str(Path.home() / "nltk_data"))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", *options, *keyword, file],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(work / "package"), "HOME": str(work / "empty"), "NLTK_DATA": data},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    counts = {kind: int(number) for number, kind in _COUNT.findall(done.stdout.rstrip().rpartition("\n")[2])}
    failed = sorted(_PROBLEM.findall(done.stdout))
    if done.returncode not in (0, 1) and not failed:
        failed = [f"{file.name}: pytest ended with {done.returncode}"]
    return Outcome(counts, failed)


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a clone of clp-research/clemcore with its tags")
    parser.add_argument("--model", help="folder of a small local model, for the tests that download one")
    parser.add_argument("--games", type=Path, help="folder of public games, for the tests that play them")
    parser.add_argument("--only", action="append", default=[], help="a file of tests, without .py")
    options = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for file in sorted(prepare(options.clone.absolute(), work, options.model).glob("test_*.py")):
            name = file.stem
            if options.only and name not in options.only:
                continue
            reason = LEFT_OUT.get(name)
            if reason is None and name in NEED_MODELS and options.model is None:
                reason = "needs a local model (--model)"
            if reason is None and name in NEED_GAMES and options.games is None:
                reason = "needs public games (--games)"
            if reason is not None:
                sys.stdout.write(f"{name}: left out: {reason}\n")
                continue
            outcome = run_file(file, work, options.games if name in NEED_GAMES else work / "empty")
            listed = FAIL.get(name, {})
            left_out = outcome.counts.get("deselected", 0)
            sys.stdout.write(
                f"{name}: {outcome.counts.get('passed', 0)} passed, {len(outcome.failed)} failed"
                + (f", {left_out} left out: they need keys" if left_out else "")
                + "\n"
            )
            for line in outcome.unexpected(listed):
                status = 1
                sys.stdout.write(f"  unexpected: {line}\n")
            sys.stdout.flush()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
