"""Personal details in texts, replaced by what they are: [EMAIL], [PHONE], [IBAN], [CARD], [IP].

What has a form or check digits: phone numbers by Google's plans of all countries (phonenumbers), IBANs and cards by
their check digits (python-stdnum). Names and addresses have none, and stay.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{1,4}){3,8}\b")
CARD = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){12,18}(?!\d)")
IP = re.compile(r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w.]*\w)")
Place = tuple[int, int]


class Mask:
    """`regions`: countries, as FR, whose numbers are known without their +33. `counts`: what was masked, by kind."""

    def __init__(self, regions: Sequence[str] = ()) -> None:
        """Raises click.ClickException where the libraries are missing, or a region is none."""
        try:
            import phonenumbers
            from stdnum import iban, luhn
        except ImportError:
            raise click.ClickException("--mask needs more packages: pip install 'tuneline[mask]'") from None
        self.regions = [region.upper() for region in regions]
        if unknown := [one for one in self.regions if one not in phonenumbers.SUPPORTED_REGIONS]:
            raise click.ClickException(f"--region {unknown[0]}: a country has two letters, as FR or US")
        self.phones, self.counts = phonenumbers, Counter[str]()
        self.finders: list[tuple[str, Callable[[str], Iterator[Place]]]] = [
            ("EMAIL", lambda text: (found.span() for found in EMAIL.finditer(text))),
            ("IBAN", lambda text: _checked(IBAN, text, iban.is_valid)),
            ("CARD", lambda text: _checked(CARD, text, lambda found: luhn.is_valid(re.sub(r"\D", "", found)))),
            ("IP", lambda text: (found.span() for found in IP.finditer(text) if _is_address(found[0]))),
            ("PHONE", self._phones),
        ]

    def _phones(self, text: str) -> Iterator[Place]:
        for region in (None, *self.regions):
            for found in self.phones.PhoneNumberMatcher(text, region):
                yield found.start, found.end

    def text(self, text: str) -> str:
        for kind, find in self.finders:
            places = sorted(set(find(text)), reverse=True)
            last = len(text) + 1
            for start, end in places:
                if end <= last:  # of two that overlap, the later one went
                    text, last = f"{text[:start]}[{kind}]{text[end:]}", start
                    self.counts[kind] += 1
        return text

    def value(self, value: Any) -> Any:
        """The texts of any JSON, keys excepted."""
        if isinstance(value, dict):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value


def _checked(form: re.Pattern[str], text: str, is_right: Callable[[str], bool]) -> Iterator[Place]:
    """What has the form and, it or what is left without its last groups, the check digits."""
    for found in form.finditer(text):
        end = found.end()
        while end > found.start() and not is_right(text[found.start() : end]):
            end = found.start() + max(text[found.start() : end].rfind(" "), 0)
        if end > found.start():
            yield found.start(), end


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
