"""A chat template with everything in it, and copies of it with one fault each."""

from __future__ import annotations

RIGHT = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>system\\nYou play games.<|im_end|>\\n' }}
{%- endif %}
{%- if tools %}
{{- '<tools>\\n' }}
{%- for tool in tools %}
{{- tool | tojson + '\\n' }}
{%- endfor %}
{{- '</tools>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'narrator' %}
{{- raise_exception('no role ' + message.role) }}
{%- endif %}
{%- if not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '<call>' }}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
{{- '</call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

# Name of the fault: what is replaced in the template and by what; the case that finds it first; what follows the
# part that is right on our side and on that of the right template.
FAULTS: dict[str, tuple[str, str, str, str, str]] = {
    "dropped newline": (
        "'<|im_end|>\\n' }}\n{%- endif %}\n{%- endfor",
        "'<|im_end|>' }}\n{%- endif %}\n{%- endfor",
        "user",
        "",
        "\n",
    ),
    "double BOS": ("bos_token }}", "bos_token + bos_token }}", "user", "s><|im", "|im"),
    "wrong system message": ("You play games.", "You play a game.", "user", "a game.", "games."),
    "lost system message": ("+ messages[0].content +", "+", "system", "<|im_end|>", "You play a word game."),
    "CRLF": ("message.role + '\\n'", "message.role + '\\r\\n'", "user", "\r\nGuess", "\nGuess"),
    "trimmed blank": (
        "{{- message.content }}",
        "{{- message.content | trim }}",
        "trailing-blanks",
        "a<|",
        " a \n\n",
    ),
    "missing generation prompt": (
        "{%- if add_generation_prompt %}",
        "{%- if false %}",
        "user+prompt",
        "",
        "<|im_start|>a",
    ),
    "swapped role": (
        "'<|im_start|>' + message.role",
        "'<|im_start|>' + {'user': 'human'}.get(message.role, message.role)",
        "user",
        "human\n",
        "user\n",
    ),
    "lost tool": (
        "in tools %}",
        "in tools[:2] %}",
        "tools-no-system",
        "</tools>",
        '{"type": "function"',
    ),
    "escaped unicode": ("tool | tojson +", "tool | tojson(ensure_ascii=true) +", "tools-no-system", "\\u00fc", "ü"),
    "sorted keys": (
        "tool | tojson +",
        "tool | tojson(sort_keys=true) +",
        "tools-offered",
        'function": {',
        'type": ',
    ),
    "content of parts": (
        "{%- if message.content is string %}",
        "{%- if message.content %}",
        "parts",
        "[{'type",
        "<|im_end|>",
    ),
    "another refusal": ("'no role '", "'unknown role '", "narrator", "unknown role", "no role"),
    "lost refusal": ("== 'narrator'", "== 'nobody'", "narrator", "text: <s>", "error: no role narrator"),
}
