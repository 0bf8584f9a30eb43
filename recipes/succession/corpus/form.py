"""How a case's sentences stand: paragraphs, a note's lines, a mail's head and foot, what is spoken."""

from collections.abc import Iterable

from .french import sentence
from .noise import keep
from .telling import Teller


class Form(Teller):
    """One try's layout."""

    signature: str | None = None

    def _merged(self, group: Iterable[str]) -> list[str]:
        """Some short sentences together."""
        said: list[str] = []
        for one in group:
            if not one:
                continue
            joins = (
                said
                and not self.is_note
                and len(said[-1]) + len(one) < 110
                and not f"{said[-1]}{one}".count(".")
                and self.rng.random() < 0.25
            )
            if joins and ";" not in said[-1] + one:
                said[-1] = f"{said[-1]}{self.rng.choice((', et ', ' ; '))}{one}"
            else:
                said.append(one)
        return said

    def _laid_out(self, body: list[list[str]], question: str) -> str:
        form, rng = self.of.form, self.rng
        asks_first = form == "question_directe" and rng.random() < 0.3
        sentences = [[self._spoken(one) if form == "oral_retranscrit" else one for one in group] for group in body]
        paragraphs = [" ".join(sentence(one) for one in group) for group in sentences if group]
        if self.is_note:
            head = [self._pick("openings", "note")] if rng.random() < 0.6 else []
            bullets = rng.random() < 0.3
            lines = [f"- {one}" if bullets else one for one in paragraphs]
            return "\n".join([*head, *lines, sentence(question)])
        many = len(paragraphs) > 4 and self.of.length in ("long", "tres_long")
        if many or (form == "mail_brouillon" and len(paragraphs) > 2):
            cut = sorted(rng.sample(range(1, len(paragraphs)), min(2 if many else 1, len(paragraphs) - 1)))
            paragraphs = [" ".join(paragraphs[a:b]) for a, b in zip([0, *cut], [*cut, None], strict=True)]
        glue = "\n\n" if len(paragraphs) > 1 and (many or form == "mail_brouillon") else " "
        said = [sentence(question), *paragraphs] if asks_first else [*paragraphs, sentence(question)]
        text = (
            glue.join(said[:-1]) + (" " if glue == " " else rng.choice((" ", "\n\n"))) + said[-1]
            if len(said) > 1
            else said[0]
        )
        opening, closing = self._frame()
        outer = "\n\n" if form == "mail_brouillon" else " "
        whole = outer.join(one for one in (opening, text, closing) if one)
        return f"{whole}\n{keep(self.signature)}" if self.signature else whole

    def _frame(self) -> tuple[str, str]:
        form = self.of.form
        if form == "mail_brouillon":
            pro = self.persona in ("notaire", "avocat")
            return self._pick("openings", "mail_pro" if pro else form), self._pick("closings", form)
        if form in ("oral_retranscrit", "message_conflictuel") and (self.speaks or form == "oral_retranscrit"):
            return self._pick("openings", form), self._pick("closings", form)
        return "", ""

    def _spoken(self, sentence: str) -> str:
        if self.rng.random() < 0.35:
            return f"{self.rng.choice(self.words.rest['oral'])}, {sentence[:1].lower()}{sentence[1:]}"
        return sentence
