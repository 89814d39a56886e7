"""Python code that runs at the worst moment cannot take away what a render borrows.

Each test runs in a process of its own, because a failure may be a crash. ``CLEMCORE_STRESS_SECONDS`` sets how long
the stress test runs, 60 by default.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# An exception that PyO3 drops late, and whose finalizer changes the messages: see the two tests that use it.
LATE = '''
from clemcore import _core
from clemcore.errors import ClemcoreError
from clemcore.templates import ChatTemplate


class Warm(ChatTemplate):
    """Raises what it is given where a render asks for the time, which the Rust code may drop."""

    def _moment(self):
        raise self.__dict__.pop("pending")

    def _render_slowly(self, *_):
        return ""


warm = Warm("{{ strftime_now('%Y') }}")


def leave_behind(action):
    class Last(_core.NotPlainError):
        def __del__(self):
            action()

    warm.pending = Last()
    try:
        warm.render([{"role": "user", "content": "x"}])
    except _core.NotPlainError:
        pass


leave_behind(lambda: None)
leave_behind(lambda: None)


def attack(template, odd, change):
    """Render a message with a text, and one with something odd; change the messages at the worst moment."""
    for number in range(50):
        text = f"{number} secret " * 2000
        messages = [{"role": "user", "content": text[:-1] + "."}, {"role": "user", "content": odd}]
        right = template.render(messages)
        del text
        armed, others = False, []

        def action():
            if armed:
                change(messages)
                others.extend(f"another object {place}" * 3000 for place in range(20))

        leave_behind(action)
        armed = True
        try:
            assert template.render(messages) == right
        except ClemcoreError:
            pass
        armed = False
'''

TEXTS = "{% for m in messages %}{{ m.content }}{% endfor %}"
ODD = {
    # The core asked Python for the digits.
    "a very large integer": (TEXTS, "10**30"),
    # The core asked Python whether it is printable, because it is newer than the tables.
    "a new character": ("{{ [messages[1].content] }}" + TEXTS, r"'\U0001FAE8'"),
}
CHANGES = {
    "clear": "lambda messages: messages.clear()",
    "replace": "lambda messages: messages[0].update(content='short')",
    "remove": "lambda messages: messages[0].pop('content')",
}


def run(code: str, seconds: float = 60.0) -> None:
    """Run a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("odd", ODD)
def test_a_reference_that_is_dropped_late_changes_no_render(odd: str, change: str) -> None:
    template, value = ODD[odd]
    run(f"{LATE}\nattack(ChatTemplate({template!r}), {value}, {CHANGES[change]})")


def test_a_collection_during_reading_changes_no_render() -> None:
    # A lone surrogate makes an exception in CPython, and up to Python 3.11 the collector may run then.
    run("""
import gc
from clemcore.templates import ChatTemplate

template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
ends = 0


class Circle:
    def __init__(self, action):
        self.itself, self.action = self, action

    def __del__(self):
        global ends
        ends += 1
        self.action()


for number in range(300):
    messages = [{"role": "user", "content": f"{number} secret " * 500} for _ in range(3)]
    messages += [{"role": "user", "content": "\\ud800"}]
    gc.disable()
    Circle(messages.clear)
    gc.set_threshold(1)
    gc.enable()
    try:
        template.render(messages)
    except ValueError:
        pass
    gc.set_threshold(700)
assert ends == 300, ends
""")


def test_very_large_integers_are_written_as_python_writes_them() -> None:
    run("""
import sys
from clemcore.templates import ChatTemplate

template = ChatTemplate("{% for m in messages %}{{ m.content }},{{ m.content + 1 }};{% endfor %}")
numbers = [10**30, -(10**30), 2**63, -(2**63) - 1, 10**4299, -(10**4299), 2**64 - 1]
text = template.render([{"role": "user", "content": number} for number in numbers])
assert text == "".join(f"{number},{number + 1};" for number in numbers)
assert template.engine == "clemcore"
""")


STRESS = r"""
import gc
import random
import sys
import threading
import time

from clemcore.errors import ClemcoreError
from clemcore.templates import ChatTemplate

SECONDS = float(sys.argv[1])
SOURCES = [
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",
    "{% for m in messages %}{{ [m.content] }}{% endfor %}{{ tools }}",
    "{% for m in messages %}{{ m.content | trim }}{{ m.extra | tojson }}{% endfor %}{{ messages | length }}",
    "{{ messages }}{{ documents }}{{ x }}",
    "{% for m in messages %}{{ '{:.70000f}'.format(1.5) | length }}{{ m.content.split(' ') | last }}{% endfor %}",
]
ALPHABET = ["a", "secret ", "\xe9", "\u20ac", "\U0001f600", "\U0001fae8", "\n"]
end = time.monotonic() + SECONDS
counts = {"text": 0, "error": 0, "finalized": 0}
failures = []
hostages = []


class Finalizer:
    '''Changes messages that a render may be reading, when it is dropped or collected.'''

    def __init__(self, messages, rng):
        self.itself, self.messages, self.rng = self, messages, rng

    def __del__(self):
        counts["finalized"] += 1
        rng, messages = self.rng, self.messages
        try:
            choice = rng.randrange(6)
            if choice == 0:
                messages.clear()
            elif choice == 1 and messages:
                messages.pop()
            elif choice == 2 and messages:
                messages[0]["content"] = "".join(rng.choices(ALPHABET, k=rng.randrange(40)))
            elif choice == 3 and messages:
                messages[0].clear()
            elif choice == 4:
                content = "".join(rng.choices(ALPHABET, k=20))
                messages.append({"role": "user", "content": content, "k%d" % rng.randrange(9): 1})
            else:
                gc.collect(0)
            # Memory that was freed is used at once.
            hostages.append("".join(rng.choices(ALPHABET, k=rng.randrange(400))))
            del hostages[:-50]
        except (IndexError, KeyError):
            pass


class Odd(str):
    '''A text whose hash and comparison are Python code.'''

    def __hash__(self):
        return hash(str(self))

    def __eq__(self, other):
        return str(self) == str(other)


def value(rng, messages):
    choice = rng.randrange(12)
    if choice < 5:
        return "".join(rng.choices(ALPHABET, k=rng.randrange(60)))
    if choice == 5:
        return 10 ** rng.randrange(40)
    if choice == 6:
        return ["".join(rng.choices(ALPHABET, k=9)) for _ in range(rng.randrange(5))]
    if choice == 7:
        return {"type": "text", "text": "".join(rng.choices(ALPHABET, k=30)), Odd("n"): None}
    if choice == 8:
        return "\ud800"
    if choice == 9:
        return Odd("odd")
    if choice == 10:
        return (1.5, True, None, -(10**25))
    return Finalizer(messages, rng)


def work(seed):
    rng = random.Random(seed)
    templates = [ChatTemplate(source) for source in SOURCES]
    shared = [[] for _ in range(4)]
    try:
        while time.monotonic() < end:
            messages = rng.choice(shared)
            if len(messages) > 12:
                messages.clear()
            role = rng.choice(["user", "assistant"])
            messages.append({"role": role, "content": value(rng, messages), "extra": 1})
            Finalizer(messages, rng)
            template = rng.choice(templates)
            try:
                if rng.random() < 0.8:
                    tools = None if rng.random() < 0.7 else [{"a": "b"}]
                    text = template.render(messages, tools=tools, x=value(rng, messages))
                else:
                    text = "".join(template.render_batch([list(messages) for _ in range(5)] + shared[:1]))
                assert "\x00" not in text
                counts["text"] += 1
            except (ClemcoreError, ValueError, TypeError, KeyError, IndexError, RuntimeError) as fault:
                counts["error"] += 1
                if "bug in clemcore" in str(fault):
                    raise
    except BaseException as fault:
        failures.append(fault)
        raise


gc.set_threshold(1)
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.set_threshold(700)
print(counts, flush=True)
assert not failures, failures
assert min(counts.values()) > SECONDS, counts
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_finalizers_and_threads_that_change_the_messages() -> None:
    seconds = float(os.environ.get("CLEMCORE_STRESS_SECONDS", "60"))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", STRESS, str(seconds)],
        capture_output=True,
        text=True,
        timeout=seconds * 4 + 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
