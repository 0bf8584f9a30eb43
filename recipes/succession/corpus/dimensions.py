"""What a case is to be, and what its text tells in two ways because of it."""

from dataclasses import astuple, dataclass

from ..records.schema import Record
from .contradictions import Contradiction, contradict

PROS = ("notaire", "avocat", "narrateur_neutre")


@dataclass(frozen=True)
class Dimensions:
    """One combination of what a case is to be; the values are those of dimensions.yaml."""

    persona: str
    voice: str
    form: str
    length: str
    noise: str
    amounts: str
    dates: str
    complexity: str
    hard_negative_mode: str | None
    topic: str
    second_topic: str | None

    def signature(self) -> str:
        """The same for the same combination only."""
        return "/".join(value or "-" for value in astuple(self))

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(topic for topic in (self.topic, self.second_topic) if topic)

    @property
    def is_alive(self) -> bool:
        return self.persona == "disposant" or self.hard_negative_mode == "pas_de_deces_clair"


def contradictions(record: Record, dimensions: Dimensions) -> list[Contradiction]:
    """What a text of the record tells in two ways; nothing where the dimensions do not ask for it."""
    if dimensions.hard_negative_mode != "faits_contradictoires":
        return []
    return contradict(record, dimensions.amounts, dimensions.dates, dimensions.signature())
