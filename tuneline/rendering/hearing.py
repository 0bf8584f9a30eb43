"""What a model wrote → its thinking and its answer, by what the template writes around the two."""

from dataclasses import dataclass

from tuneline.rendering.habits import ASKED, SAID, THINKING
from tuneline.rendering.template import Refused
from tuneline.rendering.turns import Unfit, Writer

THOUGHT = "probe_thought"


@dataclass(frozen=True)
class Frame:
    """`bare`: before an answer without thinking. `before` and `between`: around thinking, where the template has it.

    Where nothing is `before`, the prompt itself has opened the thinking.
    """

    bare: str = ""
    before: str = ""
    between: str = ""

    def divided(self, text: str) -> tuple[str, str]:
        """(thinking, answer); thinking that is never closed runs to the end."""
        sign, opening = self.between.strip(), self.before.strip()
        if sign and sign in text:
            thinking, _, said = text.partition(sign)
            space = self.between[len(self.between.rstrip()) :]
            return thinking.strip().removeprefix(opening), said.removeprefix(space)
        if sign and text.lstrip().startswith(opening):
            return text.strip().removeprefix(opening), ""
        return "", text.removeprefix(self.bare)


def find_frame(writer: Writer) -> Frame | None:
    """None where answers stand bare."""
    try:
        bare = writer.turn([ASKED, SAID]).target.partition(SAID["content"])[0]
    except (Refused, Unfit):
        return None
    try:
        thought = writer.turn([ASKED, {**SAID, THINKING: THOUGHT}]).target
    except (Refused, Unfit):
        return Frame(bare) if bare else None
    before, _, rest = thought.partition(THOUGHT)
    return Frame(bare, before, rest.partition(SAID["content"])[0])
