"""Chat templates of different habits, over the tokenizer of models/tiny."""

import datetime
import re
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import ROOT
from tuneline.rendering.chat import Chat

DATE = datetime.date(2026, 1, 1)

CHATML = """
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

# The habits of gemma: the system text goes into the first user turn, turns alternate, the assistant is "model".
FOLDING = """
{%- if messages[0]['role'] == 'system' -%}
  {%- set head = messages[0]['content'] | trim + '\\n\\n' -%}
  {%- set turns = messages[1:] -%}
{%- else -%}
  {%- set head = '' -%}
  {%- set turns = messages -%}
{%- endif -%}
{{- bos_token -}}
{%- for message in turns -%}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('Conversation roles must alternate user/assistant') -}}
  {%- endif -%}
  {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
  {{- '<start_of_turn>' + role + '\\n' + (head if loop.first else '') + message['content'] | trim -}}
  {{- '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
"""

# The habits of Llama 3.2: a beginning-of-text token, and today's date.
DATED = """
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{{- "<|head|>system<|/head|>\\n\\nToday Date: " + date_string + "\\n\\n" }}
{%- if messages[0]['role'] == 'system' %}
    {{- messages[0]['content'] | trim }}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- "<|eot|>" }}
{%- for message in messages %}
    {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
"""

# The habits of DeepSeek: turns follow each other on one line, and only the answer has an end.
PLAIN = """
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role == 'assistant' -%}{{- 'Assistant: ' -}}
    {%- generation -%}{{- message.content -}}{%- endgeneration -%}{{- eos_token -}}
  {%- else -%}{{- message.role | capitalize + ': ' + message.content + '\\n\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant: ' -}}{%- endif -%}
"""


# The habits of Qwen and Hermes: tools stand in the system turn, calls after the answer's text, results in a user turn.
TOOLS = """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\\n' if message.content or not loop.first else '' }}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

# The habits of Mistral 7B Instruct v0.3: the system text stands before the last question, tools too, and only while
# nothing follows it; calls are one list.
MISTRAL = """
{%- if messages[0].role == 'system' %}{%- set system = messages[0].content %}{%- set turns = messages[1:] %}
{%- else %}{%- set turns = messages %}{%- endif %}
{%- set asked = turns | selectattr('role', 'equalto', 'user') | list %}
{{- bos_token }}
{%- for m in turns %}
    {%- if m.role == 'user' %}
        {%- if tools and m == asked[-1] %}
            {{- '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {%- if loop.last and system is defined %}{{- '[INST] ' + system + '\n\n' + m.content + '[/INST]' }}
        {%- else %}{{- '[INST] ' + m.content + '[/INST]' }}{%- endif %}
    {%- elif m.tool_calls %}
        {{- '[TOOL_CALLS] [' }}
        {%- for call in m.tool_calls %}
            {%- if not call.id is defined or call.id | length != 9 %}
                {{- raise_exception('Tool call ids have 9 letters') }}
            {%- endif %}
            {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' + (']' if loop.last else ', ') }}
        {%- endfor %}
        {{- eos_token }}
    {%- elif m.role == 'assistant' %}{{- ' ' + m.content | trim + eos_token }}
    {%- elif m.role == 'tool' %}{{- '[TOOL_RESULTS] {"content": ' + m.content + '}[/TOOL_RESULTS]' }}
    {%- else %}{{- raise_exception('Only user, assistant and tool') }}{%- endif %}
{%- endfor %}
"""

# The habits of Llama 2: the system text stands in the first question, and each question begins a text anew.
LLAMA_2 = """
{%- if messages[0].role == 'system' %}
    {%- set head = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}{%- set turns = messages[1:] %}
{%- else %}{%- set head = '' %}{%- set turns = messages %}{%- endif %}
{%- for m in turns %}
    {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('Roles must alternate') }}{%- endif %}
    {%- if m.role == 'user' %}
        {{- bos_token + '[INST] ' + (head if loop.first else '') + m.content.strip() + ' [/INST]' }}
    {%- else %}{{- ' ' + m.content.strip() + ' ' + eos_token }}{%- endif %}
{%- endfor %}
"""


@dataclass(frozen=True)
class Habit:
    """`end`: what the template writes after an answer. `bos`: what it begins with."""

    template: str | None  # None: that of models/tiny, with generation marks
    end: str
    bos: str = ""
    tokens: dict[str, Any] = field(default_factory=dict)  # for add_special_tokens


HABITS = {
    "marked": Habit(None, "<|im_end|>"),
    "chatml": Habit(CHATML, "<|im_end|>"),
    "folding": Habit(
        FOLDING,
        "<end_of_turn>",
        "<bos>",
        {"bos_token": "<bos>", "extra_special_tokens": ["<start_of_turn>", "<end_of_turn>"]},
    ),
    "dated": Habit(
        DATED,
        "<|eot|>",
        "<|begin|>",
        {"bos_token": "<|begin|>", "eos_token": "<|eot|>", "extra_special_tokens": ["<|head|>", "<|/head|>"]},
    ),
    "plain": Habit(PLAIN, "</s>", "<s>", {"bos_token": "<s>", "eos_token": "</s>"}),
}


def make_tokenizer(template: str | None = None, **special_tokens: Any) -> Any:
    """The tokenizer of models/tiny, with another template and more special tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models/tiny")
    if special_tokens:
        tokenizer.add_special_tokens(special_tokens)
    if template:
        tokenizer.chat_template = template
    return tokenizer


def make_chat(habit: Habit, date: datetime.date = DATE) -> Chat:
    return Chat(make_tokenizer(habit.template, **habit.tokens), date)


SPECIAL = re.compile(
    r"<\|[^|<>\s'\"]{1,40}\|>|<｜[^｜]{1,40}｜>|</?(?:start_of_turn|end_of_turn|bos|s|end_of_utterance)>"
    r"|<(?:turn|channel|tool|tool_call|tool_response)\|>|<\|(?:turn|channel|tool|tool_call|tool_response)>"
    r"|\[gMASK\]|<sop>|\[/?(?:INST|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\]"
)


def tokenizer_for(source: str) -> Any:
    """The tokenizer of models/tiny with another template, and each token as a special one that the template spells."""
    begin = ("<s>", "</s>") if "</s>" in source or "bos_token" in source else ("<bos>", "<eos>")
    found = sorted({*SPECIAL.findall(source)} - {*begin})
    return make_tokenizer(source, bos_token=begin[0], eos_token=begin[1], extra_special_tokens=found)
