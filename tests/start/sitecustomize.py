"""What each Python process does first that a test starts: this folder is in its PYTHONPATH."""

import gc

gc.set_threshold(50_000)  # of 700: of a process that loads torch or DVC, an eighth is looking for garbage
