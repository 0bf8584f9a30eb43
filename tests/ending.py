"""The line with which a stage ends, for tests."""

import re


def end_line(said: str) -> str:
    """The last line of what a stage said, without its seconds, its columns drawn together."""
    line = said.splitlines()[-1]
    assert len(line) <= 100
    found = re.fullmatch(r"(\S+ +\S+ .*?) +[\d,]+\.\d s  (\S.*)", line)
    assert found, line
    return " ".join(" ".join(found.groups()).split())
