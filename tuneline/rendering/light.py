"""What a process of transformers need not import."""

import os
import sys


def leave_out_torch() -> None:
    """transformers imports torch wherever it is installed: 4 to 5 s of CPU, and a tokenizer needs nothing of it.

    To be called before anything imports either, by a process that wants neither.
    """
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # that there is no torch
    sys.modules["torch"] = None  # type: ignore[assignment] # how Python is told that there is no such module


def leave_out_scipy() -> None:
    """transformers imports it for a loss of object detection: half a second of CPU, for a process that only answers."""
    sys.modules["scipy"] = None  # type: ignore[assignment]
