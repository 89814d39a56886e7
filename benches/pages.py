"""Measures large results: `python benches/pages.py [--episodes N] [--folder FOLDER] [--skip PART]`.

It makes a synthetic run of N episodes (400,000 by default, with 12.5 calls each). Then it runs `clem eval` on it
and on a run of a tenth of that size, writes its page as a folder, and opens the page in headless Chromium. It
prints what is measured and what is wanted; the exit status is 1 if something is missed. Times of `clem eval` are
those of the processor. `--skip PART` leaves a part out: `eval`, `parquet` (`clem eval` with
Parquet files) or `page`. With `--sizes`, only bytes of memory and of files can be missed: times of a
busy machine say nothing.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clemcore.clemgame.pages.folder import write_folder
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.store import RunStore, StoredCall
from clemcore.clemgame.store.frames import call_frame, packed
from clemcore.clemgame.store.pieces import Cutter
from support.chromium import PROGRAM, moved

CHROMIUM = PROGRAM
MODELS, GAMES, EXPERIMENTS = 20, 10, 5
# Bodies of a game that differ; all episodes have one of them.
VARIANTS = 50
# Numbers of pieces that bodies share; a run has lower ones of its own.
_FIRST_PIECE = 1_000_000
# Bytes that are loaded at the start, bytes of memory of the page, and those of `clem eval`.
LOADED, MEMORY, MEMORY_OF_EVAL = 5_000_000, 300_000_000, 2_000_000_000
# How many times the time of a tenth `clem eval` may take.
TIMES_OF_A_TENTH = 12.0


def make_runs(results: Path, episodes: int) -> None:
    """Write runs of as many episodes, one for each model, as the store keeps them."""
    shared: dict[bytes, int] = {}
    bodies = {game: [_body(game, variant, shared) for variant in range(VARIANTS)] for game in range(GAMES)}
    for model in range(MODELS):
        _make_run(results / f"model-{model:02}", model, episodes // MODELS, bodies, shared)


def _make_run(
    folder: Path, model: int, episodes: int, bodies: dict[int, list[tuple[int, bytes]]], shared: dict[bytes, int]
) -> None:
    folder.mkdir(parents=True)
    luck = random.Random(model)  # noqa: S311 - scores of a benchmark
    instances = max(1, episodes // (GAMES * EXPERIMENTS))
    keys = [
        EpisodeKey(f"game_{game}", f"level_{experiment}", instance, 1)
        for game in range(GAMES)
        for experiment in range(EXPERIMENTS)
        for instance in range(instances)
    ]
    with RunStore.open(folder) as store:
        planned = (PlannedEpisode(key, {"name": key.experiment}, {"game_id": key.game_id, "language": "en"}, place)
                   for place, key in enumerate(keys))  # fmt: skip
        store.plan(planned)
    ended = "2026-01-02T03:04:05+00:00"
    usage = json.dumps({"usage": {"calls": 12, "input_tokens": 3000, "output_tokens": 300, "usd": 0.004}})
    connection = sqlite3.connect(folder / "store.sqlite3")
    with connection:
        pieces = ((number, hashlib.sha256(piece).digest(), packed(piece)) for piece, number in shared.items())
        connection.executemany("INSERT INTO pieces VALUES (?, ?, ?)", pieces)
        for number, key in connection.execute("SELECT id, game FROM episodes").fetchall():
            length, body = luck.choice(bodies[int(key.removeprefix("game_"))])
            state = luck.choices(("played", "error", "limit"), (97, 2, 1))[0]
            connection.execute("INSERT INTO finished VALUES (?, ?, ?)", (number, length, body))
            error = (
                None if state == "played" else json.dumps({"type": "TimeoutError", "message": f"after {number} s"})
            )
            connection.execute(
                "UPDATE episodes SET state = ?, attempts = 1, ended = ?, error = ?, facts = ? WHERE id = ?",
                (state, ended, error, usage, number),
            )
            if state == "played":
                connection.execute("INSERT INTO scores VALUES (?, ?)", (number, packed(_scores(luck, model))))
    connection.close()


def _scores(luck: random.Random, model: int) -> bytes:
    aborted = int(luck.random() < 0.1)
    score = float("nan") if aborted else round(min(100.0, max(0.0, luck.gauss(40 + 2 * model, 20))), 2)
    scores = {"Aborted": aborted, "Lose": int(not aborted and score < 30), "Main Score": score}
    return json.dumps({"episode scores": scores}).encode()


def _body(game: int, variant: int, shared: dict[bytes, int]) -> tuple[int, bytes]:
    """Return the interactions of an episode with 12 or 13 calls and their frames, as the store keeps them."""
    luck = random.Random(game * VARIANTS + variant)  # noqa: S311 - texts of a benchmark
    words = [f"word{number}" for number in range(500)]
    dialogue: list[dict[str, str]] = []
    turns, frames = [], []
    cutter = Cutter(lambda piece: shared.setdefault(piece, _FIRST_PIECE + len(shared)))
    for number in range(12 + variant % 2):
        said, answer = (" ".join(luck.choices(words, k=size)) for size in (40, 12))
        dialogue.append({"role": "user", "content": said})
        record = {
            "timestamp": "2026-01-02T03:04:05+00:00",
            "manipulated_prompt_obj": {"model": "m", "messages": dialogue, "temperature": 0.0},
            "raw_response_obj": {"choices": [{"message": {"role": "assistant", "content": answer}}]},
            "clemcore": {"duration_seconds": 1.5, "response_text": answer, "cost": {"usd": 0.0003},
                         "usage": {"input_tokens": 250, "output_tokens": 25}},
        }  # fmt: skip
        call = StoredCall(number, "Player 1", number, "model", "", answer, json.dumps(record).encode(), 1)
        frames.append(call_frame(call, cutter))
        dialogue.append({"role": "assistant", "content": answer})
        turns.append([
            {"from": "GM", "to": "Player 1", "action": {"type": "send message", "content": said}},
            {"from": "Player 1", "to": "GM", "action": {"type": "get message", "content": answer}},
            {"from": "GM", "to": "GM", "action": {"type": "parse", "content": answer[:20]}},
        ])  # fmt: skip
    players = {"GM": {"game_role": "Game Master"}, "Player 1": {"game_role": "Guesser", "model_name": "m"}}
    interactions = json.dumps({"meta": {"game_name": f"game_{game}"}, "players": players, "turns": turns}).encode()
    return len(interactions), packed(b"".join([interactions, *frames]))


def measure_eval(
    folder: Path, results: Path, episodes: int, *, skips_parquet: bool
) -> Iterator[tuple[str, float, float]]:
    """Evaluate results and a tenth of them; give names, what was measured and what is wanted at most."""
    tenth = folder / "tenth"
    if not tenth.exists():
        make_runs(tenth, episodes // 10)
    for arguments in [["--no-parquet"], *([] if skips_parquet else [["--parquet"]])]:
        (seconds, memory), (of_tenth, _) = (_evaluated(each, arguments) for each in (results, tenth))
        name = " ".join(["clem eval", *arguments])
        yield f"{name}: times the {of_tenth:.1f} s of CPU of a tenth", seconds / of_tenth, TIMES_OF_A_TENTH
        yield f"{name}: bytes of memory", memory, MEMORY_OF_EVAL


def _evaluated(results: Path, arguments: list[str]) -> tuple[float, float]:
    """Evaluate results from the start; return the seconds of the processor and the bytes of memory that it took."""
    for file in (*results.glob("*.parquet"), results / ".results.intervals", results / "raw.csv"):
        file.unlink(missing_ok=True)
    clem = str(Path(sys.executable).parent / "clem")
    command = [clem, "eval", "-r", str(results), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0


def _memory_of(browser: Any) -> float:
    """Return the bytes of the largest process that shows a page; of memory that it shares, it counts its part."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    lines = (
        Path(f"/proc/{each['id']}/smaps_rollup").read_text().splitlines()
        for each in processes
        if each["type"] == "renderer"
    )
    return max(int(line.split()[1]) * 1024.0 for each in lines for line in each if line.startswith("Pss:"))


def measure(page_file: Path) -> Iterator[tuple[str, float, float]]:
    """Open a page in Chromium; give names, what was measured and what is wanted at most."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        loaded: list[str] = []
        page.on("requestfinished", lambda request: loaded.append(request.url))
        ready = functools.partial(page.wait_for_selector, "main[aria-busy=false]")

        def timed(act: Callable[[], Any], until: str | None = None) -> float:
            begin = time.perf_counter()
            act()
            page.wait_for_selector(until) if until else ready()
            return time.perf_counter() - begin

        yield "seconds until the page is open", timed(lambda: page.goto(page_file.as_uri())), 2.0
        local = [Path(url.removeprefix("file://")) for url in loaded if url.startswith("file:")]
        yield "bytes loaded at the start", sum(path.stat().st_size for path in local), LOADED
        yield "bytes of memory at the start", _memory_of(browser), MEMORY
        ids = page.evaluate("JSON.parse(document.querySelector('#start').textContent).ids")
        yield "seconds to filter the leaderboard", moved(page, f"#view=table&x={ids['experiments'][1]}"), 0.2
        yield "seconds to sort the leaderboard", moved(page, "#view=table&sort=-2"), 0.2
        first = moved(page, "#view=episodes")
        yield "seconds until all episodes are listed for the first time", first, 2.0
        yield "seconds to filter all episodes", moved(page, f"#view=episodes&m={ids['models'][3]}&o=l"), 0.2
        yield "seconds to sort all episodes by their scores", moved(page, "#view=episodes&sort=-6"), 0.2
        yield "seconds to sort all episodes by their models", moved(page, "#view=episodes&sort=0"), 0.2
        page.goto(f"{page_file.as_uri()}#view=episodes")
        ready()
        yield "seconds to open an episode", timed(lambda: page.locator("tbody a").nth(50).click(), ".message"), 1.0
        yield "bytes of memory at the end", _memory_of(browser), MEMORY
        browser.close()


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=400_000)
    parser.add_argument("--folder", help="where to write, and what is used again; by default a temporary folder")
    parser.add_argument("--skip", action="append", default=[], choices=("eval", "parquet", "page"))
    parser.add_argument("--sizes", action="store_true", help="only what is measured in bytes can be missed")
    arguments = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        results, page = folder / "results", folder / "page"
        _timed(results, lambda: make_runs(results, arguments.episodes))
        measured: list[Iterator[tuple[str, float, float]]] = []
        if "eval" not in arguments.skip:
            skips_parquet = "parquet" in arguments.skip
            measured.append(measure_eval(folder, results, arguments.episodes, skips_parquet=skips_parquet))
        if "page" not in arguments.skip:
            _timed(page, lambda: write_folder([results], page))
            measured.append(measure(page / "index.html"))
        for name, found, most in (each for part in measured for each in part):
            missed += found > most and ("bytes" in name or not arguments.sizes)
            print(f"{name}: {found:,.3f} (wanted: at most {most:,})", flush=True)
    return int(bool(missed))


def _timed(path: Path, act: Callable[[], Any]) -> None:
    """Make a folder unless it is there, and print what it took."""
    if path.exists():
        return
    begin, cpu = time.perf_counter(), time.process_time()
    act()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    took = f"{time.perf_counter() - begin:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    print(f"{path.name}: {took}, {size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    raise SystemExit(main())
