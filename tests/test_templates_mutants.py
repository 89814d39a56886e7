"""Real chat templates, changed a little or cut apart, over odd conversations, compared with jinja2.

The templates are those of the corpus where it is present (fixture ``shared``), else the ones in
``fixtures/templates/families``. A short run belongs to the suite. The long one (found cases become fixtures)::

    CLEMCORE_SHARED=... python tests/test_templates_mutants.py --cases 100000 --seed 1
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import test_templates_fuzz as fuzz
from clemcore import _core
from clemcore.errors import TemplateError
from support.differential import Program, compare, main, random_programs

FAMILIES = Path(__file__).parent / "fixtures" / "templates" / "families"

_TAGS = re.compile(r"(\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\})", re.DOTALL)
_TOKENS = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\d+\.\d+|\d+|\w+|==|!=|<=|>=|\*\*|//|\s+|.""", re.DOTALL
)
_BLOCKS = ("if", "for", "macro", "filter", "call", "generation", "with")
_KEYWORDS = {
    *("if", "elif", "else", "endif", "for", "in", "endfor", "set", "endset", "macro", "endmacro", "call"),
    *("endcall", "filter", "endfilter", "generation", "endgeneration", "is", "not", "and", "or", "with", "endwith"),
    *("break", "continue", "raw", "endraw", "recursive", "namespace"),
}

FILTERS = [
    *(f for f in dict.fromkeys(fuzz.FILTERS) if f != "random"),
    *(
        "replace('\\n', ' ')",
        "replace('', '-', 2)",
        "trim('\\n')",
        "sum(attribute='n', start=0)",
        "max(attribute='n')",
    ),
    *("sort(attribute='role')", "sort(case_sensitive=true)", "sort(reverse=true)", "unique(attribute='role')|list"),
    *("dictsort(by='value')", "dictsort(reverse=true)", "tojson(indent=4, sort_keys=true)", "tojson(true, 1)"),
    *("truncate(9, true, '')", "indent('> ', first=true)", "batch(3, '-')|list", "slice(3, 'x')|list"),
    *("select('mapping')|list", "reject('defined')|list", "map('tojson')|join('; ')", "map('trim')|join"),
    *("selectattr('content', 'string')|map(attribute='content')|join", "selectattr('content')|list|length"),
    *("selectattr('tool_calls', 'defined')|list", "rejectattr('role', 'in', ['system', 'tool'])|list|length"),
    *("map(attribute='content.0.text')|list", "first|default('')", "last|string", "items|map('first')|list"),
    *(
        "groupby('role')|map('first')|list",
        "center(20)|upper",
        "int(base=16)",
        "float(none)",
        "round(1, 'ceil')|int",
    ),
    *(
        "format(*[1, 2])",
        "list|last",
        "string|trim|upper|length",
        "list|reverse|join",
        "urlencode",
        "e|string|safe",
    ),
]
TESTS = [
    *dict.fromkeys(fuzz.TESTS),
    "in messages",
    "equalto(messages[0])",
    "sameas false",
    "lower",
    "filter",
    "test",
]
METHODS = [
    *dict.fromkeys(fuzz.METHODS),
    *(
        "split('\\n')[0]",
        "split()[-1]",
        "rsplit('\\n', 1)",
        "splitlines(true)",
        "replace('a', 'b', 1)",
        "count('')",
    ),
    *(
        "startswith(('a', 'H'))",
        "endswith('')",
        "find('o', -3)",
        "rindex('l')",
        "strip(' \\n')",
        "removesuffix('d')",
    ),
    *("encode('utf-8')", "isspace()", "isalnum()", "isnumeric()", "isdecimal()", "isupper()", "isprintable()"),
    *("isascii()", "isidentifier()", "rpartition(' ')", "rjust(9, '.')", "translate({97: 'b'})", "join('abc')"),
    *("get('content', '')", "get('zz', {}).get('a')", "items()|list", "keys()|list", "values()|list|length"),
    *(
        "index('user')",
        "count('user')",
        "setdefault('a', 1)",
        "clear()",
        "insert(0, 1)",
        "sort()",
        "title().strip()",
    ),
    *("bit_length()", "is_integer()", "format(**{'a': 1})", "format_map({'a': 1})", "__class__", "_private"),
]
OPERATORS = [["+", "-", "*", "/", "//", "%", "**", "~"], ["==", "!=", "<", "<=", ">", ">="], ["and", "or"]]
SLICES = [
    "[1:]",
    "[:-1]",
    "[::-1]",
    "[-1:]",
    "[:2]",
    "[0]",
    "[-1]",
    "[1]",
    "[::2]",
    "[2:0:-1]",
    "['role']",
    "['zz']",
]
LITERALS = [
    *(
        "''",
        "' '",
        "'\\n'",
        "'user'",
        "'assistant'",
        "'content'",
        "0",
        "1",
        "-1",
        "2",
        "none",
        "true",
        "false",
        "[]",
    ),
    *("{}", "()", "1.5", "1e20", "'é'", "'\\u200b'", "[1, 'a']", "{'a': 1}", "('x',)", "10000000000000000000000"),
    *("messages", "tools", "nosuch", "range(3)", "messages[0]", "messages[-1].content", "loop", "namespace(a=1)"),
]


class Tree:
    """A template in parts: texts, and blocks with what is in them."""

    def __init__(self, source: str) -> None:
        parts = [part for part in _TAGS.split(source) if part]
        self.blocks: list[str] = []
        self.macros: list[str] = []
        open_: list[tuple[int, str]] = []
        for place, part in enumerate(parts):
            word = re.match(r"\{%[-+]?\s*(\w+)", part)
            if word is None:
                if part.startswith("{{"):
                    self.blocks.append(part)
                continue
            name = word.group(1)
            if name in _BLOCKS or (name == "set" and "=" not in part):
                open_.append((place, name))
            elif name.startswith("end") and open_ and open_[-1][1] == name[3:]:
                start, kind = open_.pop()
                (self.macros if kind == "macro" else self.blocks).append("".join(parts[start : place + 1]))
            elif name == "set":
                self.blocks.append(part)
        self.parts = parts


class Mutator:
    """Writes new templates from real ones."""

    def __init__(self, rng: random.Random, sources: list[str]) -> None:
        self.rng = rng
        self.sources = sources
        self.writer = fuzz.Writer(rng)
        self.writer.names += ["message", "m", "loop.index0", "add_generation_prompt", "bos_token", "content"]

    def template(self) -> str:
        rng = self.rng
        source = rng.choice(self.sources)
        if len(source) > 6000 or rng.random() < 0.75:
            source = self.fragment(Tree(source))
        for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 5])):
            source = self.mutate(source)
        return source

    def fragment(self, tree: Tree) -> str:
        """Cut something out, with what it needs to run."""
        rng = self.rng
        small = [block for block in tree.blocks if 20 < len(block) < 1500] or tree.blocks or ["{{ messages }}"]
        body = "".join(rng.choice(small) for _ in range(rng.choice([1, 1, 2, 3])))
        head = "".join(
            dict.fromkeys(macro for macro in tree.macros if len(macro) < 1500 and self.names(macro, body))
        )
        spaces = dict.fromkeys(re.findall(r"set\s+(\w+)\.\w+", body))
        for name in spaces:
            attrs = dict.fromkeys(re.findall(rf"\b{name}\.(\w+)", body))
            values = (f"{attr}={rng.choice(LITERALS[:24])}" for attr in attrs)
            head += "{% set " + name + " = namespace(" + ", ".join(values) + ") %}"
        if (rng.random() < 0.8 and "loop." in body) or "message" in re.findall(r"\w+", body):
            tests = ["", "", "", " recursive", " if message.role != 'system'", " if loop is undefined"]
            start = rng.choice(["{%", "{%-"]) + " for message in messages" + rng.choice(tests)
            body = start + rng.choice([" %}", " -%}", " %}\n"]) + body + "{% endfor %}"
        return head + body

    @staticmethod
    def names(macro: str, body: str) -> bool:
        found = re.search(r"macro\s+(\w+)", macro)
        return found is not None and found.group(1) in body

    def mutate(self, source: str) -> str:  # noqa: PLR0912 - one line per kind of change
        rng = self.rng
        parts = [part for part in _TAGS.split(source) if part]
        tags = [i for i, part in enumerate(parts) if part.startswith(("{{", "{%"))]
        if not tags:
            return source
        at = rng.choice(tags)
        part = parts[at]
        kind = rng.randrange(15)
        if kind == 0:  # white space control
            inner = re.sub(r"^(\{[{%])[-+]?|[-+]?([}%]\})$", lambda m: m.group(1) or m.group(2), part)
            left, right = rng.choice(["", "-", "+", ""]), rng.choice(["", "-", "+", ""])
            if inner.startswith("{{"):
                left, right = left.replace("+", "-"), right.replace("+", "-")
            parts[at] = inner[:2] + left + inner[2:-2] + right + inner[-2:]
        elif kind == 1:  # a text between tags
            parts.insert(
                at,
                rng.choice(["\n", "  ", "\n  ", " \n\n", "x\n", "\t", "{# c #}", "{#- c #}\n", "\r\n", "{", "}"]),
            )
        elif kind == 2:  # a part twice, gone, or elsewhere
            other = rng.randrange(len(parts))
            change = rng.randrange(3)
            if change == 0:
                parts.insert(other, part)
            elif change == 1:
                parts[at] = ""
            else:
                parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:  # a statement of the grammar
            parts.insert(at, self.writer.stmt(2))
        elif kind == 4 and part.startswith("{{"):  # around a printed value
            name = rng.choice(FILTERS)
            wraps = [
                "{% filter " + re.sub(r"\|.*", "", name) + " %}" + part + "{% endfilter %}",
                "{% set tmp %}" + part + "{% endset %}{{ tmp|" + name + " }}",
                "{% macro mm(a, b=1) %}" + part + "{{ caller(a) if caller else b }}{% endmacro %}{{ mm(1) }}"
                "{% call(x) mm(2) %}{{ x }}c{% endcall %}",
                "{% generation %}" + part + "{% endgeneration %}",
                "{% for zz in [1, 2] %}" + part + "{{ loop.index }}{% endfor %}",
                "{% if " + part.strip("{}-+ ") + " %}" + part + "{% else %}E{% endif %}",
                "{% with message = messages[0] %}" + part + "{% endwith %}",
                "{% for a, b in " + part.strip("{}-+ ") + " %}{{ a }}:{{ b }}{% endfor %}",
                "{% for a in " + part.strip("{}-+ ") + " %}{{ a }}{{ loop.last }}{% endfor %}",
            ]
            parts[at] = rng.choice(wraps)
        elif kind == 5 and part.startswith("{{"):
            inner = part.strip("{}-+ ")
            parts[at] = "{{ (" + inner + ")" + self.postfix() + " }}"
        elif kind == 6 and re.match(r"\{%[-+]?\s*for", part):
            parts[at] = re.sub(
                r"(\s*[-+]?%\})$",
                rng.choice([" recursive", " if loop", " if true", "|list", "|reverse", "[::-1]", "|batch(2)"])
                + r"\1",
                part,
            )
        else:
            parts[at] = self.tokens(part)
        return "".join(parts)

    def postfix(self) -> str:
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return f"|{rng.choice(FILTERS)}"
        if kind == 1:
            return f".{rng.choice(METHODS)}"
        if kind == 2:
            return f" is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
        return rng.choice(SLICES)

    def tokens(self, part: str) -> str:
        rng = self.rng
        tokens = _TOKENS.findall(part)
        inner = [i for i, token in enumerate(tokens[3:-3], 3) if not token.isspace()]
        if not inner:
            return part
        at = rng.choice(inner)
        token = tokens[at]
        before = next((t for t in reversed(tokens[:at]) if not t.isspace()), "")
        if before == "|":
            tokens[at] = rng.choice(FILTERS) if rng.random() < 0.5 else re.sub(r"\W.*", "", rng.choice(FILTERS))
        elif before == "is":
            tokens[at] = rng.choice(TESTS)
        elif before == "." and rng.random() < 0.7:
            tokens[at] = re.sub(r"\W.*", "", rng.choice(METHODS)) if rng.random() < 0.5 else rng.choice(fuzz.KEYS)
        elif any(token in group for group in OPERATORS):
            tokens[at] = rng.choice(rng.choice(OPERATORS))
        elif token in _KEYWORDS and rng.random() < 0.8:
            tokens[at] = rng.choice(["not", "in", "is", "and", "or", "if", "else"])
        elif token[0] in "'\"" or token[0].isdigit() or token.isidentifier():
            change = rng.randrange(6)
            if change == 0:
                tokens[at] = rng.choice(LITERALS)
            elif change == 1:
                tokens[at] = f"({self.writer.expr(2)})"
            elif change == 2:
                names = [t for t in tokens if t.isidentifier() and t not in _KEYWORDS]
                tokens[at] = rng.choice(names or ["messages"])
            else:
                tokens[at] = token + self.postfix()
        else:
            tokens[at] = rng.choice(["", token * 2, ".", ",", "|", "(", ")", "[", "]", "-", "not ", "~"])
        return "".join(tokens)


def odd(rng: random.Random) -> Any:
    """Give one value that a conversation rarely has."""
    return rng.choice(
        [
            *(
                "",
                " ",
                None,
                True,
                False,
                0,
                1,
                -1,
                1.0,
                1e-7,
                2**70,
                [],
                {},
                (),
                [None],
                {"a": None},
                "None",
                "true",
            ),
            *([{"type": "text", "text": "part"}, {"type": "image"}], {"type": "text", "text": "x"}, ["a", "b"]),
            *({1: "i", None: "n"}, {"x": {"y": [1, 2.5, None, True, "é"]}}, (1, "b"), '{"a": 1}', "[1]", "<tool>"),
            *("e\u0301 ǆ ﬁ", "\U0001f468\u200d\U0001f469", "\x1c\x85\u2028x\xad", "a\r\nb\rc", "İı ΣΑΣ", "٣²½"),
            *("</think>x", "<think>\n</think>\n\n", "<|im_end|>", "{{ x }}{% if %}", 'it\'s "q" \\ /', "\ta\t\n"),
            *([[]], [[1, [2]]], {"items": 1, "keys": 2, "get": 3}, [{"function": {"name": "f", "arguments": {}}}]),
            *([{"type": "function", "function": {"name": "g", "arguments": '{"b": 2}'}, "id": "c1"}],),
            *(float("inf"), float("nan"), "x" * 300, {"": ""}, {"role": "user"}),
            *({"a": [{"b": {"c": [1, {"d": None}]}}]}, [("a", 1), ("b", 2)], {True: 1, 1.5: 2, (1, 2): 3}),
        ]
    )


def disturb(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """Replace, remove or add something somewhere in a value."""
    if isinstance(value, (list, dict)) and value and rng.random() < (0.95 if depth < 2 else 0.6):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key, change = rng.choice(keys), rng.random()
        if change < 0.08:
            del value[key]
        elif change < 0.16 and isinstance(value, dict):
            value[rng.choice([*fuzz.KEYS, "tool_calls", "reasoning_content", "thinking", 1, None])] = odd(rng)
        elif change < 0.16 and isinstance(value, list):
            value.insert(
                key,
                odd(rng) if depth else {"role": rng.choice(["user", "tool", "system", "x"]), "content": odd(rng)},
            )
        elif change < 0.2 and isinstance(value, list):
            value.append(copy.deepcopy(value[key]))
        else:
            value[key] = disturb(rng, value[key], depth + 1)
        return value
    return odd(rng)


def conversation(rng: random.Random, bases: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Make the variables of one render, with a value for every name that a template reads."""
    variables = copy.deepcopy(rng.choice(bases))
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        if rng.random() < 0.2 and variables.get("tools"):
            variables["tools"] = disturb(rng, variables["tools"])
        else:
            variables["messages"] = disturb(rng, variables["messages"])
            if not isinstance(variables["messages"], (list, str, dict, tuple)):
                variables["messages"] = []
    random_ones = fuzz.context(rng)
    for name in names:
        if name not in variables and rng.random() < 0.8:
            variables[name] = random_ones.get(name, odd(rng))
    if rng.random() < 0.1:
        variables[rng.choice(["add_generation_prompt", "bos_token", "documents", "tools"])] = odd(rng)
    return variables


def sources(shared: Path | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return templates to change and variables to disturb."""
    own = [path.read_bytes().decode() for path in sorted(FAMILIES.glob("*.jinja"))]
    bases = json.loads((FAMILIES / "conversations.json").read_text(encoding="utf-8")) if FAMILIES.exists() else []
    if shared is not None:
        corpus = shared / "corpus" / "chat-templates"
        own += [path.read_bytes().decode() for path in sorted((corpus / "templates").glob("*.jinja"))]
        bases += [case["context"] for case in json.loads((corpus / "contexts.json").read_bytes())]
    return own, bases


def programs(seed: int, shared: Path | None) -> Iterator[Program]:
    """Give the programs of a seed."""
    templates, bases = sources(shared)

    def program(rng: random.Random) -> Program:
        source = Mutator(rng, templates).template()
        try:
            names = _core.TemplateCore(source).names or []
        except TemplateError:
            names = []
        return source, [conversation(rng, bases, names) for _ in range(6 if names else 1)]

    return random_programs(program, seed)


@pytest.mark.slow
def test_mutants_of_real_templates_render_as_in_jinja2(shared: Path) -> None:
    pytest.importorskip("transformers")
    counts, wrong = compare(programs(datetime.now().toordinal(), shared), 300)
    assert wrong == []
    assert counts["text"] > 50


if __name__ == "__main__":
    _shared = os.environ.get("CLEMCORE_SHARED")
    sys.exit(main(__doc__, lambda seed: programs(seed, Path(_shared) if _shared else None)))
