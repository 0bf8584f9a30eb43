"""Prompts inline in TypeScript or JavaScript specs: strings, template literals, `+`, constants of the file.

A scanner of tokens, not a compiler: it knows comments, quotes, templates, regular expressions and the
blocks that a constant is seen in, which is what decides where a text begins and ends.
"""

import re
import textwrap
from bisect import bisect_right
from dataclasses import dataclass

from tuneline.succession.inline_prompts import Found, Unread, Wanted, bounded

NAME = re.compile(r"[^\W\d][\w$]*|[$#][\w$]*")
NUMBER = re.compile(r"0[xob][\da-f_]+n?|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?n?", re.IGNORECASE)
SPACE = re.compile(r"\s+|//[^\n\r\u2028\u2029]*")
SIGN = re.compile(r"=>|\.\.\.|[=!]==?|\?\.|\?\?=?|&&=?|\|\|=?|\+\+|--|[-+*/%]=|.", re.DOTALL)
REGEX = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
# A `/` after one of these words begins a regular expression; after any other name it divides.
WORDS = {"return", "typeof", "case", "in", "of", "await", "yield", "throw", "new", "else", "do", "void", "delete"}
TYPES = {"string", "String", "unknown", "any", "never", "undefined", "null"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\n": "", "\u2028": "", "\u2029": ""}
ESCAPE = re.compile(r"\\(?:u\{([\da-fA-F]+)\}|u([\da-fA-F]{4})|x([\da-fA-F]{2})|(0)(?!\d)|(\r\n|[^ux\d]))", re.DOTALL)
TRIMS = {"trim": str.strip, "trimStart": str.lstrip, "trimEnd": str.rstrip, "toString": str}
OPEN, CLOSE = set("([{"), set(")]}")
ENDS = {",", ";", *CLOSE}
FILE = -1  # the block that is the whole file


@dataclass(frozen=True)
class Token:
    """`kind`: name, number, string, template, regex or sign. `text` is a string's value, escapes read.

    A template's `parts` are texts and the lists of tokens between ${ and }.
    """

    kind: str
    text: str
    line: int
    first_of_line: bool
    parts: tuple["str | tuple[Token, ...]", ...] = ()


class Broken(Exception):
    """(line, why): the file cannot be read from there on."""


def read_typescript(source: str, wanted: Wanted) -> Found:
    """The prompts of a spec. A file whose strings or templates do not end is one fault."""
    try:
        tokens = _Scanner(source).tokens()
        return _Reader(tokens, wanted).read()
    except Broken as error:
        line, why = error.args
        return Found(faults={(line, why)})
    except RecursionError:
        return Found(faults={(1, "nested too deep")})


class _Scanner:
    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0
        self.starts = [0, *(match.end() for match in re.finditer(r"\r\n|[\n\r]", source))]

    def tokens(self, inside_template: bool = False) -> tuple[Token, ...]:
        """To the end of the file, or to the } that closes an interpolation."""
        tokens: list[Token] = []
        depth, line_before, began = 0, -1, self.at
        while self._skip_blank():
            line, start = self._line(), self.at
            sign = self.source[start]
            if inside_template and sign == "}" and depth == 0:
                self.at += 1
                return tuple(tokens)
            token = self._token(sign, line, line != line_before, tokens[-1] if tokens else None)
            depth += (token.kind == "sign") * ((token.text == "{") - (token.text == "}"))
            tokens.append(token)
            line_before = self._line(self.at - 1)
        if inside_template:
            raise Broken(self._line(began), "an interpolation ${ that is not closed")
        return tuple(tokens)

    def _line(self, at: int | None = None) -> int:
        return bisect_right(self.starts, self.at if at is None else at)

    def _skip_blank(self) -> bool:
        """Past white space and comments; false at the end of the file."""
        while self.at < len(self.source):
            if blank := SPACE.match(self.source, self.at):
                self.at = blank.end()
            elif self.source.startswith("/*", self.at):
                end = self.source.find("*/", self.at + 2)
                if end < 0:
                    raise Broken(self._line(), "a comment /* that is not closed")
                self.at = end + 2
            elif self.at == 0 and self.source.startswith("#!"):
                self.at = len(self.source.partition("\n")[0])
            else:
                return True
        return False

    def _token(self, sign: str, line: int, first: bool, before: Token | None) -> Token:
        if sign in "'\"":
            return Token("string", self._string(sign), line, first)
        if sign == "`":
            parts = self._template()
            return Token("template", "", line, first, parts)
        for kind, pattern in (("name", NAME), ("number", NUMBER)):
            if match := pattern.match(self.source, self.at):
                self.at = match.end()
                return Token(kind, match[0], line, first)
        if sign == "/" and _may_begin(before) and (match := REGEX.match(self.source, self.at)):
            self.at = match.end()
            return Token("regex", match[0], line, first)
        match = SIGN.match(self.source, self.at)
        self.at = match.end()
        return Token("sign", match[0], line, first)

    def _string(self, quote: str) -> str:
        line, value = self._line(), []
        self.at += 1
        while self.at < len(self.source) and self.source[self.at] not in "\n\r":
            sign = self.source[self.at]
            if sign == quote:
                self.at += 1
                return _whole("".join(value), line)
            value.append(self._escape() if sign == "\\" else sign)
            self.at += sign != "\\"
        raise Broken(line, f"a string {quote} that is not closed")

    def _template(self) -> tuple[str | tuple[Token, ...], ...]:
        line, parts, value = self._line(), [], []
        self.at += 1
        while self.at < len(self.source):
            sign = self.source[self.at]
            if sign == "`":
                self.at += 1
                return (*parts, _whole("".join(value), line))
            if sign == "\\":
                value.append(self._escape())
            elif self.source.startswith("${", self.at):
                self.at += 2
                parts += [_whole("".join(value), line), self.tokens(inside_template=True)]
                value = []
            else:
                at_break = self.source.startswith("\r\n", self.at)
                value.append("\n" if at_break or sign == "\r" else sign)
                self.at += 1 + at_break
        raise Broken(line, "a template ` that is not closed")

    def _escape(self) -> str:
        match = ESCAPE.match(self.source, self.at)
        point = int(match[1] or match[2] or match[3] or "0", 16) if match else -1
        if not match or point > 0x10FFFF:
            raise Broken(self._line(), f"no such escape: {self.source[self.at : self.at + 6]!r}")
        self.at = match.end()
        if match[5]:
            return ESCAPES.get(match[5].replace("\r\n", "\n").replace("\r", "\n"), match[5])
        return chr(point)


def _whole(text: str, line: int) -> str:
    """Two escaped halves of a sign are the sign."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Broken(line, "half a surrogate pair") from None


def _may_begin(before: Token | None) -> bool:
    """May an expression begin after this token? After a value it may not."""
    if before is None or before.kind == "sign":
        return before is None or before.text not in (")", "]", "++", "--")
    return before.kind == "name" and before.text in WORDS


class _Reader:
    def __init__(self, tokens: tuple[Token, ...], wanted: Wanted) -> None:
        self.wanted, self.found = wanted, Found()
        self.tokens, self.blocks = tokens, _Blocks(tokens)
        self.constants: dict[tuple[int, str], list[int]] = {}  # block, name → where its values begin, -1 unknown
        self.resolving: set[int] = set()
        self.resolved: dict[int, str | float] = {}
        for at in range(len(tokens)):
            self._note_constant(at)

    def read(self) -> Found:
        for at in range(len(self.tokens)):
            if (start := self._prompt_at(at)) is not None:
                self._take(start)
        return self.found

    def _sign(self, at: int) -> str:
        """The sign at a place; nothing where there is another token, or none."""
        inside = 0 <= at < len(self.tokens)
        return self.tokens[at].text if inside and self.tokens[at].kind == "sign" else ""

    def _word(self, at: int) -> str:
        inside = 0 <= at < len(self.tokens)
        return self.tokens[at].text if inside and self.tokens[at].kind == "name" else ""

    def _note_constant(self, at: int) -> None:
        """`NAME = …`, with its type or without; += and the like make a name one that nobody knows."""
        if not self._word(at) or self._sign(at - 1) in (".", "?."):
            return
        begins = self._value_of_assignment(at)
        if begins is not None:
            start = begins if self._sign(begins - 1) == "=" else -1
            self.constants.setdefault((self.blocks.around[at], self._word(at)), []).append(start)

    def _value_of_assignment(self, at: int) -> int | None:
        """Where the value begins that is assigned to the name at `at`; its type annotation is passed over."""
        after = at + 1
        if self._sign(after) in ("?", "!"):
            after += 1
        if self._sign(after) == ":" and self._word(at - 1) in ("const", "let", "var", "readonly", "public", "private"):
            while after < len(self.tokens) and self._sign(after) not in ("=", ";", "=>"):
                after += 1
        return after + 1 if self._sign(after) in ("=", "+=", "??=", "||=") else None

    def _prompt_at(self, at: int) -> int | None:
        """Where the expression begins that the token at `at` says is a prompt."""
        token = self.tokens[at]
        if token.kind == "name" and token.text in self.wanted.calls and self._sign(at + 1) == "(":
            arguments = self._entries(at + 1)
            return None if self._word(at - 1) == "function" or not arguments else arguments[-1]
        if token.kind not in ("name", "string") or not self.wanted.is_name(token.text):
            return None
        is_key = self._sign(at - 1) in ("{", ",") and self._sign(at + 1) == ":"
        if is_key and self._word(at + 2) not in TYPES:
            return at + 2
        return self._value_of_assignment(at) if token.kind == "name" else None

    def _entries(self, opened: int) -> list[int]:
        """Where each argument or element begins after an opening bracket; none when it is not closed."""
        closed = self.blocks.closed.get(opened, -1)
        begins, at = [opened + 1], opened + 1
        while at < closed:
            if self._sign(at) == ",":
                begins.append(at + 1)
            at = self.blocks.closed.get(at, at) + 1
        return [start for start in begins if start < closed]

    def _take(self, start: int) -> None:
        first = self.tokens[start] if start < len(self.tokens) else None
        if first is None or self._sign(start) == "{":
            return  # what is inside has names of its own
        if self._sign(start) == "[":
            for element in self._entries(start):
                self._take(element)
            return
        try:
            if self._sign(start - 1) != "=" and self._sign(start - 1).endswith("="):
                raise Unread("added to a text afterwards")
            value, _ = self._expression(self.tokens, start, self.blocks.around[start])
        except Unread as error:
            self._refuse(start, str(error))
            return
        if isinstance(value, str):
            self.found.add(self._text_line(start), value, self.wanted)

    def _text_line(self, start: int) -> int:
        """Where the text itself stands, when all of it is a constant."""
        while self.tokens[start].kind == "name" and self._ends(start + 1):
            start = self._definition(self.tokens[start].text, self.blocks.around[start])
        return self.tokens[start].line

    def _ends(self, at: int) -> bool:
        """Is an expression over at this token, so far as signs and lines tell?"""
        if at >= len(self.tokens) or self._sign(at):
            return at >= len(self.tokens) or self._sign(at) in ENDS
        return self.tokens[at].first_of_line

    def _refuse(self, start: int, why: str) -> None:
        """A fault when the expression holds a text that is long enough for a prompt; else it is made elsewhere."""
        within: list[bool] = []  # of each open bracket: is it a group, whose texts are the expression's own?
        own: list[str] = []
        for at in range(start, len(self.tokens)):
            sign, token = self._sign(at), self.tokens[at]
            if not within and sign in ENDS:
                break
            if sign in OPEN:
                within.append(sign == "(" and _may_begin(self.tokens[at - 1]))
            elif sign in CLOSE:
                within.pop()
            elif all(within):
                own += [token.text] if token.kind == "string" else [p for p in token.parts if isinstance(p, str)]
        if self.wanted.is_long_enough(" ".join(own)):
            self.found.faults.add((self.tokens[start].line, why))
        else:
            self.found.elsewhere += 1

    def _expression(self, tokens: tuple[Token, ...], at: int, block: int) -> tuple[str | float, int]:
        """(value, place after it) of operands joined by +. Raises Unread."""
        value, at = self._operand(tokens, at, block)
        while _is_sign(tokens, at, "+"):
            other, at = self._operand(tokens, at + 1, block)
            are_numbers = not isinstance(value, str) and not isinstance(other, str)
            value = value + other if are_numbers else bounded([_as_text(value), _as_text(other)])
        while at + 1 < len(tokens) and tokens[at].text in ("as", "satisfies") and tokens[at].kind == "name":
            at += 2
        after = tokens[at] if at < len(tokens) else None
        ends = after is None or (after.kind == "sign" and after.text in ENDS)
        if not ends and not (after.first_of_line and after.kind != "sign"):
            raise Unread(f"`{after.text}` after a text is not known without running the spec")
        return value, at

    def _operand(self, tokens: tuple[Token, ...], at: int, block: int) -> tuple[str | float, int]:
        if at >= len(tokens):
            raise Unread("an empty ${}")
        token = tokens[at]
        value: str | float
        if token.kind == "string":
            value = token.text
        elif token.kind == "template":
            value = self._template(token, block)
        elif token.kind == "number":
            value = _number(token.text)
        elif _is_sign(tokens, at, "("):
            value, at = self._expression(tokens, at + 1, block)
            if not _is_sign(tokens, at, ")"):
                raise Unread("parentheses that are not read")
        elif token.text == "dedent" and at + 1 < len(tokens) and tokens[at + 1].kind == "template":
            at += 1
            value = textwrap.dedent(self._template(tokens[at], block)).strip()
        elif token.kind == "name":
            value = self._constant(token.text, block)
        else:
            raise Unread(f"`{token.text}` is not known without running the spec")
        return self._trimmed(value, tokens, at + 1)

    def _trimmed(self, value: str | float, tokens: tuple[Token, ...], at: int) -> tuple[str | float, int]:
        """Past .trim() and its like."""
        while _is_sign(tokens, at, "."):
            name = tokens[at + 1].text if at + 1 < len(tokens) else ""
            if name not in TRIMS or not (_is_sign(tokens, at + 2, "(") and _is_sign(tokens, at + 3, ")")):
                raise Unread(f"`.{name}` is not known without running the spec")
            value, at = TRIMS[name](_as_text(value)), at + 4
        if at < len(tokens) and tokens[at].kind == "template":
            raise Unread("a template with a tag other than dedent")
        return value, at

    def _template(self, token: Token, block: int) -> str:
        parts = [p if isinstance(p, str) else _as_text(self._expression(p, 0, block)[0]) for p in token.parts]
        return bounded(parts)

    def _constant(self, name: str, block: int) -> str | float:
        start = self._definition(name, block)
        if start in self.resolving:
            raise Unread(f"`{name}` is defined by itself")
        if start not in self.resolved:
            self.resolving.add(start)
            try:
                self.resolved[start], _ = self._expression(self.tokens, start, self.blocks.around[start])
            finally:
                self.resolving.remove(start)
        return self.resolved[start]

    def _definition(self, name: str, block: int) -> int:
        """Where the value of a name begins: the one of the innermost block around it that assigns it."""
        while (block, name) not in self.constants:
            if block == FILE:
                raise Unread(f"`{name}` is not a constant of this file")
            block = self.blocks.around[block]
        values = self.constants[block, name]
        if len(values) > 1 or values[0] < 0:
            raise Unread(f"`{name}` has more than one value")
        return values[0]


class _Blocks:
    """`around`: the place of the { of the block around each token, FILE outside of all. `closed`: bracket → its end."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.around: list[int] = []
        self.closed: dict[int, int] = {}
        braces, brackets = [FILE], []
        for at, token in enumerate(tokens):
            sign = token.text if token.kind == "sign" else ""
            if sign in CLOSE and brackets:
                self.closed[brackets.pop()] = at
                if sign == "}" and len(braces) > 1:
                    braces.pop()
            self.around.append(braces[-1])
            if sign in OPEN:
                brackets.append(at)
                if sign == "{":
                    braces.append(at)


def _is_sign(tokens: tuple[Token, ...], at: int, sign: str) -> bool:
    return at < len(tokens) and tokens[at].kind == "sign" and tokens[at].text == sign


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
