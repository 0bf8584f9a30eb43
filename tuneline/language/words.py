"""The words of the calendar and of numbers, in French and English: the one list of each."""

import unicodedata

MONTHS = {
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "en": "january february march april may june july august september october november december".split(),
}
WEEKDAYS = {
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
    "en": "monday tuesday wednesday thursday friday saturday sunday".split(),
}
_FROM_ZERO = {
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize".split(),
    "en": (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split(),
}
_TENS = {
    "fr": "vingt trente quarante cinquante soixante septante huitante nonante".split(),
    "en": "twenty thirty forty fifty sixty seventy eighty ninety".split(),
}
NUMBERS = {  # below a hundred, a word each; « dix-sept » is two
    language: {
        **{word: value for value, word in enumerate(words)},
        **{word: 10 * tens for tens, word in enumerate(_TENS[language], 2)},
    }
    for language, words in _FROM_ZERO.items()
}
NUMBERS["fr"] |= {"une": 1}
SCALES = {
    "fr": {
        **{"cent": 100, "cents": 100, "mille": 1000, "million": 10**6, "millions": 10**6},
        **{"milliard": 10**9, "milliards": 10**9},
    },
    "en": {
        **{"hundred": 100, "thousand": 1000, "million": 10**6, "millions": 10**6},
        **{"billion": 10**9, "billions": 10**9},
    },
}


def unaccented(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
