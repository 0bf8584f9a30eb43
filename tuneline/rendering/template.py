"""A chat template, compiled as transformers compiles it, with a fixed day for those that ask for today's.

It may be anybody's: it runs in jinja2's sandbox, and a loop without end or a text without bound is an error, no hang.
"""

import datetime
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import click
import jinja2
import jinja2.ext
import jinja2.filters
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox
import simplejson

from tuneline.files import Row

STEPS = 1_000_000  # of all loops and macros of one rendering; a conversation of 200 turns takes some 40,000
MACRO = 10 * " "  # a call of a macro counts as so many steps
SIZE = 10_000_000  # characters that a step may make, a variable hold or a rendering write, or bits of a power
EACH = 10  # characters as which anything that is no text counts
COUNT = "steps taken"  # no name that a template can write
OWN = ("messages", "tools", "documents", "add_generation_prompt")  # what no option may be
WRONG = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)


# What of text makes longer text: how long at most, by the name of a method and, in another order, of a filter.
GROWS: dict[str, Callable[..., int]] = {
    "replace": lambda text, old, new, *_: len(text) + text.count(old) * len(new),
    "join": lambda by, parts: len(parts) * len(by) + _length(parts),  # which may be one text many times
    "wordwrap": lambda text, width=79, *by: len(text) // max(width, 1) * _length([text for text in by if text]),
    **dict.fromkeys(("batch", "slice"), lambda parts, count, *_: count),
    "tojson": lambda value, *indent: _length(value) * (1 + sum(by for by in indent if isinstance(by, int))),
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), lambda text, width=0, *_: width),
    "expandtabs": lambda text, size=8: text.count("\t") * size,
    "indent": lambda text, by=4, *_: (text.count("\n") + 1) * (by if isinstance(by, int) else len(by)),
    "format": lambda text, *_: SIZE + 1 if WIDTH.search(text) else len(text),
}
WIDTH = re.compile(r"\d{5}|%[-+ #0]*\*|\{[^{}]*\{")  # of a field: a number of 10,000, or one that is given apart


class Refused(Exception):
    """The template refuses the messages, or fails on them; says why."""


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`: read over, since what is trained is what a model has to write."""

    tags: ClassVar = {"generation"}

    def parse(self, parser: Any) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


class _Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**", "%"))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        size = 0
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            size = left.bit_length() * right
        elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            size = math.prod(_length(side) if hasattr(side, "__len__") else side for side in (left, right))
        elif operator == "%" and isinstance(left, str):
            size = GROWS["format"](left)
        _bound(size, operator)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        of = getattr(getattr(function, "__wrapped__", function), "__self__", None)  # jinja2 wraps str.format
        if isinstance(of, str) and (grows := GROWS.get(function.__name__)):
            _bound(_sized(grows, of, *args, *kwargs.values()), function.__name__)
        return super().call(context, function, *args, **kwargs)


class Template:
    """Raises click.ClickException when the source does not parse, or an option is none of its variables."""

    def __init__(
        self, source: str, date: datetime.date, names: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> None:
        self.source = source
        env = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])
        env.filters |= {"tojson": _to_json, "in_limits": _in_limits, "in_size": _in_size}
        env.filters |= {name: _bounded(name, env.filters[name]) for name in GROWS if name in env.filters}
        env.filters["join"] = _join
        env.globals |= {"raise_exception": _raise, "strftime_now": date.strftime}
        del env.globals["lipsum"]  # of any length, and another one each time
        try:
            tree = env.parse(source)
            if options:
                check_options(options, jinja2.meta.find_undeclared_variables(tree), names)
            self.template = env.from_string(_with_limits(tree))
        except jinja2.TemplateSyntaxError as error:
            raise click.ClickException(f"line {error.lineno} does not parse: {error.message}") from None
        except (SyntaxError, RecursionError, OverflowError) as error:
            raise click.ClickException(f"it does not compile: {error}") from None
        self.template.globals = dict(self.template.globals)  # else a chain of maps, walked through each time
        date_string = date.strftime("%d %b %Y")
        self.names = {**self.template.globals, **names, "date_string": date_string, **(options or {})}

    def write(
        self, messages: Sequence[Row], tools: Sequence[Row] | None = None, add_generation_prompt: bool = False
    ) -> str:
        """Raises Refused."""
        given = {"messages": messages, "tools": tools, "documents": None, COUNT: [0]}
        names = {**self.names, **given, "add_generation_prompt": add_generation_prompt}
        try:  # what Template.render does, less its copy of the globals, half of the time
            return _joined(self.template.root_render_func(self.template.new_context(names, shared=True)))
        except WRONG as error:
            raise Refused(str(error) or type(error).__name__) from None


def check_options(options: Mapping[str, Any], known: set[str], names: Mapping[str, Any]) -> None:
    """Raises click.ClickException that lists what the template asks for."""
    free = sorted(known - set(OWN) - set(names))
    if wrong := [name for name in options if name not in free]:
        asked = ", ".join(free) or "no variable"
        raise click.ClickException(f"it does not ask for the option {wrong[0]!r}; it asks for {asked}")


def _with_limits(tree: jinja2.nodes.Template) -> jinja2.nodes.Template:
    for loop in list(tree.find_all(jinja2.nodes.For)):
        loop.iter = jinja2.nodes.Filter(loop.iter, "in_limits", [], [], None, None, lineno=loop.lineno)
    for macro in list(tree.find_all(jinja2.nodes.Macro)):
        one = jinja2.nodes.Filter(jinja2.nodes.Const(MACRO), "in_limits", [], [], None, None, lineno=macro.lineno)
        macro.body.insert(0, jinja2.nodes.ExprStmt(one, lineno=macro.lineno))
        for name in macro.args:
            given = jinja2.nodes.Name(name.name, "load", lineno=macro.lineno)
            macro.body.insert(1, jinja2.nodes.ExprStmt(_in_size_of(given), lineno=macro.lineno))
    for value in list(tree.find_all(jinja2.nodes.Assign)):
        value.node = _in_size_of(value.node)
    for block in list(tree.find_all(jinja2.nodes.AssignBlock)):
        block.filter = _in_size_of(block.filter, block.lineno)
    return tree


def _in_size_of(node: jinja2.nodes.Expr | None, line: int | None = None) -> jinja2.nodes.Filter:
    return jinja2.nodes.Filter(node, "in_size", [], [], None, None, lineno=line or node.lineno)


def _in_size(value: Any) -> Any:
    """What a variable is given: text that grows, grows through one."""
    _bound(_length(value), "a variable")
    return value


def _length(value: Any) -> int:
    """Characters of a text, or of all that a list, tuple or mapping holds, as often as it stands there. Beyond SIZE it
    stops counting."""
    size, left = 0, [value]
    while left and size <= SIZE:
        one = left.pop()
        size += len(one) if isinstance(one, str) else EACH
        if isinstance(one, Mapping):
            left += one.values()
        elif isinstance(one, (list, tuple)):
            left += one
    return size


def _bounded(name: str, make: Callable) -> Callable:
    """A filter of jinja2's that makes longer text."""
    first = int(hasattr(make, "jinja_pass_arg"))  # the text comes after its context

    @functools.wraps(make)  # and with it what jinja2 gives it
    def bounded(*args: Any, **kwargs: Any) -> Any:
        of = args[first] if hasattr(args[first], "__len__") else str(args[first])
        _bound(_sized(GROWS[name], of, *args[first + 1 :], *kwargs.values()), name)
        return make(*args, **kwargs)

    return bounded


def _sized(grows: Callable[..., int], *args: Any) -> int:
    """0 for arguments that the function itself refuses."""
    try:
        return grows(*args)
    except (TypeError, AttributeError):
        return 0


@jinja2.pass_eval_context
def _join(context: Any, value: Any, by: str = "", attribute: Any = None) -> str:
    """As jinja2's."""
    parts = list(value)
    if attribute is not None:
        parts = list(map(jinja2.filters.make_attrgetter(context.environment, attribute), parts))
    _bound(_sized(GROWS["join"], by, parts), "join")
    return jinja2.filters.do_join(context, parts, by)


def _bound(size: int, what: str) -> None:
    if size > SIZE:
        raise OverflowError(f"{what} makes more than it may")


def _joined(pieces: Iterable[str]) -> str:
    made, size = [], 0
    for piece in pieces:
        made.append(piece)
        size += len(piece)
        if size > SIZE:
            raise OverflowError("it writes more than it may")
    return "".join(made)


@jinja2.pass_context
def _in_limits(context: Any, value: Any) -> Any:
    """What a loop goes over. Loops within loops are counted each time that they begin, and cost nothing a step."""
    if not hasattr(value, "__len__") and hasattr(value, "__iter__"):
        value = list(value)
    if hasattr(value, "__len__"):
        steps = context.parent[COUNT]
        steps[0] += len(value)
        if steps[0] > STEPS:
            raise OverflowError(f"its loops take more than {STEPS:,} steps")
    return value


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return simplejson.dumps(value, ensure_ascii=ensure_ascii, use_decimal=True, **options)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
