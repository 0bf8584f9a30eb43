"""Prompts inline in Python specs, read by `ast`: literals, f-strings, concatenations, constants of the file.

Nothing is imported or run.
"""

import ast
import re
import textwrap
import warnings

from .inline_prompts import Found, Unread, Wanted, bounded

TEXT_METHODS = {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}
WIDE = re.compile(r"\d{4}")  # what no text for people needs
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def read_python(source: str, wanted: Wanted) -> Found:
    """The prompts of a spec. A file that is no Python is one fault, at the line where it ends to be."""
    found = Found()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is the spec's own affair
            tree = ast.parse(source)
        _Reader(tree, wanted, found).visit(tree)
    except SyntaxError as error:
        found = Found(faults={(error.lineno or 1, f"no Python: {error.msg}")})
    except (ValueError, RecursionError, MemoryError) as error:
        found = Found(faults={(1, f"no Python: {error or 'nested too deep'}")})
    return found


class _Reader(ast.NodeVisitor):
    def __init__(self, tree: ast.Module, wanted: Wanted, found: Found) -> None:
        self.wanted, self.found = wanted, found
        self.scopes: list[ast.AST] = []
        self.constants = {node: _constants(node) for node in ast.walk(tree) if isinstance(node, SCOPES)}
        self.resolving: set[ast.AST] = set()
        self.resolved: dict[ast.AST, object] = {}

    def visit(self, node: ast.AST) -> None:
        for value in self._prompts(node):
            self._take(value)
        entered = isinstance(node, SCOPES)
        if entered:
            self.scopes.append(node)
        self.generic_visit(node)
        if entered:
            self.scopes.pop()

    def _prompts(self, node: ast.AST) -> list[ast.expr]:
        """The expressions that this node says are prompts."""
        is_name = self.wanted.is_name
        match node:
            case ast.Assign(targets=targets, value=value) if any(is_name(_name(target)) for target in targets):
                return [value]
            case ast.AnnAssign(target=target, value=ast.expr() as value) if is_name(_name(target)):
                return [value]
            case ast.AugAssign(target=target, value=value) if is_name(_name(target)):
                self._refuse(value, "added to a text afterwards")
            case ast.keyword(arg=str(name), value=value) if is_name(name):
                return [value]
            case ast.Dict(keys=keys, values=values):
                return [v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and _is(k, is_name)]
            case ast.Call(func=function, args=args, keywords=keywords) if _name(function) in self.wanted.calls:
                last = [*args, *(keyword.value for keyword in keywords)][: max(1, len(args))]
                return last[-1:]
        return []

    def _take(self, value: ast.expr) -> None:
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            for element in value.elts:
                self._take(element)
            return
        try:
            text, line = self._text(value), self._line(value)
        except Unread as error:
            self._refuse(value, str(error))
            return
        if isinstance(text, str):
            self.found.add(line, text, self.wanted)

    def _refuse(self, value: ast.expr, why: str) -> None:
        """A fault when the expression holds a text that is long enough for a prompt; else it is made elsewhere."""
        if self.wanted.is_long_enough(" ".join(_own_texts(value))):
            self.found.faults.add((value.lineno, why))
        else:
            self.found.elsewhere += 1

    def _line(self, value: ast.expr) -> int:
        """Where the text itself stands, when it is a constant."""
        while isinstance(value, ast.Name | ast.Attribute):
            value = self._definition(value)
        return value.lineno

    def _text(self, node: ast.expr) -> object:
        """The value of a constant expression. Raises Unread."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.JoinedStr(values=values):
                return bounded([str(self._text(value)) for value in values])
            case ast.FormattedValue(value=value, conversion=conversion, format_spec=form):
                return self._formatted(self._text(value), conversion, self._text(form) if form else "")
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one, other = self._text(left), self._text(right)
                if isinstance(one, str) and isinstance(other, str):
                    return bounded([one, other])
            case ast.Name() | ast.Attribute():
                return self._constant(node)
            case ast.Call(func=function, args=[argument], keywords=[]) if _name(function) == "dedent":
                return textwrap.dedent(str(self._text(argument)))
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=[], keywords=[]) if name in TEXT_METHODS:
                return TEXT_METHODS[name](str(self._text(value)))
        raise Unread(f"`{_said(node)}` is not known without running the spec")

    def _formatted(self, value: object, conversion: int, form: object) -> str:
        if WIDE.search(str(form)):
            raise Unread(f"a format as wide as {form}")
        converted = {ord("s"): str, ord("r"): repr, ord("a"): ascii}.get(conversion, lambda same: same)(value)
        try:
            return format(converted, str(form))
        except (ValueError, TypeError, OverflowError) as error:
            raise Unread(str(error)) from None

    def _constant(self, node: ast.Name | ast.Attribute) -> object:
        value = self._definition(node)
        if value in self.resolving:
            raise Unread(f"`{_said(node)}` is defined by itself")
        if value not in self.resolved:
            self.resolving.add(value)
            try:
                self.resolved[value] = self._text(value)
            finally:
                self.resolving.remove(value)
        return self.resolved[value]

    def _definition(self, node: ast.Name | ast.Attribute) -> ast.expr:
        """What a name stands for: the innermost scope that assigns it, as Python looks it up."""
        here = [scope for scope in self.scopes if not isinstance(scope, ast.ClassDef) or scope is self.scopes[-1]]
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                raise Unread(f"`{_said(node)}` is not known without running the spec")
            here = [scope for scope in self.scopes if isinstance(scope, ast.ClassDef)][-1:]
        name = _name(node)
        for scope in reversed(here):
            if values := self.constants[scope].get(name):
                if len(values) > 1 or values[0] is None:
                    raise Unread(f"`{_said(node)}` has more than one value, or one of the run")
                return values[0]
        raise Unread(f"`{_said(node)}` is not a constant of this file")


def _constants(scope: ast.AST) -> dict[str, list[ast.expr | None]]:
    """Name → what this scope assigns to it, None where that is no expression: parameters, loops, imports."""
    constants: dict[str, list[ast.expr | None]] = {}
    taken: set[ast.AST] = set()
    nodes = list(ast.iter_child_nodes(scope))
    while nodes:
        node = nodes.pop()
        match node:
            case ast.Assign(targets=[ast.Name() as target], value=value) | ast.NamedExpr(target=target, value=value):
                constants.setdefault(target.id, []).append(value)
                taken.add(target)
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                constants.setdefault(target.id, []).append(value)
                taken.add(target)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if node not in taken:
                constants.setdefault(name, []).append(None)
        if not isinstance(node, SCOPES):
            nodes.extend(ast.iter_child_nodes(node))
    return constants


def _own_texts(node: ast.AST) -> list[str]:
    """The strings of an expression, but for those that a call is given."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    inside = [node.func] if isinstance(node, ast.Call) and _name(node.func) != "dedent" else ast.iter_child_nodes(node)
    return [text for child in inside for text in _own_texts(child)]


def _name(node: ast.AST) -> str:
    """Of `x`, `a.x` and so on: x; of anything else nothing."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is(key: ast.Constant, is_name) -> bool:
    return isinstance(key.value, str) and is_name(key.value)


def _said(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0][:60]
