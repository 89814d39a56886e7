"""The main job in one go: a dialogue and two games, with a real local model and the same model behind a server.

Run it with ``make demo``, which sets up everything. It makes a working folder with a model registry of two entries,
asks both models the same question through the same call, shows both tuples, and leaves ``requests.json``. Then it
plays the games of ``examples/games`` with the mock and with both models. It kills each run halfway, resumes it and
scores it. At the end it shows the table of all models, and where the page of an episode is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from killed_run import CLEM, KilledRun, RunError, play, play_and_kill, prepare, run
from model import DemoModelError, ensure_model
from server import Server, ServerError, serve

from clemcore import backends

WORK = Path(__file__).resolve().parents[2] / "build" / "demo"

MESSAGES = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]


def registry(folder: Path, base_url: str, served_name: str) -> list[dict[str, Any]]:
    """The working directory's registry: the model run in this process, and the same model behind the server."""
    return [
        {
            "model_name": "smollm2-local",
            "backend": "huggingface_local",
            "huggingface_id": str(folder),
            "context_size": "8k",
            "model_config": {
                "premade_chat_template": True,
                "eos_to_cull": "<\\|im_end\\|>",
                "padding_side": "left",
                "dtype": "float32",
            },
        },
        {
            "model_name": "smollm2-served",
            "backend": "openai_compatible",
            "model_id": served_name,
            "base_url": base_url,
            "context_size": "8k",
            "model_config": {"requires_api_key": False},
        },
    ]


def show(title: str, value: object) -> None:
    """Print one part of a tuple, long ones cut in the middle."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > 600:
        text = f"{text[:400]} … {text[-180:]}"
    print(f"  {title:<14} {text}")


def talk() -> bool:
    """Ask both models the same question; return whether both gave the same answer."""
    texts, tokens = [], []
    Path("requests.json").unlink(missing_ok=True)
    with backends.record("requests.json") as recorder:
        for name in ("smollm2-local", "smollm2-served"):
            model = backends.get_model_for({"model_name": name, "max_tokens": 50})
            reply = model.generate_response(MESSAGES)
            prompt, response, response_text = reply
            print(f"\n{name} ({model.model_spec.backend})")
            show("prompt", prompt)
            show("response", response)
            show("response_text", response_text)
            texts.append(response_text)
            tokens.append(reply.facts["usage"]["input_tokens"])
            del model
    print(f"\nprompt tokens: {tokens[0]} counted here, {tokens[1]} reported by the server")
    print(f"{recorder.count} calls recorded in {recorder.path}")
    same = texts[0] == texts[1] and tokens[0] == tokens[1] and "Canberra" in texts[0]
    print("both gave the same answer" if same else "the answers differ: this is not what should happen")
    return same


def play_with_mock() -> bool:
    """Play many episodes with the mock, with and without a kill; return whether the same happened in them."""
    many = ["--epochs", "20"]
    print("\nplaying word_dominoes and lineup with the mock …", flush=True)
    killed = play_and_kill(WORK, "mock", 720, many)
    tell(killed)
    same = killed.turns() == play(WORK, "mock", many, "without-kill").turns()
    print("a run without a kill gave the same episodes" if same else "a run without a kill gave other episodes")
    return same and killed.finished == 720


def play_with_models(server: Server) -> bool:
    """Play a few episodes with both models; return whether all were finished and no call was sent twice."""
    few = ["-i", "small", "-l", "6"]
    print("\nplaying word_dominoes and lineup with smollm2-local …", flush=True)
    local = play_and_kill(WORK, "smollm2-local", 6, few)
    tell(local)
    before = posts(server)
    print("\nplaying word_dominoes and lineup with smollm2-served …", flush=True)
    served = play_and_kill(WORK, "smollm2-served", 6, [*few, "--concurrency", "2"])
    tell(served)
    sent = posts(server) - before
    # A call that is under way at the kill has no answer yet, so it is sent again: at most one per live episode.
    print(f"the server was asked {sent} times for {served.requests()} answers; 2 calls may be live at the kill")
    return local.finished == served.finished == 6 and sent <= served.requests() + 2


def posts(server: Server) -> int:
    """Count the calls in the log of the server."""
    return server.log.read_text(encoding="utf-8", errors="replace").count("POST /v1/chat/completions")


def tell(run: KilledRun) -> None:
    """Print what became of a run."""
    print(f"  killed with {run.finished_before} episodes finished, resumed, now {run.finished} in {run.folder}")
    for line in run.table():
        print(f"  {line}")


def show_results() -> None:
    """Evaluate and transcribe what was played, and print where to find it."""
    print("\nthe table of all models (model, clemscore, its 95 % interval, % played, quality score):", flush=True)
    print(run(WORK, [CLEM, "eval"]), end="")
    for model in ("smollm2-local", "smollm2-served"):
        run(WORK, [CLEM, "transcribe", "-r", f"results/{model}"])
    page = min((WORK / "results" / "smollm2-local").rglob("transcript.html"))
    print(f"{WORK / 'results' / 'results.html'} has it by game; {page} shows an episode")
    whole = run(WORK, [CLEM, "page", "results"]).strip()
    print(f"the page of all games, with every episode and every call: {whole}")


def main() -> int:
    """Set up, talk, play; the exit status tells whether everything went as it should."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = ensure_model()
    WORK.mkdir(parents=True, exist_ok=True)
    for results in ("results", "without-kill"):
        shutil.rmtree(WORK / results, ignore_errors=True)
    os.chdir(WORK)
    prepare(WORK)
    print(f"starting `transformers serve` on the loopback address with {folder.name} …", flush=True)
    with serve(folder) as server:
        entries = registry(folder, server.base_url, server.model)
        Path("model_registry.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        went_well = [talk(), play_with_mock(), play_with_models(server)]
    show_results()
    return 0 if all(went_well) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DemoModelError, ServerError, RunError) as error:
        sys.exit(f"error: {error}")
