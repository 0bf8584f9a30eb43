"""An adapter folder → a folder in the form of another tool, with its card, its hashes and what it answers."""

import re
import shlex
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tuneline.answering.predictor import Predictor
from tuneline.backends.cuda import model_class
from tuneline.exporting import gguf, llama, mlx_answers, ollama, parity
from tuneline.exporting.card import Form, write_card
from tuneline.exporting.facts import Facts
from tuneline.exporting.forms import read_config
from tuneline.exporting.merging import generation_config, own_dtype, write_merged
from tuneline.exporting.parity import Answer, Asked, Parity, Side
from tuneline.exporting.peft_folder import base_of, write_peft
from tuneline.exporting.places import check_apart, check_out, new_folder
from tuneline.exporting.sums import write_sums
from tuneline.exporting.tokenizer import write_tokenizer
from tuneline.files import Row, bar, say
from tuneline.models.adapter import WEIGHTS, Adapter, read_adapter
from tuneline.models.base import Base, read_base
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.lengths import AUTO, most_new_tokens
from tuneline.rendering.preamble import Preamble

FORMS = ("merged", "gguf", "ollama", "mlx", "peft")
LEAST_EQUAL = 0.98  # of the answers of a form that holds the weights as they are
SAME_WEIGHTS = ("merged", "peft", "mlx")
OURS = "the adapter on its base, float32"
FEW_BITS = {"cuda": "4 bits (NF4)", "mlx": "4 bits of mlx"}  # by who trained: one library's are not the other's
LIKELIEST = {"cuda": parity.likeliest, "mlx": mlx_answers.likeliest}


@dataclass(frozen=True)
class Wish:
    """`dtype`: of merged weights; auto is the base's own where it answers alike, else float32. `rows`: to compare; 0
    compares nothing. `least_equal`: the share of equal answers from which an export is let out; None: LEAST_EQUAL for
    forms that hold the weights as they are, none for the others."""

    form: str
    dtype: str = "auto"
    outtype: str = gguf.OUTTYPES[0]
    rows: int = 50
    least_equal: float | None = None

    @property
    def least(self) -> float:
        if self.least_equal is not None:
            return self.least_equal
        return LEAST_EQUAL if self.form in SAME_WEIGHTS else 0.0


@dataclass(frozen=True)
class Source:
    """An adapter with all that is asked of it. `rows`: test rows, of which `missing` says why there are none."""

    folder: Path
    adapter: Adapter
    base: Base
    chat: Chat
    facts: Facts
    asked: list[Asked]
    missing: str
    most: int


def open_source(folder: Path, root: Path, facts: Facts, rows: Sequence[Row], missing: str) -> Source:
    """`root`: of the checkout that has the base. Raises click.ClickException when the folder is no adapter of ours."""
    adapter, base = read_source(folder, root)
    chat = load_chat(base, Preamble((folder / "system.md").read_text("utf-8").strip(), adapter.prefix))
    spoken = [row for row in rows if "messages" in row]
    if rows and not spoken:
        missing = "the test rows are texts without a question"
    most = most_new_tokens(facts.most if facts.most not in (None, AUTO) else AUTO, chat, spoken) if spoken else 256
    asked = parity.ask_rows(chat, spoken)
    for number, one in enumerate(asked, 1):
        if len(one.ids) >= base.context:
            raise click.ClickException(
                f"test row {number} has {len(one.ids):,} tokens, and the context is {base.context:,} with the answer"
            )
    return Source(folder, adapter, base, chat, facts, asked, missing, most)


def read_source(folder: Path, root: Path) -> tuple[Adapter, Base]:
    """Raises click.ClickException for what is missing of the adapter, and where its base is not the one here."""
    adapter = read_adapter(folder)
    lacking = [name for name in (WEIGHTS, "system.md", "schema.json") if not (folder / name).is_file()]
    if lacking:
        raise click.ClickException(f"{folder} has no {', '.join(lacking)}: bring it back by `dvc checkout {folder}`")
    if not (root / adapter.base).is_dir():
        raise click.ClickException(
            f"{folder} is of the base {adapter.base}, which is not here: run this in the checkout that has it"
        )
    base, told = read_base(root / adapter.base), read_config(folder)
    name, revision = told.get("base_model_name_or_path"), told.get("revision")
    if revision and (name, revision) != (base.id, base.revision):
        raise click.ClickException(
            f"{folder} was trained on {name} at {revision}, and {adapter.base} is {base.name} at {base.revision}"
        )
    return adapter, base


def export(source: Source, wish: Wish, out: Path, force: bool) -> list[Parity]:
    """Writes the folder `out` whole, or nothing.

    Raises click.ClickException when `out` holds something else, the form cannot be made of this model, or what was made
    answers otherwise.
    """
    check_out(out, force)
    check_apart(out, source.folder, source.base.folder)
    with new_folder(out) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # refused below, in one line
        found = WRITERS[wish.form](source, wish, part)
        preamble = source.chat.preamble
        form = replace(found.form, what=found.form.what + _few_bits(source))
        card = write_card(form, source.facts, source.adapter, source.base, preamble, found.parity, found.untold)
        (part / "README.md").write_text(card, encoding="utf-8")
        (part / "system.md").write_text(f"{preamble.system}\n", encoding="utf-8")
        shutil.copyfile(source.folder / "schema.json", part / "schema.json")
        write_sums(part)
    if not found.parity:
        say(f"{out}: not compared: {found.untold}")
    return found.parity


@dataclass(frozen=True)
class Made:
    """`untold`: why nothing was compared, where nothing was."""

    form: Form
    parity: list[Parity]
    untold: str = ""


# What is compared


def ours(source: Source) -> Iterator[tuple[str, list[Answer]]]:
    """(against what, its answers): the adapter on the base at full precision, and on 4 bits if it was trained there."""
    kinds = [(OURS, "cuda", "none")]
    trained, quantization = source.adapter.backend, source.adapter.quantization
    if quantization != "none":
        kinds.append((f"the adapter on its base in {FEW_BITS[trained]}, as it was trained", trained, quantization))
    for against, backend, bits in kinds:
        if backend == "mlx" and not util.find_spec("mlx_lm"):
            say(f"not compared with {against}: mlx-lm, which alone has these, is not installed here")
            continue
        predictor = Predictor(backend, source.base, bits, "float32", source.chat.preamble, source.folder)
        yield against, parity.answer_here(predictor, LIKELIEST[backend], source.asked, source.most)


def compared(source: Source, wish: Wish, side: Side, here: Sequence[tuple[str, list[Answer]]]) -> list[Parity]:
    """Raises click.ClickException when too few answers are the first's of `here`."""
    found = [
        parity.compare(against, source.chat, source.asked, answers, side, source.most) for against, answers in here
    ]  # fmt: skip
    if found[0].share < wish.least:
        raise TooFewEqual(
            f"refused: {found[0].equal} of {found[0].rows} answers are equal to those of {OURS}, less than "
            f"{wish.least:g}; {_way(wish)}"
        )
    return found


class TooFewEqual(click.ClickException):
    pass


def _way(wish: Wish) -> str:
    more = "--dtype float32 rounds nothing, " if wish.form == "merged" and wish.dtype not in ("auto", "float32") else ""
    return f"{more}--least-equal {max(0.0, wish.least - 0.1):.2f} would let it out as it is"


def _untold(source: Source, wish: Wish) -> str:
    return "no row was to be asked (--rows 0)" if not wish.rows else source.missing


# The forms


def _merged(source: Source, wish: Wish, out: Path) -> Made:
    dtypes = [wish.dtype]
    if wish.dtype == "auto":
        dtypes = list(dict.fromkeys([own_dtype(source.base), "float32"]))
    here = list(ours(source)) if source.asked else []
    for dtype in dtypes:
        for file in out.iterdir():
            file.unlink()
        write_merged(source.folder, source.base, source.chat, source.most, dtype, out)
        if not here:
            return Made(_merged_form(source, dtype), [], _untold(source, wish))
        try:
            side = parity.Transformers(out, source.base, adapter=False)
            return Made(_merged_form(source, dtype), compared(source, wish, side, here))
        except TooFewEqual as error:
            if dtype == dtypes[-1]:
                raise
            say(f"{dtype}, the base's own, {error.message.split(';')[0]}; float32 is taken")
    raise AssertionError


def _peft(source: Source, wish: Wish, out: Path) -> Made:
    write_peft(source.folder, source.base, source.chat, source.most, out)
    if not source.asked:
        return Made(_peft_form(source), [], _untold(source, wish))
    here = list(ours(source))
    side = parity.Transformers(out, source.base, adapter=True)
    return Made(_peft_form(source), compared(source, wish, side, here))


def _gguf(source: Source, wish: Wish, out: Path) -> Made:
    name = f"{source.facts.name}.{wish.outtype}.gguf"
    found = _write_gguf(source, wish, out / name)
    write_tokenizer(source.chat, source.base, out)
    return Made(_gguf_form(source, name), *found)


def _ollama(source: Source, wish: Wish, out: Path) -> Made:
    name = f"{source.facts.name}.{wish.outtype}.gguf"
    frame = ollama.find_frame(source.chat)
    text = ollama.modelfile(name, frame, source.chat, source.base, source.most)
    found = _write_gguf(source, wish, out / name)
    (out / "Modelfile").write_text(text, encoding="utf-8")
    if frame is None:
        say("the chat template does more than Ollama's can be told: the Modelfile completes prompts that you render")
    return Made(_ollama_form(source, frame is None), *found)


def _write_gguf(source: Source, wish: Wish, file: Path) -> tuple[list[Parity], str]:
    gguf.check_converter()
    with TemporaryDirectory() as folder:
        merged = Path(folder)
        dtype = "float32" if wish.dtype == "auto" else wish.dtype
        write_merged(source.folder, source.base, source.chat, source.most, dtype, merged)
        gguf.write_gguf(merged, source.facts.name, wish.outtype, file)
    if not source.asked:
        return [], _untold(source, wish)
    if not llama.is_installed():
        return [], "llama.cpp is not here; `make .venv/export` brings it"
    here = list(ours(source))
    with llama.serve(file, source.base.context) as side:
        gguf.check_tokens(side, source.chat.backend, _texts(source))
        return compared(source, wish, side, here), ""


def _texts(source: Source) -> Iterator[str]:
    """What the tokenizers are compared on: each row's prompt, and all that its messages say."""
    for one in bar("tokens", source.asked):
        yield one.text
        yield from (message["content"] for message in one.row["messages"] if message["content"])


def _mlx(source: Source, wish: Wish, out: Path) -> Made:
    from tuneline.exporting.mlx import BASE, write_mlx

    if not util.find_spec("mlx_lm"):
        raise click.ClickException("mlx-lm is not installed: `make .venv/mlx` brings it")
    write_mlx(source.folder, source.base, out)
    write_tokenizer(source.chat, source.base, out / BASE)
    generation_config(source.chat, source.most).save_pretrained(out / BASE)  # mlx-lm reads there what ends an answer
    if not source.asked:
        return Made(_mlx_form(source), [], _untold(source, wish))
    here = list(ours(source))
    return Made(_mlx_form(source), compared(source, wish, mlx_answers.Mlx(out / BASE, out), here))


WRITERS: dict[str, Callable[[Source, Wish, Path], Made]] = {
    "merged": _merged,
    "gguf": _gguf,
    "ollama": _ollama,
    "mlx": _mlx,
    "peft": _peft,
}


# What the card says of each


_ASK = """from transformers import AutoTokenizer, GenerationConfig
{imports}
folder = "."  # this one
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {load}
model.generation_config = GenerationConfig.from_pretrained(folder)  # greedy, whatever the base's own says
messages = [{system}{{"role": "user", "content": {prefix}"your question"}}]
given = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
made = model.generate(**given)[0, given["input_ids"].shape[1]:]
print(tokenizer.decode(made, skip_special_tokens=True))"""


def _ask(source: Source, imports: str, load: str) -> str:
    preamble = source.chat.preamble
    system = '{"role": "system", "content": open("system.md").read().strip()}, ' if preamble.system else ""
    prefix = f"{f'{preamble.prefix}{chr(10)}{chr(10)}'!r} + " if preamble.prefix else ""
    return _ASK.format(imports=imports, load=load, system=system, prefix=prefix)


def _few_bits(source: Source) -> str:
    if source.adapter.quantization == "none":
        return ""
    return (
        f" It was trained and measured on its base in {FEW_BITS[source.adapter.backend]}, and stands here on the base "
        "in full precision: the error of the 4 bits is gone, so that single answers differ from those measured."
    )


def _merged_form(source: Source, dtype: str) -> Form:
    what = f"A LoRA adapter merged into its base, {dtype}: it needs nothing but transformers."
    auto = model_class(source.base).__name__
    asked = _ask(source, f"from transformers import {auto}\n", f"{auto}.from_pretrained(folder)")
    return Form("transformers", "merge", what, asked)


def _peft_form(source: Source) -> Form:
    auto, base = model_class(source.base).__name__, base_of(source.base)
    imports = "from peft import AutoPeftModelForCausalLM\n"
    load = "AutoPeftModelForCausalLM.from_pretrained(folder)"
    if auto != "AutoModelForCausalLM":  # PEFT has no class that finds the base of one that sees pictures
        imports = f"from peft import PeftModel\nfrom transformers import {auto}\n"
        load = f"PeftModel.from_pretrained({auto}.from_pretrained({base!r}), folder)"
    asked = _ask(source, imports, load)
    return Form("peft", "adapter", f"A LoRA adapter of PEFT, on {source.base.name}.", asked)


def _gguf_form(source: Source, name: str) -> Form:
    asked = f"llama-server --model {shlex.quote(name)} --ctx-size {source.base.context} --jinja --temp 0"
    what = "A LoRA adapter merged into its base, as a GGUF file for llama.cpp and what is built on it."
    return Form("gguf", "quantized", what, asked, "sh")


def _ollama_form(source: Source, raw: bool) -> Form:
    name = re.sub("[^a-z0-9]+", "-", source.facts.name.lower()).strip("-") or "adapter"  # what Ollama takes
    asked = f"ollama create {name} -f Modelfile\nollama run {name} 'your question'"
    what = "A LoRA adapter merged into its base, as a GGUF file with a Modelfile for Ollama, which was not run here."
    if raw:
        asked = f"ollama create {name} -f Modelfile   # asked by /api/generate with raw: true, and a rendered prompt"
        what += " Its chat template does more than Ollama's can be told: render prompts with the tokenizer of the base."
    return Form("gguf", "quantized", what, asked, "sh")


def _mlx_form(source: Source) -> Form:
    preamble = source.chat.preamble
    system = ' --system-prompt "$(cat system.md)"' if preamble.system else ""
    prompt = shlex.quote(f"{preamble.prefix}\n\nyour question" if preamble.prefix else "your question")
    most = f"--temp 0 --max-tokens {source.most}"
    asked = f"mlx_lm.generate --model base --adapter-path . {most}{system} --prompt {prompt}"
    return Form("mlx", "adapter", "A LoRA adapter of mlx-lm.", asked, "sh")
