"""Samples that say which application sent them: signed with a key that both have in their environment.

TUNELINE_HMAC_<NAME> is the key of application <name>, at least 16 signs. The header of a request is

    Tuneline-Signature: <name> <seconds since 1970> <HMAC-SHA256 of "<name> <seconds> " and the body, in hex>

A request that is recorded and sent again is refused once its seconds are old; before that it changes nothing, since a
sample that is known is known.
"""

import hmac
import os
import re
import time
from collections.abc import Mapping

HEADER = "Tuneline-Signature"
KEY = re.compile(r"TUNELINE_HMAC_(\w+)")
NAME = "TUNELINE_APPLICATION"  # which of several keys an application signs with
FORM = re.compile(r"(\w{1,100}) (\d{1,12}) ([0-9a-f]{64})")
FEWEST = 16  # signs of a key
MOST_SECONDS = 300.0  # between the clocks of both, and on the way


def read_keys(environment: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """Application → key. Raises ValueError for a key that is too short, without showing it."""
    found = {match[1].lower(): value.strip() for name, value in environment.items() if (match := KEY.fullmatch(name))}
    if short := sorted(name for name, key in found.items() if len(key) < FEWEST):
        raise ValueError(f"TUNELINE_HMAC_{short[0].upper()}: a key has at least {FEWEST} signs")
    return {name: key.encode() for name, key in found.items()}


def own_key(environment: Mapping[str, str] = os.environ) -> tuple[str, bytes] | None:
    """(name, key) that an application signs with; None where it has none. Raises ValueError where it has several."""
    keys, name = read_keys(environment), environment.get(NAME, "").strip().lower()
    if name and name not in keys:
        raise ValueError(f"{NAME} is {name[:40]}, and there is no TUNELINE_HMAC_{name[:40].upper()}")
    if not name and len(keys) > 1:
        raise ValueError(f"there are keys of {', '.join(sorted(keys))}; {NAME} says which one signs")
    return next(((one, key) for one, key in keys.items() if not name or one == name), None)


def sign(name: str, key: bytes, body: bytes, now: float | None = None) -> str:
    """What the header says."""
    seconds = str(int(time.time() if now is None else now))
    return f"{name} {seconds} {_digest(name, seconds, key, body)}"


def check(header: str | None, body: bytes, keys: Mapping[str, bytes], now: float | None = None) -> str:
    """The application that signed a body. Raises ValueError with the reason why none has."""
    if not header:
        raise ValueError(f"there is no {HEADER}; this server takes only what an application has signed")
    match = FORM.fullmatch(header)
    if not match:
        raise ValueError(f"{HEADER} is not: name, seconds since 1970, 64 hex digits")
    name, seconds, given = match.groups()
    # The same work and the same words for a name that is not known.
    right = hmac.compare_digest(_digest(name, seconds, keys.get(name, b"none"), body), given)
    if not right or name not in keys:
        raise ValueError(f"{HEADER} is not of a key that is known here, or not of this body")
    if abs((time.time() if now is None else now) - int(seconds)) > MOST_SECONDS:
        raise ValueError(f"{HEADER} is of another time: the clocks may differ by {MOST_SECONDS:.0f} s")
    return name


def _digest(name: str, seconds: str, key: bytes, body: bytes) -> str:
    return hmac.new(key, f"{name} {seconds} ".encode() + body, "sha256").hexdigest()
