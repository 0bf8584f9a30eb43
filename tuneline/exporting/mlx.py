"""The export for mlx-lm: an adapter that `mlx_lm.generate` and `mlx_lm.fuse` take, and its base as they load it."""

import os
import shutil
from pathlib import Path

from tuneline.backends.mlx import load_adapter, mlx_config
from tuneline.exporting import forms
from tuneline.exporting.convert import load_mlx
from tuneline.files import write_json
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import Base

BASE = "base"  # of the folder: what `--model` names
TEMPLATE = "chat_template.jinja"  # read before one that stands in tokenizer_config.json
OWN = ("base.yaml", "config.json", TEMPLATE)  # ours, or written here


def write_mlx(adapter: Path, base: Base, out: Path) -> None:
    """`adapter`, trained here, into the empty folder `out`; its base into `out`/base.

    Raises click.ClickException when mlx-lm has no class for the base, or cannot hold the adapter.
    """
    forms.read_weights(adapter / WEIGHTS)  # told in one line where they cannot be
    model = load_adapter(load_mlx(base), adapter)
    config = forms.read_config(adapter)
    forms.write_mlx(out, forms.lora_of(model, config["lora_dropout"]), base, model)
    write_base(base, out / BASE)


def write_base(base: Base, out: Path) -> None:
    """The files of the base, its weights by a hard link where the file system has one: they are gigabytes, and nobody
    edits them. What mlx-lm would read otherwise than it was trained is written anew: rotary settings, the template."""
    out.mkdir()
    for file in sorted(base.folder.iterdir()):
        if file.is_file() and file.name not in OWN and file.suffix != ".py":
            (_link if file.suffix == ".safetensors" else shutil.copyfile)(file, out / file.name)
    write_json(out / "config.json", mlx_config(base.folder))
    template = base.folder / (base.template or TEMPLATE)
    if template.is_file():
        shutil.copyfile(template, out / TEMPLATE)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file.resolve(), to)  # a link of DVC's or of the Hub's cache would be one to nowhere elsewhere
    except OSError:
        shutil.copyfile(file, to)
