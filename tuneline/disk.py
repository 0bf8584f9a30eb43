"""What a disk, not a user, did wrong, as one line: full, read-only, somebody else's, a folder where a file goes."""

import errno
import os
import re

HELP = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or ask for more",
    errno.EFBIG: "the limit of a file's size (ulimit -f) is too low",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EROFS: "write elsewhere, or mount it to be written",
    errno.EISDIR: "a folder stands where a file goes; move it away",
    errno.ENOTDIR: "a file stands where a folder goes; move it away",
    errno.EEXIST: "a file stands where a folder goes; move it away",
    errno.EMFILE: "let a process have more files open (ulimit -n)",
}


def of_the_disk(error: BaseException) -> OSError | None:
    """The error of the operating system that `error` is, or that a library in Rust tells in words."""
    if isinstance(error, OSError):
        return error
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


def in_a_line(error: OSError) -> str:
    """Where, what, and what to do. What was there before is whole: `whole_file` and `whole_folder` write beside it."""
    place = next((os.fsdecode(path) for path in (error.filename2, error.filename) if isinstance(path, str | bytes)), "")
    said = " ".join(str(error.strerror or error).split()) or type(error).__name__
    return ": ".join(filter(None, (place, said))) + (f"; {HELP[error.errno]}" if error.errno in HELP else "")
