"""A plain PEFT folder: the adapter with its base's Hub id, or its absolute path, so that it loads from anywhere."""

import shutil
from pathlib import Path

from tuneline.exporting.convert import load_shapes
from tuneline.exporting.forms import CONFIG, check_peft, read_config
from tuneline.exporting.merging import generation_config
from tuneline.exporting.tokenizer import write_tokenizer
from tuneline.files import write_json
from tuneline.models.adapter import WEIGHTS
from tuneline.models.base import Base
from tuneline.rendering.chat import Chat


def write_peft(adapter: Path, base: Base, chat: Chat, most: int, out: Path) -> None:
    """Raises click.ClickException when the adapter is of another base."""
    check_peft(adapter, load_shapes(base))
    config = read_config(adapter)
    write_json(out / CONFIG, config | {"base_model_name_or_path": base_of(base)})
    shutil.copyfile(adapter / WEIGHTS, out / WEIGHTS)
    write_tokenizer(chat, base, out)
    generation_config(chat, most).save_pretrained(out)


def base_of(base: Base) -> str:
    """As it is found from any folder."""
    return base.id or str(base.folder.absolute())
