"""A model as a base: base.yaml for one of the Hub or in a folder, with all that it has to say found in its config.json,
its layers and its tokenizer. No weight is fetched or loaded.
"""

import datetime
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.bases.fetching import check_stored, look_up
from tuneline.bases.stored import stored_as, what_it_wants
from tuneline.files import whole_file, whole_folder
from tuneline.models.base import FETCHED, Base, read_base_yaml
from tuneline.rendering.chat import load_chat
from tuneline.starting.params import check_name, yaml_writer

MODELS = Path("models")
LIST = MODELS / "params.yaml"
BY_HAND = "write base.yaml by hand, as docs/base-models.md says"
NUMBER = re.compile(r"\.\d+\.")  # of a block, in a layer's path
ANY = r"\d+"
TOWER = "language_model"  # the part of a model's paths that is its language model, where it has others
ROUTER = re.compile(r"(^|\.)(gate|router(\..*)?)$")  # which expert a token goes to: no projection
ATTENTION = re.compile("att", re.IGNORECASE)


@dataclass(frozen=True)
class Looked:
    """What a model is, without its weights. `experts`: parameters in no linear layer, so that LoRA leaves them.
    `targets`: pattern by what lora.target says; `layers`: how many of the model's each finds."""

    kind: str
    blocks: int
    parameters: int
    experts: int
    context: int
    targets: dict[str, str]
    layers: dict[str, int]


def make_base(root: Path, model: str, revision: str, name: str | None) -> list[str]:
    """Writes base.yaml for a model of the Hub by its id, or for a folder of the checkout, or the revision into one that
    has none; lines that tell what it is.

    Raises click.ClickException when it is there already, the model is not, or it is none that can be trained.
    """
    if (root / model / "config.json").is_file():
        return of_folder(root, root / model)
    if (root / model / "base.yaml").is_file():
        return pin(root / model, revision)
    if (root / model).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        raise click.ClickException(f"{model} is no folder with a config.json and no id of the Hub, such as owner/name")
    return of_hub(root, model, revision, name or re.sub("[^a-z0-9_-]+", "-", model.split("/")[1].lower()).strip("-"))


def of_folder(root: Path, folder: Path) -> list[str]:
    place = folder.resolve()
    if not place.is_relative_to(root.resolve()):
        raise click.ClickException(f"{folder} is outside the checkout: move it into {MODELS}")
    if (folder / "base.yaml").exists():
        raise click.ClickException(f"{folder}/base.yaml is there already")
    check_stored(str(folder), folder)
    looked = look(folder)
    write(folder, described(looked))
    used = place.relative_to(root.resolve()).as_posix()
    next_step = f"next: base: {used} for an adapter of params.yaml"
    return [f"wrote {folder}/base.yaml", *told(looked, read_base_yaml(folder), folder), next_step]


def pin(folder: Path, revision: str) -> list[str]:
    """Adds the revision to a base.yaml that has the id alone; all else in it stays."""
    path = folder / "base.yaml"
    text = path.read_text("utf-8")
    ids = re.findall(r"^id: *(\S+).*\n", text, re.MULTILINE)
    if len(ids) != 1 or re.search("^revision:", text, re.MULTILINE):
        raise click.ClickException(f"{path} is there already, and is not an id of the Hub that wants a revision")
    with tempfile.TemporaryDirectory() as work:
        found = look_up(ids[0], revision, Path(work))
        check_stored(ids[0], found)
        pinned = re.sub("^id:.*\n", lambda line: f"{line[0]}revision: {found.name}\n", text, flags=re.MULTILINE)
        with whole_file(path) as part:
            part.write_text(pinned, encoding="utf-8")
    return [f"{path}: {ids[0]} at {found.name}"]


def of_hub(root: Path, model: str, revision: str, name: str) -> list[str]:
    folder = root / MODELS / name
    check_name(name)
    if folder.exists():
        raise click.ClickException(f"{folder} is there already; --name gives another one")
    writer, listed = read_list(root / LIST)
    with tempfile.TemporaryDirectory() as work:
        found = look_up(model, revision, Path(work))
        if not (found / "config.json").is_file():
            raise click.ClickException(f"{model} has no config.json: its weights are in no form that is loaded here")
        check_stored(model, found)
        try:
            looked = look(found)
        except click.ClickException as error:
            raise click.ClickException(error.message.replace(str(found), model)) from None
        base = {"id": model, "revision": found.name, **described(looked)}
        write(found, base, f"https://huggingface.co/{model}, {licence(found)}")
        lines = told(looked, read_base_yaml(found), folder)
        with whole_folder(folder) as part:
            shutil.copyfile(found / "base.yaml", part / "base.yaml")
    listed["bases"] += [] if name in listed["bases"] else [name]
    with whole_file(root / LIST) as part:
        writer.dump(listed, part)
    wrote = f"wrote {folder}/base.yaml, at {found.name[:7]}, and the name in {LIST}"
    fetching = f"`dvc repro models/dvc.yaml:base@{name}` fetches it, and so does what needs it"
    return [wrote, *lines, f"next: base: {'/'.join((*FETCHED, name))} for an adapter of params.yaml", fetching]


def look(folder: Path) -> Looked:
    """Raises click.ClickException when transformers has no class for it, or its layers are none that LoRA takes."""
    import torch
    from torch.nn import Linear
    from transformers import AutoConfig

    from tuneline.backends.cuda import model_class, quiet_libraries

    quiet_libraries()
    today = datetime.date.today()
    auto = model_class(Base(folder=folder, context=1, target={}, date=today))
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # shapes alone are looked at
    try:
        with torch.device("meta"):
            model = auto.from_config(config, trust_remote_code=False)
    except ImportError as error:
        raise click.ClickException(f"{folder}: {' '.join(str(error).split())}") from None
    text = config.get_text_config()
    context = getattr(text, "max_position_embeddings", None)
    if not isinstance(context, int):
        raise click.ClickException(f"{folder}/config.json says no max_position_embeddings: {BY_HAND}")
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    start = next((path for path, module in model.named_modules() if module is decoder), "")
    linear = [path for path, module in model.named_modules() if isinstance(module, Linear) and path.startswith(start)]
    targets = find_targets(linear)
    if not targets:
        raise click.ClickException(f"{type(model).__name__} has no linear layers in blocks: {BY_HAND}")
    layers = {name: sum(bool(re.fullmatch(one, path)) for path in linear) for name, one in targets.items()}
    experts = sum(one.numel() for name, one in model.named_parameters() if ".experts." in name and one.dim() == 3)
    kind, size = type(model).__name__, model.num_parameters()
    return Looked(kind, text.num_hidden_layers, size, experts, context, targets, layers)


def find_targets(linear: Iterable[str]) -> dict[str, str]:
    """lora.target → the pattern of the paths of linear layers that it adapts: all that stand in the blocks of the
    language model, and those of attention alone. transformers and mlx-lm differ in what stands before a tower's."""
    blocks: dict[str, list[str]] = {}
    for path in linear:
        head, *rest = NUMBER.split(path, maxsplit=1)
        if rest and not ROUTER.search(path):
            blocks.setdefault(head, []).append(NUMBER.sub(lambda _: f".{ANY}.", rest[0]))
    if towers := {head: names for head, names in blocks.items() if TOWER in head.split(".")}:
        blocks = towers
    if not blocks:
        return {}
    head = max(blocks, key=lambda head: len(blocks[head]))
    start = re.escape(head)
    if towers:
        start = rf".*{TOWER}\.(model\.)?" + re.escape(head.partition(f"{TOWER}.")[2].removeprefix("model."))
    names = list(dict.fromkeys(blocks[head]))
    found = {"linear": names, "attention": [name for name in names if ATTENTION.search(name)]}
    return {name: rf"{start}\.{ANY}\.{either(names)}" for name, names in found.items() if names}


def either(names: Iterable[str]) -> str:
    """A pattern of just these paths, those of one parent together."""
    parents: dict[str, list[str]] = {}
    for name in names:
        parent, _, last = name.rpartition(".")
        parents.setdefault(parent, []).append(last)
    parts = [
        (f"{escaped(parent)}\\." if parent else "") + (f"({'|'.join(lasts)})" if len(lasts) > 1 else lasts[0])
        for parent, lasts in parents.items()
    ]
    return f"({'|'.join(parts)})" if len(parts) > 1 else parts[0]


def escaped(parent: str) -> str:
    return r"\.".join(part if part == ANY else re.escape(part) for part in parent.split("."))


def described(looked: Looked) -> dict[str, Any]:
    return {"context": looked.context, "date": datetime.date.today(), "target": looked.targets}


def write(folder: Path, base: dict[str, Any], comment: str = "") -> None:
    text = f"# {comment}\n" * bool(comment) + yaml.safe_dump(base, sort_keys=False, allow_unicode=True, width=4096)
    with whole_file(folder / "base.yaml") as part:
        part.write_text(text, encoding="utf-8")


def licence(folder: Path) -> str:
    """As the model's card has it."""
    from huggingface_hub import ModelCard

    try:
        return str(ModelCard.load(folder / "README.md").data.license or "no licence told")
    except (OSError, ValueError):
        return "no licence told"


def read_list(path: Path) -> tuple[Any, Any]:
    """(what writes models/params.yaml, what it says). Raises click.ClickException where it has no list of bases."""
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        raise click.ClickException(f"there is no {path} here; go to the folder of the project")
    writer = yaml_writer()
    try:
        known = writer.load(path.read_text("utf-8"))
    except YAMLError as error:
        raise click.ClickException(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(known, dict) or not isinstance(known.get("bases"), list):
        raise click.ClickException(f"{path}: bases is a list of names")
    return writer, known


def told(looked: Looked, base: Base, folder: Path) -> list[str]:
    """`base`: with its tokenizer. `folder`: where the user finds base.yaml."""
    adapted = ", ".join(f"{name} {count}" for name, count in looked.layers.items())
    lines = [
        *what_it_wants(stored_as(base.folder)),
        f"{looked.kind}: {looked.blocks} blocks, {looked.parameters / 1e6:,.1f} million parameters, "
        f"{looked.context:,} tokens",
        f"lora.target: {adapted} layers",
    ]
    if looked.experts:
        lines.append(f"{looked.experts / 1e6:,.1f} million of them are experts', which LoRA leaves as they are")
    try:
        ends = load_chat(base).stop_ids
        lines.append(f"its chat template is read, and an answer ends with token {ends[0]}")
    except click.ClickException as error:
        lines.append(error.message.replace(str(base.folder), str(folder)))
    return lines
