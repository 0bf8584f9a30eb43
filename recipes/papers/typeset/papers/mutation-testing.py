"""Mutation testing of ten small functions: which changed versions do four kinds of test suite notice?

Every mutant differs from the original by one operator, constant or condition. A suite kills a mutant when one of its
tests fails, raises an exception or exceeds a budget of executed lines (that is how endless loops end; no clock).
Line coverage is measured by the same tracing hook.
"""

import ast
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType, FrameType

import numpy as np
from matplotlib.axes import Axes

SOURCES = {
    "clamp": """
def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x
""",
    "leap": """
def leap(year):
    if year % 400 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0
""",
    "gcd": """
def gcd(a, b):
    while b != 0:
        a, b = b, a % b
    return a
""",
    "find": """
def find(items, wanted):
    low = 0
    high = len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
""",
    "median": """
def median(items):
    ordered = sorted(items)
    half = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
""",
    "merge": """
def merge(spans):
    merged = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
""",
    "overlap": """
def overlap(a, b, c, d):
    return a < d and c < b
""",
    "backoff": """
def backoff(attempt, base, limit):
    delay = base * 2 ** attempt
    if delay > limit:
        return limit
    return delay
""",
    "pages": """
def pages(items, size):
    if items == 0:
        return 1
    return (items + size - 1) // size
""",
    "checksum": """
def checksum(digits):
    total = 0
    for i, d in enumerate(reversed(digits)):
        if i % 2 == 1:
            d = d * 2
            if d > 9:
                d = d - 9
        total += d
    return total % 10 == 0
""",
}

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
CLASSES = ("boundary", "comparison", "arithmetic", "constant", "logic", "condition")
BOUNDARY = {(ast.Lt, ast.LtE), (ast.LtE, ast.Lt), (ast.Gt, ast.GtE), (ast.GtE, ast.Gt)}
BUDGET = 5_000  # executed lines a test may take; the longest honest one takes about 1,200
RANDOM_INPUTS = 100
ORDERS = 300

Case = tuple[tuple, object]  # arguments and the result they should give
Test = Callable[[Callable], bool]


@dataclass(frozen=True)
class Mutant:
    function: str
    kind: str
    text: str


def swapped(node: ast.AST) -> Iterator[tuple[str, str, object]]:
    """(field, class of change, replacement) of each operator change that `node` allows."""
    if isinstance(node, ast.Compare):
        for new in SWAPS.get(type(node.ops[0]), ()):
            kind = "boundary" if (type(node.ops[0]), new) in BOUNDARY else "comparison"
            yield "ops", kind, [new()]
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        yield from (("op", "arithmetic", new()) for new in SWAPS.get(type(node.op), ()))
    elif isinstance(node, ast.BoolOp):
        yield from (("op", "logic", new()) for new in SWAPS[type(node.op)])
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", "constant", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield from (("value", "constant", node.value + step) for step in (1, -1))
    elif isinstance(node, ast.If | ast.While):
        yield from (("test", "condition", ast.Constant(value)) for value in (True, False))


@cache
def mutants() -> tuple[Mutant, ...]:
    """All mutants, each with its source text; duplicates of one another and of the original are left out."""
    found: dict[str, Mutant] = {}
    for name, source in SOURCES.items():
        tree = ast.parse(source)
        original = ast.unparse(tree)
        for node in ast.walk(tree):
            for field, kind, new in swapped(node):
                old = getattr(node, field)
                setattr(node, field, new)
                text = ast.unparse(ast.fix_missing_locations(tree))
                setattr(node, field, old)
                if text != original:
                    found.setdefault(text, Mutant(name, kind, text))
    return tuple(found.values())


def compiled(name: str, text: str) -> Callable:
    space: dict[str, Callable] = {}
    exec(compile(text, f"<{name}>", "exec"), space)
    return space[name]


@cache
def originals() -> dict[str, Callable]:
    return {name: compiled(name, ast.unparse(ast.parse(source))) for name, source in SOURCES.items()}


class BudgetError(Exception):
    """A test ran for too many lines."""


def traced(test: Test, function: Callable) -> tuple[bool, set[int], int]:
    """Whether the test passes, the lines of `function` it executed, and how many line events that took."""
    code: CodeType = function.__code__
    lines: set[int] = set()
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        nonlocal count
        if frame.f_code is not code:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
            count += 1
            if count > BUDGET:
                raise BudgetError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        passed = bool(test(function))
    except Exception:
        passed = False
    finally:
        sys.settrace(before)
    return passed, lines, count


# What somebody writes from the documentation: ordinary values, a result each.
EXAMPLES: dict[str, list[Case]] = {
    "clamp": [((5, 0, 10), 5), ((-3, 0, 10), 0), ((42, 0, 10), 10)],
    "leap": [((2023,), False), ((2024,), True), ((1900,), False), ((2000,), True)],
    "gcd": [((12, 18), 6), ((35, 14), 7), ((9, 4), 1)],
    "find": [(([1, 3, 5, 7], 5), 2), (([1, 3, 5, 7], 4), 2), (([2, 4], 9), 2)],
    "median": [(([3, 1, 2],), 2), (([4, 1, 3, 2],), 2.5), (([5, 9, 7, 1, 3],), 5)],
    "merge": [(([(1, 3), (2, 5)],), [(1, 5)]), (([(6, 8), (1, 3)],), [(1, 3), (6, 8)])],
    "overlap": [((1, 5, 3, 8), True), ((1, 2, 6, 8), False), ((6, 8, 1, 2), False)],
    "backoff": [((0, 1, 60), 1), ((3, 1, 60), 8), ((10, 1, 60), 60)],
    "pages": [((25, 10), 3), ((7, 10), 1), ((0, 10), 1)],
    "checksum": [(([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3],), True), (([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 0],), False)],
}

# The edges of each range: equal, one below, one above, empty, single.
EDGES: dict[str, list[Case]] = {
    "clamp": [
        ((0, 0, 10), 0),
        ((-1, 0, 10), 0),
        ((1, 0, 10), 1),
        ((10, 0, 10), 10),
        ((11, 0, 10), 10),
        ((9, 0, 10), 9),
    ],
    "leap": [((1,), False), ((4,), True), ((99,), False), ((100,), False), ((400,), True), ((401,), False)],
    "gcd": [((0, 0), 0), ((0, 7), 7), ((7, 0), 7), ((1, 1), 1), ((6, 6), 6)],
    "find": [(([], 1), 0), (([2], 1), 0), (([2], 2), 0), (([2], 3), 1), (([2, 2], 2), 0)],
    "median": [(([4],), 4), (([4, 6],), 5), (([4, 4],), 4), (([1, 1, 2],), 1)],
    "merge": [
        (([],), []),
        (([(1, 1)],), [(1, 1)]),
        (([(1, 2), (2, 3)],), [(1, 3)]),
        (([(1, 2), (3, 4)],), [(1, 2), (3, 4)]),
        (([(1, 4), (2, 3)],), [(1, 4)]),
    ],
    "overlap": [((1, 2, 2, 3), False), ((2, 3, 1, 2), False), ((1, 3, 2, 4), True), ((1, 2, 1, 2), True)],
    "backoff": [((0, 0, 0), 0), ((1, 1, 2), 2), ((2, 1, 3), 3), ((2, 1, 4), 4), ((2, 1, 5), 4)],
    "pages": [((0, 1), 1), ((1, 1), 1), ((9, 10), 1), ((10, 10), 1), ((11, 10), 2)],
    "checksum": [
        (([],), True),
        (([0],), True),
        (([1],), False),
        (([4, 2],), True),
        (([5, 9],), True),
        (([9, 1],), True),
    ],
}


def lists(rng: random.Random) -> list[int]:
    return [rng.randint(-20, 20) for _ in range(rng.randint(0, 12))]


def spans(rng: random.Random) -> list[tuple[int, int]]:
    starts = [rng.randint(0, 40) for _ in range(rng.randint(0, 8))]
    return [(start, start + rng.randint(0, 8)) for start in starts]


INPUTS: dict[str, Callable[[random.Random], tuple]] = {
    "clamp": lambda r: (r.randint(-99, 99), *sorted((r.randint(-99, 99), r.randint(-99, 99)))),
    "leap": lambda r: (r.randint(1, 3000),),
    "gcd": lambda r: (r.randint(0, 200), r.randint(0, 200)),
    "find": lambda r: (sorted(lists(r)), r.randint(-25, 25)),
    "median": lambda r: ([r.randint(-20, 20), *lists(r)],),
    "merge": lambda r: (spans(r),),
    "overlap": lambda r: (a := r.randint(0, 50), a + r.randint(1, 20), b := r.randint(0, 50), b + r.randint(1, 20)),
    "backoff": lambda r: (r.randint(0, 10), r.randint(1, 20), r.randint(1, 2000)),
    "pages": lambda r: (r.randint(0, 200), r.randint(1, 50)),
    "checksum": lambda r: ([r.randint(0, 9) for _ in range(r.randint(0, 16))],),
}


def points(segments: list[tuple[int, int]]) -> set[int]:
    """Half units covered by closed spans."""
    return {p for start, end in segments for p in range(2 * start, 2 * end + 1)}


def clamp_holds(f: Callable, x: int, low: int, high: int) -> bool:
    y = f(x, low, high)
    return low <= y <= high and (y == x or y in (low, high)) and f(y, low, high) == y and (y == x) == (low <= x <= high)


def leap_holds(f: Callable, year: int) -> bool:
    return f(year + 400) == f(year) and sum(f(y) for y in range(year, year + 400)) == 97


def gcd_holds(f: Callable, a: int, b: int) -> bool:
    g = f(a, b)
    divides = a == b == 0 or (g > 0 and a % g == 0 and b % g == 0)
    return divides and g == f(b, a) and f(a + b, b) == g


def find_holds(f: Callable, items: list[int], wanted: int) -> bool:
    i = f(items, wanted)
    return 0 <= i <= len(items) and all(x < wanted for x in items[:i]) and all(x >= wanted for x in items[i:])


def median_holds(f: Callable, items: list[int]) -> bool:
    m = f(items)
    return (
        sum(x <= m for x in items) * 2 >= len(items) <= sum(x >= m for x in items) * 2 and f([-x for x in items]) == -m
    )


def merge_holds(f: Callable, segments: list[tuple[int, int]]) -> bool:
    result = f(segments)
    apart = all(one[1] < two[0] for one, two in itertools.pairwise(result))
    return apart and points(result) == points(segments) and f(result) == result


def overlap_holds(f: Callable, a: int, b: int, c: int, d: int) -> bool:
    return f(a, b, c, d) == f(c, d, a, b) and f(a, b, c, d) == bool(set(range(a, b)) & set(range(c, d)))


def backoff_holds(f: Callable, attempt: int, base: int, limit: int) -> bool:
    now, later = f(attempt, base, limit), f(attempt + 1, base, limit)
    return 0 < now <= limit and later == min(2 * now, limit) and f(0, base, limit) == min(base, limit)


def pages_holds(f: Callable, items: int, size: int) -> bool:
    count = f(items, size)
    return count >= 1 and count * size >= items and (count == 1 or (count - 1) * size < items)


def checksum_holds(f: Callable, digits: list[int]) -> bool:
    passing = [d for d in range(10) if f([*digits, d])]
    return len(passing) == 1 and f([0, *digits]) == f(digits)


PROPERTIES: dict[str, Callable] = {
    "clamp": clamp_holds,
    "leap": leap_holds,
    "gcd": gcd_holds,
    "find": find_holds,
    "median": median_holds,
    "merge": merge_holds,
    "overlap": overlap_holds,
    "backoff": backoff_holds,
    "pages": pages_holds,
    "checksum": checksum_holds,
}


def expect(case: Case) -> Test:
    return lambda f: f(*case[0]) == case[1]


def just_run(case: Case) -> Test:
    def test(f: Callable) -> bool:
        f(*case[0])
        return True

    return test


def hold(name: str, arguments: tuple) -> Test:
    return lambda f: PROPERTIES[name](f, *arguments)


@cache
def suites() -> dict[str, dict[str, list[Test]]]:
    """The tests of each suite for each function."""
    rng = random.Random(1)
    inputs = {name: [draw(rng) for _ in range(RANDOM_INPUTS)] for name, draw in INPUTS.items()}
    return {
        "smoke": {name: [just_run(case) for case in EXAMPLES[name]] for name in SOURCES},
        "examples": {name: [expect(case) for case in EXAMPLES[name]] for name in SOURCES},
        "edges": {name: [expect(case) for case in EDGES[name]] for name in SOURCES},
        "properties": {name: [hold(name, arguments) for arguments in inputs[name]] for name in SOURCES},
    }


@cache
def first_kills(suite: str) -> tuple[int | None, ...]:
    """For each mutant the position of the first test of the suite that kills it, or None."""
    found = []
    for mutant in mutants():
        function = compiled(mutant.function, mutant.text)
        tests = enumerate(suites()[suite][mutant.function])
        found.append(next((i for i, test in tests if not traced(test, function)[0]), None))
    return tuple(found)


def survivors(*names: str) -> list[Mutant]:
    kills = zip(*(first_kills(name) for name in names), strict=True)
    return [mutant for mutant, by in zip(mutants(), kills, strict=True) if all(kill is None for kill in by)]


def score(*names: str) -> float:
    return 1 - len(survivors(*names)) / len(mutants())


def statements(function: Callable) -> set[int]:
    code = function.__code__
    return {line for *_, line in code.co_lines() if line} - {code.co_firstlineno}


@cache
def baseline(suite: str) -> tuple[float, int, int]:
    """Line coverage of a suite on the originals, the number of its tests, and the lines they execute in all."""
    covered = executable = tests = work = 0
    for name, function in originals().items():
        seen: set[int] = set()
        for test in suites()[suite][name]:
            passed, lines, count = traced(test, function)
            assert passed, (suite, name)
            seen |= lines
            work += count
            tests += 1
        covered += len(seen & statements(function))
        executable += len(statements(function))
    return covered / executable, tests, work


@cache
def growth() -> tuple[np.ndarray, np.ndarray]:
    """Mean line coverage and mutation score of the first k of all written tests, in random orders."""
    tests = [(name, expect(case)) for cases in (EXAMPLES, EDGES) for name in SOURCES for case in cases[name]]
    targets = [(name, line) for name, function in originals().items() for line in statements(function)]
    reached = np.zeros((len(tests), len(targets)), dtype=bool)
    killed = np.zeros((len(tests), len(mutants())), dtype=bool)
    versions = [(mutant.function, compiled(mutant.function, mutant.text)) for mutant in mutants()]
    for row, (name, test) in enumerate(tests):
        lines = {(name, line) for line in traced(test, originals()[name])[1]}
        reached[row] = [target in lines for target in targets]
        killed[row] = [owner == name and not traced(test, version)[0] for owner, version in versions]
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(tests)) for _ in range(ORDERS)]
    return tuple(
        np.mean([np.logical_or.accumulate(hits[order]).mean(axis=1) for order in orders], axis=0)
        for hits in (reached, killed)
    )


def runs_needed(suite: str) -> tuple[int, int, int]:
    """Test runs for all mutants: every test; those of the changed function; the same, stopping at the first kill."""
    own = [len(suites()[suite][mutant.function]) for mutant in mutants()]
    kills = first_kills(suite)
    stopping = sum(length if kill is None else kill + 1 for length, kill in zip(own, kills, strict=True))
    return len(mutants()) * baseline(suite)[1], sum(own), stopping


def killed_by(name: str, tests: list[Test]) -> set[Mutant]:
    """Mutants of one function that further tests kill; the original has to pass them within the budget."""
    assert all(traced(test, originals()[name])[0] for test in tests), name
    versions = [(mutant, compiled(name, mutant.text)) for mutant in mutants() if mutant.function == name]
    return {mutant for mutant, version in versions if not all(traced(test, version)[0] for test in tests)}


def transpositions_noticed(f: Callable, digits: list[int]) -> bool:
    """The checksum's purpose: exchanging two different neighbours (but 0 and 9) spoils a number that passes."""
    number = next([*digits, d] for d in range(10) if f([*digits, d]))
    swaps = [(i, a, b) for i, (a, b) in enumerate(itertools.pairwise(number)) if a != b and {a, b} != {0, 9}]
    return not any(f([*number[:i], b, a, *number[i + 2 :]]) for i, a, b in swaps)


def changed_line(mutant: Mutant) -> str:
    before = ast.unparse(ast.parse(SOURCES[mutant.function])).splitlines()
    pairs = zip(before, mutant.text.splitlines(), strict=True)
    return next(f"{old.strip()}  ->  {new.strip()}" for old, new in pairs if old != new)


def ever_differs(mutant: Mutant, tries: int = 3000) -> bool:
    """Whether the mutant's result differs from the original's on random inputs, small ones preferred."""
    rng = random.Random(3)
    original, changed = originals()[mutant.function], compiled(mutant.function, mutant.text)
    for _ in range(tries):
        arguments = INPUTS[mutant.function](rng)
        expected = original(*arguments)
        if not traced(lambda f, a=arguments, e=expected: f(*a) == e, changed)[0]:
            return True
    return False


def coverage_and_score(ax: Axes) -> None:
    names = list(suites())
    places = np.arange(len(names))
    ax.bar(places - 0.2, [100 * baseline(name)[0] for name in names], 0.38, color="0.8", label="lines covered")
    scores = [100 * score(name) for name in names]
    ax.bar(places + 0.2, scores, 0.38, color="0.35", hatch="//", edgecolor="white", label="mutants killed")
    ax.set_xticks(places, names, fontsize=8)
    ax.set_ylabel("per cent")
    ax.set_ylim(0, 135)
    ax.legend(fontsize=7, ncol=2, loc="upper center")


def growth_of_suite(ax: Axes) -> None:
    coverage, killed = growth()
    tests = np.arange(1, len(coverage) + 1)
    ax.plot(tests, 100 * coverage, "o-", label="lines covered", markersize=4, markevery=8)
    ax.plot(tests, 100 * killed, "s--", label="mutants killed", markersize=4, markevery=8)
    ax.set_xlabel("tests, in random order")
    ax.set_ylabel("per cent")
    ax.set_ylim(0, 105)
    ax.legend(fontsize=7, loc="lower right")


def print_suites() -> None:
    print("functions", len(SOURCES), "lines", sum(len(statements(f)) for f in originals().values()))
    print("mutants", len(mutants()), Counter(mutant.kind for mutant in mutants()))
    tests = [(name, test) for suite in suites().values() for name in SOURCES for test in suite[name]]
    print("lines of the longest honest test", max(traced(test, originals()[name])[2] for name, test in tests))
    for name in suites():
        coverage, count, work = baseline(name)
        print(f"{name}: coverage {coverage:.3f}, tests {count}, lines executed {work}, score {score(name):.3f}")
        left = Counter(mutant.kind for mutant in survivors(name))
        print("   survivors", sum(left.values()), {kind: left[kind] for kind in CLASSES}, "runs", runs_needed(name))


def print_unions() -> None:
    for names in itertools.combinations(("examples", "edges", "properties"), 2):
        print(names, f"{score(*names):.3f}", len(survivors(*names)))
    for limit in (1, 3, 10, 30, 100):
        caught = sum(kill is not None and kill < limit for kill in first_kills("properties"))
        print("properties with", limit, "inputs:", caught, f"{caught / len(mutants()):.3f}")


def print_survivors() -> None:
    for names in (("examples",), ("edges",), ("properties",), ("examples", "edges", "properties")):
        print("survive", names)
        for mutant in survivors(*names):
            print("  ", mutant.function, mutant.kind, changed_line(mutant), "differs:", ever_differs(mutant))


def print_repairs() -> None:
    extra = expect((([(1, 2), (5, 9), (6, 7)],), [(1, 2), (5, 9)]))
    left = survivors("examples", "edges")
    print("left by examples and edges:", Counter(mutant.function for mutant in left))
    print("   killed by one more test of merge:", len(set(left) & killed_by("merge", [extra])))
    print("hundred draws from 0 to 200 contain a 0 with probability", round(1 - (200 / 201) ** RANDOM_INPUTS, 2))
    print("properties leave:", Counter(mutant.function for mutant in survivors("properties")))
    weak = [mutant for mutant in survivors("properties") if mutant.function == "checksum"]
    total = sum(mutant.function == "checksum" for mutant in mutants())
    rng = random.Random(4)
    inputs = [INPUTS["checksum"](rng) for _ in range(RANDOM_INPUTS)]
    purpose = [lambda f, given=given: transpositions_noticed(f, *given) for given in inputs]
    still = set(weak) - killed_by("checksum", purpose)
    print(f"checksum mutants {total}, left by its properties {len(weak)}, with transpositions {len(still)}")
    for line in sorted(map(changed_line, still)):
        print("  ", line)


def print_rates() -> None:
    """Scores without the mutants that survive everything (each proved equivalent by hand)."""
    equivalent = survivors("examples", "edges", "properties")
    print("equivalent", len(equivalent), Counter(mutant.kind for mutant in equivalent))
    for name in suites():
        real = len(survivors(name)) - len(equivalent)
        total = len(mutants()) - len(equivalent)
        print(f"{name}: {real} of {total} survive, score {1 - real / total:.3f}")


def print_growth() -> None:
    coverage, killed = growth()
    for k in (5, 10, 20, 30, 40, 60, len(coverage)):
        print(f"{k} tests: coverage {coverage[k - 1]:.3f}, score {killed[k - 1]:.3f}")


if __name__ == "__main__":
    print_suites()
    print_unions()
    print_survivors()
    print_rates()
    print_repairs()
    print_growth()
