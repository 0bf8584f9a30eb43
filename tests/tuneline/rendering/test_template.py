"""Templates as they come: what does not parse, does not end or is asked for what it does not know is one line."""

from pathlib import Path

import click
import pytest

from tests.chat_templates import CHATML, DATE, make_tokenizer
from tests.conftest import ROOT
from tuneline.models.base import read_base
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.template import Refused, Template

ASKED = [{"role": "user", "content": "why"}]
TALK = [*ASKED, {"role": "assistant", "content": "so"}]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("line one\n{% if messages %}", "line 2 does not parse: Unexpected end of template"),
        ("{{ messages | unheard_of }}", "line 1 does not parse: No filter named 'unheard_of'"),
        ("{% for m in messages %}{% endfor", "line 1 does not parse"),
        ("{% generation %}x", "line 1 does not parse"),
        ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "it does not compile: too many statically nested blocks"),
    ],
)
def test_what_does_not_parse_is_told_with_its_line(source: str, told: str) -> None:
    with pytest.raises(click.ClickException) as error:
        Template(source, DATE, {})
    assert error.value.message.startswith(told)


LONG = "{% for a in range(90000) %}{% for b in range(90000) %}x{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (LONG, "loops take more than 1,000,000 steps"),
        (
            "{% for a in 'x' * 99999 %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "steps",
        ),
        ("{% macro f(n) %}{{ f(n - 1) }}{% endmacro %}{{ f(1) }}", "recursion"),
        ("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}", "steps"),
        ("{{ 'x' * 1000000000000 }}", "makes more than it may"),
        ("{{ [1] * 100000000 }}", "makes more than it may"),
        ("{{ 10 ** 10000000000 }}", "makes more than it may"),
        *(
            (
                f"{{% set n = namespace(x='xy') %}}{{% for a in range(60) %}}{step}{{% endfor %}}{{{{ n.x }}}}",
                "more than",
            )
            for step in (
                "{% set n.x = n.x ~ n.x %}",
                "{% set n.x = n.x + n.x %}",
                "{% set n.x = n.x.replace('x', n.x) %}",
                "{% set n.x = n.x | replace('x', n.x) %}",
                "{% set n.x = [n.x, n.x] | join(n.x) %}",
                "{% set n.x = n.x.join([n.x, n.x, n.x]) %}",
                "{% set n.x = '%s%s' % (n.x, n.x) %}",
                "{% set n.x = '{}{}'.format(n.x, n.x) %}",
                "{% set more %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = more %}",
            )
        ),
        ("{% macro f(x, n) %}{{ f(x ~ x, n - 1) if n else x }}{% endmacro %}{{ f('x', 60) }}", "a variable makes more"),
        *(
            (f"{{% set s = 'x' * 1000000 %}}{{{{ {step} }}}}", "makes more than it may")
            for step in (
                "([s] * 1000) | join",
                "''.join([s] * 1000)",
                "[1, 2, 3] | join(s * 9)",
                "[{'a': s * 4}, {'a': s * 4}, {'a': s * 4}] | join(attribute='a')",
                "('a ' * 1000) | wordwrap(1, wrapstring=s)",
                "([s] * 1000) | string",
                "([s] * 1000) ~ ''",
                "[[s]] * 1000",
                "([1] * 1000) | tojson(indent=100000)",
                "[1] | batch(10 ** 10, 'x') | list",
                "[1] | slice(10 ** 10) | list",
            )
        ),
        ("{% set n = namespace(x='x') %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}", "a variable"),
        ("{{ 'x'.ljust(10 ** 10) }}{{ 'x' | indent(width=10 ** 12, first=true) }}", "ljust makes more"),
        ("{{ 'x'.center(10 ** 12) }}{{ 'x'.zfill(10 ** 12) }}", "center makes more than it may"),
        ("{{ 'x' | center(10 ** 12) }}", "center makes more than it may"),
        ("{{ 'x' | indent(10 ** 12, true) }}", "indent makes more than it may"),
        ("{{ 'a\tb'.expandtabs(10 ** 12) }}", "expandtabs makes more than it may"),
        ("{{ '%1000000000d' % 1 }}", "% makes more than it may"),
        ("{{ '%*d' % (10 ** 9, 1) }}", "% makes more than it may"),
        ("{{ '{:>1000000000}'.format(1) }}", "format makes more than it may"),
        ("{{ '{:{}}'.format(1, 10 ** 9) }}", "format makes more than it may"),
        ("{{ '%1000000000d' | format(1) }}", "format makes more than it may"),
        ("{% for a in range(90000) %}{{ 'x' * 1000 }}{% endfor %}", "it writes more than it may"),
        ("{% for a in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages.__class__.__base__.__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "not safely callable|unsafe"),
        ("{{ lipsum(1000000) }}", "undefined"),
    ],
)
def test_what_does_not_end_or_does_harm_is_an_error_and_no_hang(source: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        Template(source, DATE, {}).write(ASKED)


def test_the_limit_is_of_one_rendering_and_far_from_conversations() -> None:
    template = Template(
        "{% for m in messages %}{% for n in messages %}{{ n.role[0] }}{% endfor %}{% endfor %}", DATE, {}
    )
    for _ in range(3):  # the three together take more than one may
        assert len(template.write(ASKED * 600)) == 600**2


def test_loops_go_over_what_they_went_over() -> None:
    source = (
        "{% for key, value in {'a': 1}.items() %}{{ key }}{{ value }}{% endfor %}"
        "{% for m in messages | selectattr('role', 'equalto', 'user') %}{{ loop.last }}{{ loop.length }}{% endfor %}"
        "{% for x in nothing %}{% else %}none{% endfor %}"
        "{% for n in [[1], []] recursive %}{{ n if n is number else loop(n) }}{% endfor %}"
    )
    chat = Chat(make_tokenizer(CHATML), DATE)
    chat.tokenizer.chat_template = source
    assert Template(source, DATE, {}).write(TALK) == chat.tokenizer.apply_chat_template(TALK, tokenize=False)


# Options

THINKS = CHATML.replace(
    "{{- '<|im_start|>assistant\\n' -}}",
    "{{- '<|im_start|>assistant\\n' + ('' if enable_thinking | default(true) else '<think></think>') -}}",
)


def base_with(folder: Path, template: str | None, more: str = "") -> Path:
    folder.mkdir()
    tokenizer = make_tokenizer(template)
    if template is None:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    (folder / "base.yaml").write_text((ROOT / "models/tiny/base.yaml").read_text("utf-8") + more)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(click.ClickException) as error:
        load_chat(read_base(folder))
    assert "\n" not in error.value.message
    return error.value.message


def test_options_are_variables_of_the_template(tmp_path: Path) -> None:
    plain = load_chat(read_base(base_with(tmp_path / "plain", THINKS)))
    folder = base_with(tmp_path / "base", THINKS, "template-options:\n  enable_thinking: false\n")
    chat = load_chat(read_base(folder))
    assert chat.prompt(ASKED) == plain.prompt(ASKED) + "<think></think>"
    assert chat.sha256 != plain.sha256
    assert load_chat(read_base(base_with(tmp_path / "none", THINKS, "template-options: {}\n"))).sha256 == plain.sha256


@pytest.mark.parametrize("name", ["enable_thnking", "messages", "add_generation_prompt", "eos_token", "tojson"])
def test_an_option_that_the_template_does_not_ask_for_is_told(tmp_path: Path, name: str) -> None:
    folder = base_with(tmp_path / "base", THINKS, f"template-options:\n  {name}: false\n")
    told = f"the chat template of {folder}: it does not ask for the option '{name}'; it asks for enable_thinking"
    assert refusal(folder) == told


def test_a_template_without_options_says_so(tmp_path: Path) -> None:
    folder = base_with(tmp_path / "base", CHATML, "template-options:\n  enable_thinking: false\n")
    assert refusal(folder).endswith("'enable_thinking'; it asks for no variable")


# Templates of one's own


def test_a_base_without_a_template_is_told_how_to_have_one(tmp_path: Path) -> None:
    folder = base_with(tmp_path / "base", None)
    assert "its tokenizer has no chat template" in refusal(folder)
    assert "(`template: chat.jinja`)" in refusal(folder)
    (folder / "chat.jinja").write_text(CHATML)
    with (folder / "base.yaml").open("a") as file:
        file.write("template: chat.jinja\n")
    chat = load_chat(read_base(folder))
    assert chat.prompt(ASKED) == "<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n"
    (folder / "chat.jinja").write_text("{% if %}")
    assert refusal(folder).startswith(f"the chat template of {folder}: line 1 does not parse")
    (folder / "chat.jinja").unlink()
    assert f"{folder}/base.yaml names the template chat.jinja" in refusal(folder)


def test_ones_own_template_stands_before_the_tokenizers(tmp_path: Path) -> None:
    folder = base_with(tmp_path / "base", THINKS, "template: own.jinja\n")
    (folder / "own.jinja").write_text(CHATML.replace("assistant\\n' -}}{%", "assistant\\n' -}}{#- own -#}{%"))
    assert load_chat(read_base(folder)).writer.template.source.count("own") == 1


@pytest.mark.parametrize("more", ["template: ../own.jinja\n", "template: ''\n", "template-options: [a]\n"])
def test_a_malformed_field_is_one_line(tmp_path: Path, more: str) -> None:
    folder = base_with(tmp_path / "base", CHATML, more)
    with pytest.raises(click.ClickException, match=r"base\.yaml: "):
        read_base(folder)


def test_several_templates_without_a_default_are_told(tmp_path: Path) -> None:
    folder = base_with(tmp_path / "base", CHATML)
    (folder / "chat_template.jinja").unlink()
    (folder / "additional_chat_templates").mkdir()
    for name in ("one", "two"):
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(CHATML)
    assert refusal(folder).startswith(f"the chat template of {folder}: ")


def test_the_template_of_the_docs_suits_any_tokenizer(tmp_path: Path) -> None:
    """docs/base-models.md has it for base models that have none."""
    source = (ROOT / "docs/base-models.md").read_text("utf-8").partition("```jinja\n")[2].partition("```")[0]
    folder = base_with(tmp_path / "base", None, "template: chat.jinja\n")
    (folder / "chat.jinja").write_text(source)
    chat = load_chat(read_base(folder))
    talk = [{"role": "system", "content": "Be brief."}, *TALK, *TALK]
    ((text, spans),) = chat.render({"messages": talk})
    assert [text[slice(*span)] for span in spans] == [" so" + chat.tokenizer.eos_token] * 2
    assert chat.heard(chat.backend.encode(" so" + chat.tokenizer.eos_token).ids) == ("", "so")
