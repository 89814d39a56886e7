"""Compare how messages are prepared here with what another version of transformers does in its own environment.

``ChatTemplate(…, transformers="4.57.6")`` promises that version's rules before and after rendering. This asks the
version itself::

    python -m venv other && other/bin/pip install transformers==4.57.6 jinja2
    python tools/template_versions.py --python other/bin/python                 # the cases of the repository
    python tools/template_versions.py --python other/bin/python --corpus DIR    # and those of a corpus
    python tools/template_versions.py --python other/bin/python --write         # keep the answers as a fixture

Started with ``--worker`` it is the part that runs there; that part imports nothing of this project.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "templates" / "versions.json"
NOW = "2026-03-07T14:05:09"
OPTIONS = ("tools", "documents", "add_generation_prompt", "continue_final_message")

TEMPLATES = {
    "everything": "{{ messages }}|{{ tools }}|{{ documents }}|{{ add_generation_prompt }}|{{ x }}|{{ bos_token }}",
    "keys": "{% for m in messages %}{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}\n{% endfor %}",
    "chatml": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "trimmed": "{% for m in messages %}[{{ m['role'] }}] {{ m['content']|trim }}{{ eos_token }}{% endfor %}",
    "parts": "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{{ p.text|default('<' ~ p.type ~ '>') }}{% endfor %}{% endif %}.{% endfor %}",
    "reasoning": "{% for m in messages %}{% if m.reasoning_content is defined and m.reasoning_content %}<think>"
    "{{ m.reasoning_content }}</think>{% endif %}{% if m.thinking %}({{ m.thinking }}){% endif %}{{ m.content }}\n"
    "{% endfor %}",
    "strict": "{% for m in messages %}{% if m.content is none %}"
    "{{ raise_exception('no content in ' ~ loop.index0) }}{% elif m.content is defined %}{{ m.content + '\n' }}"
    "{% else %}missing {% endif %}{% endfor %}",
    "twice": "{% for m in messages %}{{ m.content }}/{{ m.content }}{% endfor %}",
    "role only": "{% for m in messages %}{{ m.role }}{% endfor %}{# content #}",
    "no content": "{% for m in messages %}{{ m.role }} {{ m['con' ~ 'tent'] }}{% endfor %}",
}


def _user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def _assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


CASES: list[dict[str, Any]] = [
    {"messages": [_user("Hi")], "add_generation_prompt": True},
    {"messages": []},
    {"messages": [_user("Hi"), _assistant(None, tool_calls=[{"function": {"arguments": {"a": None}}}])]},
    {"messages": [_user("Hi", name=None), {"role": "assistant", "content": None}, _user(None)]},
    {"messages": [_user("Hi"), _assistant("4", reasoning="2+2")]},
    {"messages": [_user("Hi"), _assistant("4", thinking="2+2", reasoning_content="old")]},
    {"messages": [_user("Hi"), _assistant("4", reasoning_content=None, thinking="2+2")]},
    {"messages": [_user("Hi"), _assistant("4", reasoning_content="", reasoning="r")]},
    {"messages": [_user("Hi")], "tools": [{"function": {"name": "f", "parameters": {"x": None}}}]},
    {"messages": [_user("Hi")], "tools": [], "documents": []},
    {"messages": [_user("Hi")], "tools": ["no schema"]},
    {"messages": [_user("Hi")], "documents": [{"title": "t", "text": "x"}]},
    {"messages": [_user("Hi")], "documents": ["no dict"]},
    {"messages": [_user("Hi")], "kwargs": {"x": {"y": [1, 2.5, None]}, "bos_token": "<kw>"}},
    {"messages": [_user("Hi"), _assistant("Yes, ")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("Yes")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant(" Yes \n")], "continue_final_message": True},
    {"messages": [_user("Yes"), _assistant("Yes"), _user("Yes")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant(None)], "continue_final_message": True},
    {"messages": [_user("Hi"), {"role": "assistant"}], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant(7)], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("x")], "continue_final_message": True, "add_generation_prompt": True},
    {
        "messages": [_user([{"type": "text", "text": "a"}, {"type": "text", "text": "b "}])],
        "continue_final_message": True,
    },
    {"messages": [_user([{"type": "text", "text": "a"}, {"type": "image"}])], "continue_final_message": True},
    {"messages": [_user([{"type": "image"}])], "continue_final_message": True},
    {"messages": [_user([])], "continue_final_message": True},
    {"messages": [_user(["text", 3])], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("a", thinking="hm ")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("a", thinking="hm ")], "continue_final_message": "thinking"},
    {"messages": [_user("Hi"), _assistant("", reasoning="hm ")], "continue_final_message": "reasoning_content"},
    {"messages": [_user("Hi"), _assistant("a", x="hm ")], "continue_final_message": "x"},
    {"messages": [_user("CONTINUE_FINAL_MESSAGE_TAG here"), _assistant("on ")], "continue_final_message": True},
    {"messages": [_user("Hi"), _assistant("\x1c\u3000a\x1f\u00a0")], "continue_final_message": True},
    {"messages": [_user("Hi")], "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"}},
]


def own_programs() -> list[dict[str, Any]]:
    """Return every case with every template of this file."""
    return [{"template": template, **case} for template in TEMPLATES.values() for case in CASES]


def corpus_programs(folder: Path) -> list[dict[str, Any]]:
    """Return every case of a corpus with each of its templates, also continued where that can be."""
    cases = json.loads((folder / "cases.json").read_bytes())
    cases = cases["cases"] if isinstance(cases, dict) else cases
    wanted = ("messages", "special_tokens", "kwargs", *OPTIONS)
    plain = [{key: case[key] for key in wanted if case.get(key) is not None} for case in cases]
    continued = [
        {**case, "continue_final_message": True, "add_generation_prompt": False}
        for case in plain
        if not case.get("continue_final_message")
    ]
    templates = [path.read_bytes().decode() for path in sorted((folder / "templates").glob("*.jinja"))]
    return [{"template": template, **case} for template in templates for case in [*plain, *continued]]


def work() -> None:
    """Answer the programs on standard input, in the other environment."""
    import transformers
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import chat_template_utils

    compile_ = chat_template_utils._compile_jinja_template
    results = []
    for program in json.loads(sys.stdin.buffer.read()):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel({}, unk_token="")), **program.get("special_tokens", {})
        )
        options = {name: program[name] for name in OPTIONS if name in program}
        try:
            compile_(program["template"]).environment.globals["strftime_now"] = datetime.fromisoformat(NOW).strftime
            text = tokenizer.apply_chat_template(
                copy.deepcopy(program["messages"]),
                chat_template=program["template"],
                tokenize=False,
                **options,
                **program.get("kwargs", {}),
            )
            results.append({"text": text})
        except Exception as fault:  # noqa: BLE001 - whatever is raised is the answer
            results.append({"error": type(fault).__name__, "message": str(fault)})
    out = {"transformers": transformers.__version__, "results": results}
    sys.stdout.write(json.dumps(out))


def ours(program: dict[str, Any], version: str) -> dict[str, str]:
    """Render a program by this project."""
    from clemcore.errors import TemplateError
    from clemcore.prompts.templates import ChatTemplate

    options = {name: program[name] for name in OPTIONS if name in program}
    try:
        template = ChatTemplate(
            program["template"], special_tokens=program.get("special_tokens"), now=NOW, transformers=version
        )
        text = template.render(copy.deepcopy(program["messages"]), **options, **program.get("kwargs", {}))
    except TemplateError as fault:
        return {"error": "TemplateError", "message": str(fault)}
    return {"text": text}


def agree(expected: dict[str, str], got: dict[str, str]) -> bool:
    """Equal text, or an error on both sides, to the letter where the template raised it."""
    if "text" in expected:
        return got == expected
    return "error" in got and (expected["error"] != "TemplateError" or got["message"] == expected["message"])


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other environment")
    parser.add_argument("--corpus", type=Path, help="folder with templates/ and cases.json")
    parser.add_argument("--write", action="store_true", help="keep the answers to our own cases as a fixture")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return 0
    own = own_programs()
    programs = own + (corpus_programs(options.corpus) if options.corpus else [])
    done = subprocess.run(  # noqa: S603 - an interpreter that was asked for
        [options.python, __file__, "--worker"],
        input=json.dumps(programs).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    answer = json.loads(done.stdout)
    version, results = answer["transformers"], answer["results"]
    wrong = 0
    for program, expected in zip(programs, results, strict=True):
        got = ours(program, version)
        if not agree(expected, got):
            wrong += 1
            if wrong <= 20:
                sys.stdout.write(f"--- {program!r:.600}\n  there: {expected!r:.400}\n  here:  {got!r:.400}\n")
    rendered = sum("text" in result for result in results)
    sys.stdout.write(f"transformers {version}: {len(programs)} cases, {rendered} rendered, {wrong} differ\n")
    if options.write:
        stored = json.loads(FIXTURE.read_text(encoding="utf-8")) if FIXTURE.exists() else {}
        # The text of an error counts only where the template raised it.
        stored[version] = [
            result if "text" in result or result["error"] == "TemplateError" else {"error": result["error"]}
            for result in results[: len(own)]
        ]
        lines = (
            f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(result) for result in stored[key]) + "\n]"
            for key in sorted(stored)
        )
        FIXTURE.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
