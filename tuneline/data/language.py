"""Which language a text is in, by langid [1].

[1] Lui and Baldwin, "langid.py: An Off-the-shelf Language Identification Tool", ACL 2012.
"""

from functools import cache

LETTERS = 20  # in fewer there is too little to tell


@cache
def _identifier():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str | None:
    """The text's language as ISO 639-1; None where there is too little to tell."""
    if sum(sign.isalpha() for sign in text) < LETTERS:
        return None
    return _identifier().classify(text)[0]


def other_language(text: str, expected: str, sure: float = 0.9) -> str | None:
    """The text's language as ISO 639-1 when it is surely not the expected one."""
    if sum(sign.isalpha() for sign in text) < LETTERS:
        return None
    language, probability = _identifier().classify(text)
    return language if language != expected and probability >= sure else None
