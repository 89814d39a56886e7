"""A template that works without end, or on very large values, is ended early: in time, in memory, by Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core
from clemcore.errors import TemplateError
from clemcore.prompts.proof.cases import Case
from clemcore.prompts.proof.compare import BoundsError
from clemcore.prompts.proof.make import OurEngine
from clemcore.prompts.templates import ChatTemplate, isolation
from support import hostile_templates
from support.hostile_templates import MEBIBYTES, expressions, names

TESTS = Path(__file__).parent.parent
# Templates of the table that one run of the suite renders; the command renders all.
SAMPLE, GROUPS = 560, 4
# Seconds of one template of the table. A render ends after half a second; there is room for a slow machine.
MOST = 10.0


def run(*arguments: str, seconds: float = 240.0) -> str:
    """Run Python in a process of its own, which may be killed; give what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=seconds, check=False, cwd=TESTS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def refused(source: str, **variables: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        _core.TemplateCore(source).render_context([variables])
    return str(caught.value)


def test_the_table_has_every_filter_test_and_method() -> None:
    filters, tests = names()
    table = list(expressions())
    for name in filters:
        assert any(line.startswith(f"v|{name}") for line in table), name
    for name in tests:
        assert any(line.startswith(f"v is {name}") for line in table), name
    assert sum(line.startswith("v.") for line in table) > 80


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the worker reads its size from /proc")
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_builtin_ends_on_large_values_within_time_and_memory(group: int) -> None:
    day = datetime.now().toordinal()
    program = str(Path(hostile_templates.__file__))
    told = json.loads(run(program, "--sample", str(SAMPLE), "--seed", str(day), str(group), str(GROUPS)))
    counts = told["counts"]
    assert sum(counts.values()) == SAMPLE // GROUPS
    assert counts["error"] > 20, counts
    assert [case for case in told["slow"] if case[1] > MOST] == []
    assert told["grown"] < 1.5 * MEBIBYTES, told


@pytest.mark.parametrize(
    "source",
    [
        "{% set s = ' ' * 9000000 %}{% for i in range(100000) %}{% set x = s.strip() %}{% endfor %}",
        "{% set s = 'x' * 1000000 %}{% set l = [s ~ 'a'] * 20000 %}{{ l|sort|length }}",
        "{% set s = 'x' * 1000000 %}{{ ([s] * 20000)|tojson|length }}",
        "{% set s = 'x' * 1000000 %}{{ (s * 17)|length }}",
        "{% set l = [[[['x'] * 99] * 99] * 99] * 99 %}{{ l == [[[['x'] * 99] * 99] * 99] * 99 }}",
        "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = ns.l + ['x' * 99999] %}{% endfor %}",
        "{% set d = dict.fromkeys(range(90000)) %}{% for i in range(90000) %}{% if d[i] %}{% endif %}{% endfor %}",
        "{% set k = 'k' * 3000000 %}{% set d = {k: 1} %}{% for i in range(90000) %}{% set x = d[k] %}{% endfor %}",
        "{{ strftime_now('%999A' * 90000) }}",
    ],
)
def test_work_that_nothing_is_made_of_is_paid_for(source: str) -> None:
    core = _core.TemplateCore(source)
    # On a slow machine, half a second is over before the steps are; only work that is paid for sees the clock.
    why = r"too many steps or too much memory|output grows too large|takes too long"
    began = time.process_time()
    with pytest.raises(TemplateError, match=why):
        core.render_context([{}], (2026, 3, 7, 14, 5, 9, 0))
    assert time.process_time() - began < 5


def test_a_comparison_that_is_not_finished_decides_nothing() -> None:
    # Texts that differ in their last character only; the comparison that is refused is the last of the template.
    start = "{% set a = 'x' * 9000000 ~ 'a' %}{% set b = 'x' * 9000000 ~ 'b' %}"
    source = f"{start}{{{{ [{', '.join(['a == b'] * 99)}]|length }}}}"
    assert refused(source) == "the template takes too many steps or too much memory to render"
    assert refused(f"{start}{{{{ a in [{', '.join(['b'] * 99)}] }}}}") == refused(source)


def test_a_large_input_may_take_longer_but_not_for_ever() -> None:
    text = "ab \u00e9" * 600_000
    assert _core.TemplateCore("{{ text|length }}{{ text|upper|trim|length }}").render_context([{"text": text}])[0]
    work = "{% for i in range(99999) %}{% set x = text.upper() %}{% endfor %}"
    assert "too long to render" in refused(work, text=text)
    template = ChatTemplate("{% for i in range(99999) %}{% set x = messages[0].content.upper() %}{% endfor %}")
    with pytest.raises(TemplateError, match="too long to render"):
        template.render([{"role": "user", "content": text}])
    with pytest.raises(TemplateError, match="too long to render") as caught:
        template.render_batch([[{"role": "user", "content": "x"}], [{"role": "user", "content": text}]])
    assert caught.value.conversation == 1


def test_each_conversation_of_a_batch_has_time_of_its_own() -> None:
    source = "{% for i in range(6000) %}{% set x = i %}{% for j in range(99) %}{% endfor %}{% endfor %}done"
    chat = [{"role": "user", "content": "x"}]
    assert ChatTemplate(source).render_batch([chat] * 6) == ["done"] * 6


def test_a_render_that_takes_too_long_is_no_matter_for_transformers() -> None:
    source = "{% for i in range(99999) %}{% set x = messages[0].content.upper() %}{% endfor %}"

    case = Case("long", [{"role": "user", "content": "ab \u00e9" * 600_000}])
    with pytest.raises(BoundsError, match="too long to render"):
        OurEngine(source, {}, datetime.now())(case)


def test_a_long_render_gives_the_text_of_a_short_one() -> None:
    source = "{% for m in messages %}{% for i in range(n) %}{% endfor %}{{ m.content }}|{% endfor %}"
    template = ChatTemplate(source)
    messages = [{"role": "user", "content": f"é{number}"} for number in range(20)]
    short = template.render(messages, n=1)
    assert template.render(messages, n=20_000) == short
    assert template.render_batch([messages] * 3, n=20_000) == [short] * 3


WATCHED = """
import os, signal, sys, threading, time
from clemcore.prompts.templates import ChatTemplate, isolation

template = ChatTemplate("{% for i in range(99999) %}{% set x = messages[0].content.upper() %}{% endfor %}")
chat = [{"role": "user", "content": "ab \\u00e9" * 600_000}]
turns, sent, stop = 0, 0.0, False


def other():
    global turns, sent
    began = time.monotonic()
    while not stop:
        turns += 1
        time.sleep(0.001)
        if not sent and time.monotonic() - began > 0.2:
            sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)


thread = threading.Thread(target=other)
thread.start()
caught = 0.0
try:
    CALL
except KeyboardInterrupt:
    caught = time.monotonic()
stop = True
thread.join()
print(caught - sent, turns)
"""


@pytest.mark.parametrize(
    "call",
    ["template.render(chat)", "template.render_batch([chat] * 50)", "template.render_batch(iter([chat] * 50))"],
)
def test_ctrl_c_ends_a_long_render_and_other_threads_go_on(call: str) -> None:
    waited, turns = run("-c", WATCHED.replace("CALL", call)).split()
    # A tenth of a second where the machine is idle.
    assert 0 <= float(waited) < 5
    assert int(turns) > 5


NESTED = """
import signal
from clemcore.errors import TemplateError
from clemcore.prompts.templates import ChatTemplate, isolation

slow = ChatTemplate("{% for i in range(99999) %}{% set x = messages[0].content.upper() %}{% endfor %}")
other = ChatTemplate("{% for i in range(30000) %}{% endfor %}{{ messages[0].content }}")
chat = [{"role": "user", "content": "ab \\u00e9" * 600_000}]
texts = []


def handle(*_):
    chat[0].clear()
    texts.append(other.render([{"role": "user", "content": "within"}]))
    try:
        slow.render([{"role": "user", "content": "\\u00e9" * 3_000_000}])
    except TemplateError as fault:
        texts.append(str(fault))


signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.15)
try:
    slow.render(chat)
except TemplateError as fault:
    texts.append(str(fault))
assert texts == ["within", "the template takes too long to render", "the template takes too long to render"], texts
"""


def test_a_signal_handler_may_change_the_messages_and_render_others() -> None:
    run("-c", NESTED)


# jinja2 has to render this, because the core makes no bytes.
ENCODING = "{% set c = messages[0].content %}{% for i in range(n) %}{% set x = c.encode() %}{% endfor %}{{ c[:3] }}"


@pytest.mark.slow
@pytest.mark.parametrize("work", ["encode()", "encode('utf-16').hex()", "|pprint"])
def test_work_in_jinja2_is_limited_like_ours(work: str) -> None:
    source = ENCODING.replace("encode()", work).replace(".|", "|")
    template = ChatTemplate(source)
    with pytest.raises(TemplateError, match=r"more than 0\.5 s of processor time"):
        template.render([{"role": "user", "content": "ab \u00e9" * 600_000}], n=3_000)
    assert template.engine == "jinja2"
    assert template.render([{"role": "user", "content": "abcd"}], n=1) == "abc", "it is started again"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1e-6, 0.03, 0.1])
def test_an_interrupted_render_in_jinja2_leaves_no_answer_for_the_next(seconds: float) -> None:
    template = ChatTemplate(ENCODING)
    assert template.render([{"role": "user", "content": "one"}], n=1) == "one"

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    def render_for_a_while() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        template.render([{"role": "user", "content": "two" * 1_000_000}], n=3000)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            render_for_a_while()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for text in ("six", "ten"):
        assert template.render([{"role": "user", "content": text}], n=1) == text


@pytest.mark.slow
def test_a_start_of_jinja2_that_is_interrupted_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    template = ChatTemplate(ENCODING)
    write = isolation._write

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(isolation, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        template.render([{"role": "user", "content": "one"}], n=1)
    monkeypatch.setattr(isolation, "_write", write)
    assert template.render([{"role": "user", "content": "two"}], n=1) == "two"
