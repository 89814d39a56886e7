"""Replicas on Ray: one is killed in the middle of a batch, and all answers are those of one process.

Ray is 486 MB, so it is not part of CI: `make test-ray` installs it into a folder of its own and sets CLEMCORE_RAY.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.ray import _renumbered
from clemcore.backends.replicas.profile import differences, require_alike
from clemcore.errors import ContextExceededError, MissingExtraError, SpecError
from support.remote import HELLO

NO_RAY = not os.environ.get("CLEMCORE_RAY")
# A replica that is started again imports torch, which takes minutes on a busy machine.
# Processes of Ray that did not start are left to it.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore::ResourceWarning")]
needs_ray = pytest.mark.skipif(NO_RAY, reason="CLEMCORE_RAY is not set: run `make test-ray`")


def entry(folder: Path | str, **more: Any) -> dict[str, Any]:
    inner = {
        "model_name": "tiny",
        "backend": "huggingface_local",
        "huggingface_id": str(folder),
        "model_config": {"exactness": "exact"},
    }
    return {"model_name": "tiny-x", "backend": "ray", "model": inner, **more}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of this machine alone; it has more CPUs than the machine, because the replicas take one each."""
    ray: Any = importlib.import_module("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for attempt in range(4):  # on a busy machine, Ray's own processes are not always ready in time
        try:
            ray.init(
                address="local",
                num_cpus=4,
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
            )
            break
        except Exception:
            ray.shutdown()
            if attempt == 3:
                raise
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def two(cluster: None, tiny_chat: Path) -> Iterator[Any]:
    model: Any = backends.get_model_for(entry(tiny_chat, replicas=2))
    yield model
    model.close()


def dialogues(number: int) -> list[Any]:
    return [[{"role": "user", "content": f"Write {index} sentences about a river."}] for index in range(number)]


# -- without Ray -------------------------------------------------------------------------------------------------
def test_ray_is_not_imported_unless_it_is_used() -> None:
    code = "import sys, clemcore.clemgame, clemcore.backends.ray; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.skipif(not NO_RAY, reason="Ray is installed")
def test_without_ray_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"clemcore\[ray\]"):
        backends.get_model_for(entry(tmp_path))


def test_an_entry_without_a_model() -> None:
    with pytest.raises(SpecError, match="'model' is missing"):
        backends.get_model_for({"model_name": "x", "backend": "ray", "replicas": 2})


def test_a_model_with_replicas_of_replicas(tmp_path: Path) -> None:
    inner = entry(tmp_path)
    with pytest.raises(SpecError, match="has replicas itself"):
        backends.get_model_for({"model_name": "y", "backend": "ray", "model": inner})


@pytest.mark.parametrize("replicas", [0, -1, "two", True, 1.5])
def test_a_number_of_replicas_that_is_none(tmp_path: Path, replicas: Any) -> None:
    with pytest.raises(SpecError, match="replicas"):
        backends.get_model_for(entry(tmp_path, replicas=replicas))


def test_an_error_names_the_index_in_the_whole_batch() -> None:
    fault = ContextExceededError("Context token limit for tiny exceeded at batch index 0")
    assert "exceeded at batch index 7 " in str(_renumbered(fault, 7))
    assert _renumbered("a reply", 7) == "a reply"


def test_replicas_that_differ_are_refused_together() -> None:
    first = {
        "threads": 1,
        "libraries": {"torch": "2.15"},
        "weights": {"weights_sha256": "a"},
        "device": {"name": "cpu"},
    }
    other = {**first, "threads": 4, "libraries": {"torch": "2.14"}}
    moved = {**first, "weights": {"weights_sha256": "b"}}
    with pytest.raises(SpecError) as caught:
        require_alike("m", [first, other, moved], ["n1", "n2", "n3"], first)
    assert "replica 1 on n2 differs from the first (threads 1 and 4; libraries.torch 2.15 and 2.14)" in str(
        caught.value
    )
    assert "replica 2 on n3 differs from the first (weights.weights_sha256 a and b)" in str(caught.value)
    assert not differences(first, dict(first))


# -- with Ray ----------------------------------------------------------------------------------------------------
@needs_ray
def test_too_few_gpus(cluster: None, tiny_chat: Path) -> None:
    with pytest.raises(SpecError, match=r"2 replicas need 4 GPUs \(2 each\), and the cluster has 0"):
        backends.get_model_for(entry(tiny_chat, replicas=2, gpus_per_replica=2))


@needs_ray
def test_too_few_cpus(cluster: None, tiny_chat: Path) -> None:
    with pytest.raises(SpecError, match=r"need 32 CPUs \(16 each\), and the cluster has 4"):
        backends.get_model_for(entry(tiny_chat, replicas=2, threads_per_replica=16))


@needs_ray
def test_a_replica_is_killed_in_the_middle_of_a_batch(two: Any, tiny_chat: Path, tmp_path: Path) -> None:
    asked = dialogues(40)
    alone: Any = backends.get_model_for(entry(tiny_chat)["model"])
    expected = [alone.generate_response(messages).text for messages in asked]
    victim = two._pool.processes()[1]

    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.02)
            if (tmp_path / "r.json").exists() and (tmp_path / "r.json").read_text().count('"timestamp"') > 5:
                break
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with backends.record(tmp_path / "r.json"):
        found = two.generate_batch_response(asked)
    killer.join()
    assert [reply.text for reply in found] == expected, "all answers, in order, as those of one process"
    calls = json.loads((tmp_path / "r.json").read_text())
    assert sorted(call["clemcore"]["batch"]["index"] for call in calls) == list(range(40)), "none twice"
    again = [call for call in calls if "asked_again" in call["clemcore"]["replica"]]
    assert again
    assert {call["clemcore"]["replica"]["number"] for call in calls} == {0, 1}
    assert victim not in two._pool.processes()


@needs_ray
def test_a_dialogue_stays_with_its_replica(two: Any) -> None:
    scopes = [backends.scope(game="g", experiment="x", episode=number, player="A") for number in range(6)]
    histories: list[list[dict[str, str]]] = dialogues(6)
    homes: list[set[int]] = [set() for _ in scopes]
    for _ in range(3):
        for index, reply in enumerate(two.generate_batch_response(histories, scopes=scopes)):
            homes[index].add(reply.facts["replica"]["number"])
            histories[index] += [{"role": "assistant", "content": reply.text}, *HELLO]
    assert all(len(each) == 1 for each in homes)
    assert {number for each in homes for number in each} == {0, 1}


@needs_ray
def test_a_call_that_fails_fails_alone(two: Any) -> None:
    asked = [HELLO, [{"role": "user", "content": "word " * 2000}], HELLO]
    found = two.generate_batch_response(asked, return_exceptions=True)
    assert type(found[1]).__name__ == "ContextExceededError"
    assert found[0].text == found[2].text != ""


@needs_ray
def test_generation_arguments_reach_the_replicas(two: Any) -> None:
    short = two.generate_response(HELLO, gen_args={"max_tokens": 2})
    assert len(short.response["output_ids"]) == 2
    assert short.facts["replica"]["threads"] == 1
