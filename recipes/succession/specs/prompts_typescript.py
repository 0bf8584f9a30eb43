"""Prompts inline in TypeScript or JavaScript specs: strings, template literals, `+`, constants of the file.

Parsed by tree-sitter, and nothing is run. It reads on after code that it does not know, which is one
fault; where a string or a comment does not end, nobody can tell text from code, and nothing is read.
"""

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from .inline_prompts import Found, Unread, Wanted, bounded

PARSER = Parser(Language(tree_sitter_typescript.language_typescript()))
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\n": "", "\u2028": "", "\u2029": ""}
ESCAPE = re.compile(r"\\(?:u\{([\da-fA-F]+)\}|u([\da-fA-F]{4})|x([\da-fA-F]{2})|(0)(?!\d)|([^ux\d])|)", re.DOTALL)
TRIMS = {"trim": str.strip, "trimStart": str.lstrip, "trimEnd": str.rstrip, "toString": str}
ASSIGNMENTS = {  # what gives a name a value: the fields of the two
    "variable_declarator": ("name", "value"),
    "assignment_expression": ("left", "right"),
    "augmented_assignment_expression": ("left", "right"),
    "object_assignment_pattern": ("left", "right"),
    "required_parameter": ("pattern", "value"),
    "optional_parameter": ("pattern", "value"),
    "public_field_definition": ("name", "value"),
    "enum_assignment": ("name", "value"),
    "pair": ("key", "value"),
}
SCOPES = {
    "statement_block", "class_body", "for_statement", "for_in_statement", "function_declaration", "function_expression",
    "arrow_function", "method_definition", "generator_function", "generator_function_declaration",
}  # fmt: skip
FILE = 0  # the scope that is the whole file
WRAPPERS = {"parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression"}
NOT_OWN = {"arguments", "array", "object", "statement_block", "template_substitution"}  # their texts are others'
UNCLOSED = {  # a sign that has no place in the tree → why nothing is read; of several the first of these
    "/*": "a comment /* that is not closed",
    "\\": "no such escape: ",
    "${": "an interpolation ${ that is not closed",
    "`": "a template ` that is not closed",
    "'": "a string ' that is not closed",
    '"': 'a string " that is not closed',
}


class Placed(NamedTuple):
    node: Node
    scope: int  # the id of the innermost node of SCOPES around it, or FILE


def read_typescript(source: str, wanted: Wanted) -> Found:
    """The prompts of a spec. A file whose strings or templates do not end is one fault."""
    code = source.replace("\0", "\\x00").encode()  # the grammar takes a NUL for the end
    root = PARSER.parse(code).root_node
    if root.has_error and (fault := _unclosed(root, code)):
        return Found(faults={fault})
    try:
        return _Reader(root, wanted).read()
    except RecursionError:
        return Found(faults={(1, "nested too deep")})


def _unclosed(root: Node, code: bytes) -> tuple[int, str] | None:
    """(line, why) of what does not end."""
    found: dict[str, tuple[int, str]] = {}
    for node in (node for node, _ in _walk(root) if node.is_error or (node.is_missing and node.type in "`'\"}")):
        # What has no place, or what the parser closed by itself.
        odd = (node.children or [node]) if node.is_error else node.parent.children[:1]
        for leaf in (leaf for leaf in odd if not leaf.child_count):
            after = code[leaf.start_byte : leaf.start_byte + 24].decode(errors="ignore")
            sign = next((sign for sign in UNCLOSED if after.startswith(sign) and _text(leaf)[:1] == sign[:1]), "")
            if sign:
                found.setdefault(sign, (_line(leaf), UNCLOSED[sign] + (repr(after[:6]) if sign == "\\" else "")))
    return next((found[sign] for sign in UNCLOSED if sign in found), None)


class _Reader:
    def __init__(self, root: Node, wanted: Wanted) -> None:
        self.wanted, self.found = wanted, Found()
        self.placed = list(_walk(root))
        self.outer: dict[int, int] = {}  # scope → the one around it
        self.constants: dict[tuple[int, str], list[Placed | None]] = {}  # scope, name → its values, None of the run
        self.resolving: set[int] = set()
        self.resolved: dict[int, str | float] = {}
        for placed in self.placed:
            self._note(*placed)

    def _note(self, node: Node, scope: int) -> None:
        """The scope that a node is, and the constant that it makes."""
        name, value = _assigned(node)
        if node.type in SCOPES:
            self.outer[node.id] = scope
            name, scope = node.child_by_field_name("left") or node.child_by_field_name("parameter"), node.id
        if node.type == "shorthand_property_identifier_pattern":
            name = node
        is_constant = node.type in ("variable_declarator", "assignment_expression") and not node.has_error
        is_name = name and name.type in ("identifier", "shorthand_property_identifier_pattern")
        if is_name and (value or node.type != "variable_declarator"):
            known = Placed(value, scope) if is_constant else None
            self.constants.setdefault((scope, _text(name)), []).append(known)

    def read(self) -> Found:
        if broken := next((node for node, _ in self.placed if node.is_error or node.is_missing), None):
            self.found.faults.add((_line(broken), f"no TypeScript: `{_said(broken) or _said(broken.parent)}`"))
        for node, scope in self.placed:
            for value in self._prompts(node):
                self._take(value, scope)
        return self.found

    def _prompts(self, node: Node) -> list[Node]:
        """The expressions that this node says are prompts."""
        name, value = _assigned(node)
        if name and value and self.wanted.is_name(_name(name)) and _is_whole(node):
            if node.type != "augmented_assignment_expression":
                return [value]
            self._refuse(value, "added to a text afterwards")
        if node.type == "call_expression" and _name(node.child_by_field_name("function")) in self.wanted.calls:
            arguments = node.child_by_field_name("arguments")
            return [] if arguments.has_error or arguments.type != "arguments" else _inside(arguments)[-1:]
        return []

    def _take(self, value: Node, scope: int) -> None:
        bare = _unwrapped(value)
        if bare.type == "object":
            return  # what is inside has names of its own
        if bare.type == "array":
            for element in _inside(bare):
                self._take(element, scope)
            return
        try:
            text, line = self._value(value, scope), self._text_line(value, scope)
        except Unread as error:
            self._refuse(value, str(error))
            return
        if isinstance(text, str):
            self.found.add(line, text, self.wanted)

    def _text_line(self, node: Node, scope: int) -> int:
        """Where the text itself stands, when all of it is a constant."""
        while node.type == "identifier":
            node, scope = self._definition(_text(node), scope)
        return _line(node)

    def _refuse(self, value: Node, why: str) -> None:
        """A fault when the expression holds a text that is long enough for a prompt; else it is made elsewhere."""
        if self.wanted.is_long_enough(" ".join(_own_texts(value))):
            self.found.faults.add((_line(value), why))
        else:
            self.found.elsewhere += 1

    def _value(self, node: Node, scope: int) -> str | float:
        """The value of a constant expression. Raises Unread."""
        inside = _inside(node)
        match node.type:
            case "string":
                return _unescaped(_text(node)[1:-1])
            case "template_string":
                return self._template(node, scope)
            case "number":
                return _number(_text(node))
            case "identifier":
                return self._constant(_text(node), scope)
            case "binary_expression" if _is_sum(node):
                return self._sum(node, scope)
            case "call_expression":
                return self._call(node, scope)
            case kind if kind in WRAPPERS:
                return self._value(inside[0], scope)
        if inside:
            self._value(inside[0], scope)  # if it is not known either, that is the better reason
        raise Unread(f"`{_said(node)}` is not known without running the spec")

    def _template(self, node: Node, scope: int) -> str:
        parts, raw = [], ""
        for child in node.named_children:
            if child.type == "template_substitution":
                parts += [_unescaped(raw), _as_text(self._value(_inside(child)[0], scope))]
                raw = ""
            else:
                raw += _text(child)
        return bounded([*parts, _unescaped(raw)])

    def _sum(self, node: Node, scope: int) -> str | float:
        operands = []
        while _is_sum(node):  # a text of hundreds of lines is as deep a tree
            operands.append(node.child_by_field_name("right"))
            node = node.child_by_field_name("left")
        value = self._value(node, scope)
        for operand in reversed(operands):
            other = self._value(operand, scope)
            are_numbers = not isinstance(value, str) and not isinstance(other, str)
            value = value + other if are_numbers else bounded([_as_text(value), _as_text(other)])
        return value

    def _call(self, node: Node, scope: int) -> str:
        """dedent`…` and .trim() and its like. Raises Unread for any other call."""
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if _text(function) == "dedent" and arguments.type == "template_string":
            return textwrap.dedent(self._template(arguments, scope)).strip()
        value = self._value(_inside(function)[0] if function.type == "member_expression" else function, scope)
        if _name(function) in TRIMS and arguments.type == "arguments" and not _inside(arguments):
            return TRIMS[_name(function)](_as_text(value))
        raise Unread(f"`.{_name(function)}` is not known without running the spec")

    def _constant(self, name: str, scope: int) -> str | float:
        node, scope = self._definition(name, scope)
        if node.id in self.resolving:
            raise Unread(f"`{name}` is defined by itself")
        if node.id not in self.resolved:
            self.resolving.add(node.id)
            try:
                self.resolved[node.id] = self._value(node, scope)
            finally:
                self.resolving.remove(node.id)
        return self.resolved[node.id]

    def _definition(self, name: str, scope: int) -> Placed:
        """What a name stands for: the value in the innermost scope that assigns it."""
        while (scope, name) not in self.constants and scope != FILE:
            scope = self.outer[scope]
        values = self.constants.get((scope, name), [None])
        if len(values) > 1:
            raise Unread(f"`{name}` has more than one value")
        if values[0] is None:
            raise Unread(f"`{name}` is not a constant of this file")
        return values[0]


def _walk(root: Node) -> Iterator[Placed]:
    """All nodes, in the order of the file."""
    nodes = [Placed(root, FILE)]
    while nodes:
        node, scope = nodes.pop()
        yield Placed(node, scope)
        inner = node.id if node.type in SCOPES else scope
        nodes += [Placed(child, inner) for child in reversed(node.children)]


def _assigned(node: Node) -> tuple[Node | None, Node | None]:
    """(name, value) of what gives a name a value."""
    name, value = ASSIGNMENTS.get(node.type, ("", ""))
    return (node.child_by_field_name(name), node.child_by_field_name(value)) if name else (None, None)


def _is_whole(node: Node) -> bool:
    """Is nothing in it unknown to the parser, nor right after it, as the last + of « 'a' + }» is?"""
    return not (node.has_error or (node.next_sibling and node.next_sibling.is_error))


def _own_texts(node: Node) -> list[str]:
    """The strings of an expression, but for those that a call is given. An escape counts as a blank."""
    if node.type in ("string_fragment", "string"):
        return [ESCAPE.sub(" ", _text(node).strip("'\""))]
    return [text for child in _inside(node) if child.type not in NOT_OWN for text in _own_texts(child)]


def _unescaped(raw: str) -> str:
    """What a string or a template says. Raises Unread."""

    def sign(match: re.Match[str]) -> str:
        if match[5]:
            return ESCAPES.get(match[5], match[5])
        point = int(match[1] or match[2] or match[3] or match[4] or "110000", 16)
        if point > 0x10FFFF:
            raise Unread(f"no such escape: {match.string[match.start() : match.start() + 6]!r}")
        return chr(point)

    text = ESCAPE.sub(sign, raw.replace("\r\n", "\n").replace("\r", "\n"))
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")  # two escaped halves of a sign are the sign
    except UnicodeDecodeError:
        raise Unread("half a surrogate pair") from None


def _unwrapped(node: Node) -> Node:
    while node.type in WRAPPERS:
        node = _inside(node)[0]
    return node


def _is_sum(node: Node) -> bool:
    return node.type == "binary_expression" and _text(node.child_by_field_name("operator")) == "+"


def _inside(node: Node) -> list[Node]:
    """The named nodes in a node, without comments."""
    return [child for child in node.named_children if not child.is_extra]


def _name(node: Node) -> str:
    """Of `x`, `'x'`, `a.x` and so on: x; of anything else nothing."""
    if node.type == "member_expression":
        node = node.child_by_field_name("property")
    return _text(node).strip("'\"") if node.type.endswith(("identifier", "string", "identifier_pattern")) else ""


def _text(node: Node) -> str:
    return node.text.decode()


def _said(node: Node) -> str:
    return next(iter(_text(node).splitlines()), "")[:60]


def _line(node: Node) -> int:
    return node.start_point.row + 1


def _number(text: str) -> float:
    plain = text.replace("_", "").rstrip("n").lower()
    try:
        return float(int(plain, 0)) if plain[:2] in ("0x", "0o", "0b") else float(plain)
    except (ValueError, OverflowError):
        raise Unread(f"`{text[:20]}` is no number") from None


def _as_text(value: str | float) -> str:
    """As JavaScript writes it: 2.0 is 2."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e21 else repr(float(value))
