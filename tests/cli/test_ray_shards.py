"""`clem run --ray`: shards as tasks of a Ray cluster, one of whose workers is killed.

Ray is 486 MB, so it is not part of CI: `make test-ray` installs it into a folder of its own and sets CLEMCORE_RAY.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store import RunReader
from clemcore.clemgame.store.manifest import versions
from clemcore.cli.ray_jobs import different_versions, play_shard
from clemcore.errors import StoreError
from support.clem import CLEM, Clem
from support.echo_game import write_game

NO_RAY = not os.environ.get("CLEMCORE_RAY")
needs_ray = pytest.mark.skipif(NO_RAY, reason="CLEMCORE_RAY is not set: run `make test-ray`")


def test_ray_needs_the_number_of_shards(clem: Clem) -> None:
    write_game(Path())
    done = clem("run", "-g", "echo", "-m", "mock", "--ray")
    assert done.returncode == 2
    assert "--ray plays the shards of a run: say how many with --jobs N" in done.stderr


def test_missing_ray_is_told(clem: Clem) -> None:
    if importlib.util.find_spec("ray") is not None:
        pytest.skip("Ray is installed")
    write_game(Path())
    done = clem("run", "-g", "echo", "-m", "mock", "--jobs", "2", "--ray", "10.0.0.1:6379")
    assert done.returncode == 2
    assert "--ray needs the package 'ray', which is not installed: pip install 'clemcore[ray]'" in done.stderr


def test_a_worker_with_other_packages_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = versions()
    other = {**mine, "python": "3.9.1", "packages": {**mine["packages"], "pytest": "1.0"}}
    assert different_versions(mine, mine) == []
    assert play_shard(RunSettings(), str(tmp_path), "1/2", other) == 2
    told = capsys.readouterr().err
    assert "has other versions: python 3.9.1 and" in told
    assert "pytest 1.0 and" in told
    assert "Install the same packages on all machines" in told


def test_a_worker_without_the_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play_shard(RunSettings(), str(tmp_path / "none"), "1/2", versions()) == 2
    assert "cannot use" in capsys.readouterr().err


def _evaluated(clem: Clem, results: str) -> Any:
    assert clem("score", "-r", results).returncode == 0
    assert clem("eval", "-r", results).returncode == 0
    return json.loads(Path(results, "results.json").read_bytes())["models"]


@needs_ray
@pytest.mark.timeout(900)
def test_a_run_on_ray_whose_worker_is_killed_is_that_of_one_process(clem: Clem) -> None:
    write_game(Path(), rounds=12, instances=12)
    master = Path() / "echo" / "master.py"
    master.write_text("import time\n" + master.read_text().replace("self._custom += 1", "time.sleep(0.05)"))
    command = ["run", "-g", "echo", "-m", "mock"]
    assert clem(*command, "-r", "one").returncode == 0
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    run = subprocess.Popen(
        [CLEM, *command, "-r", "ray", "--jobs", "2", "--ray", "local"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killed = None
    end = time.monotonic() + 300
    while killed is None and time.monotonic() < end and run.poll() is None:
        time.sleep(0.2)
        try:
            with RunReader("ray/mock") as reader:
                states = [state.state for state in reader.states().values()]
                pids = [writer["pid"] for writer in reader.writers()]
        except StoreError:  # there is no store yet
            continue
        # Both are playing: the one that is killed leaves an episode behind.
        if "played" in states and states.count("live") == len(pids) == 2:
            killed = int(str(pids[0]))
            os.kill(killed, signal.SIGKILL)
    told, _ = run.communicate(timeout=600)
    assert killed is not None, told
    assert run.returncode == 0, told
    assert _evaluated(clem, "ray") == _evaluated(clem, "one")
    with RunReader("ray/mock") as reader:
        ended = reader.states().values()
    assert {state.state for state in ended} == {"played"}
    assert max(state.attempts for state in ended) == 2, "an episode was played on by another worker"
