"""Files of another user, for tests that root runs: without the rights that let root write them."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534
VERSION = 0x20080522  # of capset(2), Linux: two words of 32 bits for each set
RIGHTS = (0, 1, 2, 3)  # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


@contextmanager
def of_another_user(*paths: Path) -> Iterator[None]:
    """All below the paths is another user's, and this thread has no more right to it than anybody."""
    if os.geteuid():
        pytest.skip("nobody but root can give files away")
    found = [one for path in paths for one in (path, *path.rglob("*"))]
    for one in found:
        os.chown(one, NOBODY, NOBODY, follow_symlinks=False)
    try:
        with _as_anybody():
            yield
    finally:
        for one in found:
            if one.exists():
                os.chown(one, 0, 0, follow_symlinks=False)


@contextmanager
def _as_anybody() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (ctypes.c_uint32 * 2)(VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(head, sets):
        pytest.skip("the system has no capabilities")
    effective = sets[0]
    sets[0] &= ~sum(1 << right for right in RIGHTS)
    assert libc.capset(head, sets) == 0
    try:
        yield
    finally:
        sets[0] = effective
        assert libc.capset(head, sets) == 0
