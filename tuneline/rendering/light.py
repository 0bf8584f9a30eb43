"""For a process that reads a tokenizer and no model."""

import os
import sys


def leave_out_torch() -> None:
    """transformers imports torch wherever it is installed: 4 to 5 s of CPU, and a tokenizer needs nothing of it.

    To be called before anything imports either, by a process that wants neither.
    """
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # that there is no torch
    sys.modules["torch"] = None  # type: ignore[assignment] # how Python is told that there is no such module
