"""What dimensions.yaml asks of a corpus: the shares of each dimension's values, and what a combination may be."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import click
import yaml
from pydantic import Field

from tuneline.recipe.settings import Section, read_settings

Combination = Mapping[str, str | None]  # dimension → value; None where it does not apply
When = dict[str, list[str]]  # holds where each dimension has one of the values


class Second(Section):
    """A second value of a dimension, another than the first; it counts as a mention like that one."""

    of: str
    always: When = Field(default={}, description="where every case has one; {}: nowhere")
    share: float = Field(alias="else", ge=0, le=1, description="of the other cases, those with one")


class Dimensions(Section):
    """dimensions.yaml."""

    shares: dict[str, dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]] = Field(
        min_length=1, description="dimension → value → % of the cases"
    )
    only: dict[str, When] = Field(default={}, description="dimension → where it applies; its shares are of those")
    second: dict[str, Second] = Field(default={}, description="name → what it is a second value of")
    never: list[dict[str, str]] = Field(default=[], description="values that exclude each other")
    words: dict[str, dict[str, tuple[int, int]]] = Field(default={}, description="fewest and most, by a dimension")
    language: str | None = Field(default=None, description="of the texts, as ISO 639-1; null: not looked at")
    near_duplicate: float = Field(default=0.7, gt=0, le=1, description="similarity from which a text is refused")


@dataclass(frozen=True)
class Shares:
    """dimensions.yaml, read; the shares of a dimension's values sum to 1."""

    values: dict[str, dict[str, float]]  # dimension → value → share
    only: dict[str, When] = field(default_factory=dict)
    second: dict[str, Second] = field(default_factory=dict)
    never: tuple[dict[str, str], ...] = ()
    words: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    language: str | None = None
    near_duplicate: float = 0.7

    @cached_property
    def doubled(self) -> dict[str, str]:
        """Dimension → the name of its second value."""
        return {second.of: name for name, second in self.second.items()}

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """The dimensions that have no second value."""
        return tuple(name for name in self.values if name not in self.doubled)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What a combination has, in its order: a second value after the first."""
        return tuple(
            one for name in self.values for one in (name, *([self.doubled[name]] if name in self.doubled else []))
        )

    def dimension_of(self, name: str) -> str:
        return self.second[name].of if name in self.second else name

    def signature(self, combination: Combination) -> str:
        """The same for the same combination only."""
        return "/".join(combination.get(name) or "-" for name in self.names)

    def limits(self, combination: Combination) -> tuple[int, int] | None:
        """Fewest and most words of a text; None where any length will do."""
        found = [of[value] for name, of in self.words.items() if (value := combination.get(name))]
        return (max(least for least, _ in found), min(most for _, most in found)) if found else None

    def allows(self, combination: Combination) -> bool:
        return not any(all(combination.get(name) == value for name, value in pair.items()) for pair in self.never)

    def applies(self, combination: Combination) -> bool:
        """Whether the dimensions that only some combinations have are there in those, and in no other."""
        return all(
            (combination[name] is not None) == holds(when, combination)
            for name, when in self.only.items()
            if name in combination
        )

    @cached_property
    def groups(self) -> list[tuple[tuple[str, ...], list[tuple[str | None, ...]]]]:
        """(dimensions, the combinations of their values that may be) for dimensions bound to each other."""
        bound = [*({name, *when} for name, when in self.only.items()), *(set(pair) for pair in self.never)]
        groups: list[set[str]] = [{name} for name in self.plain]
        for names in bound:
            joined = set().union(*(group for group in groups if group & names))
            groups = [group for group in groups if not group & names] + [joined]
        found = []
        for group in sorted(groups, key=lambda group: min(map(self.plain.index, group))):
            names = tuple(name for name in self.plain if name in group)
            values = [[*self.values[name], *([None] if name in self.only else [])] for name in names]
            combinations = (dict(zip(names, combination, strict=True)) for combination in itertools.product(*values))
            may_be = [tuple(c.values()) for c in combinations if self.applies(c) and self.allows(c)]
            if not may_be:
                raise click.ClickException(f"dimensions.yaml: `never` leaves no combination of {', '.join(names)}")
            found.append((names, may_be))
        return found

    @cached_property
    def most(self) -> int:
        """Different combinations, those included that a second value makes where it may not be."""
        pairs = (len(self.values[name]) ** 2 for name in self.doubled)
        return math.prod(len(combinations) for _, combinations in self.groups) * math.prod(pairs)


def holds(when: When, combination: Combination) -> bool:
    """An empty one holds nowhere."""
    return bool(when) and all(combination.get(name) in values for name, values in when.items())


def read_shares(path: Path) -> Shares:
    """Raises click.ClickException that names everything that is missing, unknown or not of its form."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise click.ClickException(f"{path} is missing; it has the target shares of each dimension") from None
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    read: Dimensions = read_settings(Dimensions, path, "", raw)
    if wrong := [*_wrong_sums(read), *_wrong_names(read)]:
        raise click.ClickException(f"{path}: {'; '.join(wrong)}")
    values = {name: {value: share / 100 for value, share in of.items()} for name, of in read.shares.items()}
    rest: dict[str, Any] = {name: getattr(read, name) for name in ("only", "second", "words", "language")}
    shares = Shares(values, never=tuple(read.never), near_duplicate=read.near_duplicate, **rest)
    _ = shares.groups  # says what `never` leaves no combination of
    return shares


def _wrong_sums(read: Dimensions) -> list[str]:
    sums = {name: sum(of.values()) for name, of in read.shares.items()}
    return [
        f"the shares of {name} sum to {total:g}, not to 100" for name, total in sums.items() if abs(total - 100) > 1e-6
    ]


def _wrong_names(read: Dimensions) -> list[str]:
    """What names a dimension or a value that is none; those that have a second value can bind no other."""
    doubled = [second.of for second in read.second.values()]
    plain = {name: of for name, of in read.shares.items() if name not in doubled}
    wrong = []
    for name, second in read.second.items():
        if name in read.shares or second.of not in read.shares or doubled.count(second.of) > 1:
            wrong.append(f"second.{name} is not the one second value of a dimension")
        elif len(read.shares[second.of]) < 2:
            wrong.append(f"second.{name} is of {second.of}, which has one value")
    wrong += [f"only names {name}, which is no dimension" for name in read.only if name not in plain]
    named = [(f"only.{name}", when) for name, when in read.only.items()]
    named += [(f"second.{name}.always", second.always) for name, second in read.second.items()]
    named += [("never", {name: [value] for name, value in pair.items()}) for pair in read.never]
    for where, when in named:
        unknown = [f"{n}: {v}" for n, values in when.items() for v in values if v not in plain.get(n, {})]
        wrong += [f"{where} names {', '.join(unknown)}, which is no value of a dimension"] if unknown else []
    for name, of in read.words.items():
        if name not in plain or set(of) != set(plain[name]):
            wrong.append(f"words.{name} is not of the values of a dimension")
    return wrong
