"""Installs what the project needs into the Python that runs this, each file by its hash, and then the project itself.

    .venv/bin/python lock/install.py cuda papers

`packages.txt` has every version with the hashes of its files, `tools.txt` those of pip and setuptools, which build what
comes as source: nothing is built with a tool that is not pinned. The standard library alone: nothing is installed yet.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).parent
PROJECT = LOCK.parent
LOCKED = ["install", "--require-hashes", "--no-build-isolation", "--constraint", str(LOCK / "packages.txt")]


def pip(command: str, *arguments: str) -> None:
    """Raises subprocess.CalledProcessError when pip fails; it has said why."""
    start = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    subprocess.run([*start, *arguments], check=True)


def wanted(extras: list[str]) -> list[str]:
    """The requirements of pyproject.toml: the project's own and those of its extras."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]


def install_torch(index: str | None, more: list[str]) -> None:
    """torch as pip finds it here, by its hash.

    PyTorch's CPU index and a folder of wheels have builds of their own. Where hashes allow several files, pip takes the
    one whose hash its index tells, which is CUDA's: so the file is taken first, and checked when it is there.
    """
    (version,) = re.findall(r"^torch==(\S+)", (LOCK / "packages.txt").read_text("utf-8"), re.MULTILINE)
    try:
        if metadata.version("torch").split("+")[0] == version:
            return
    except metadata.PackageNotFoundError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        where = ["--index-url", index] if index else []
        # Wheels alone: a source would be built, which runs it, before its hash is checked.
        pip("download", "--only-binary", ":all:", "--no-deps", "--dest", folder, *where, f"torch=={version}")
        pip(*LOCKED, *more, "--no-deps", "--no-index", "--find-links", folder, "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", help="of pyproject.toml")
    parser.add_argument("--without-project", action="store_true", help="leave the project itself out")
    parser.add_argument("--no-compile", action="store_true", help="Python compiles a module when it is first used")
    arguments = parser.parse_args()
    more = ["--no-compile"] if arguments.no_compile else []
    needs = wanted(arguments.extras)
    try:
        pip("install", "--require-hashes", "--requirement", str(LOCK / "tools.txt"))
        if "torch" in needs:
            install_torch(os.environ.get("TORCH_INDEX"), more)
        pip(*LOCKED, *more, *needs)
        if not arguments.without_project:  # a folder has no hash
            pip("install", "--quiet", "--no-build-isolation", "--no-deps", "--editable", str(PROJECT))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
