"""What of the backend of torch its stages do not show: memory of a CPU."""

import platform
import subprocess
import sys

import pytest

from tests.conftest import ENVIRONMENT, ROOT

FAULTS = """
import resource, torch
from tuneline.backends.cuda import keep_freed_memory
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
{}
for at in range(40):
    if at == 30:
        before = faults()
    torch.ones(1 << 24)
print((faults() - before) * resource.getpagesize() >> 26)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_memory_that_a_step_frees_is_the_next_ones() -> None:
    """Of ten tensors of 64 MB, made when small ones have found their place, how many have pages new from the kernel."""

    def given(how: str) -> int:
        command = [sys.executable, "-c", FAULTS.format(how)]
        return int(subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True).stdout)

    assert given("") == 10
    assert given("keep_freed_memory()") == 0
