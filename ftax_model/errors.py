"""The errors a user can meet; each says the law, what was got, and what to do."""

from __future__ import annotations

import re

LONGEST = 1000
"""Characters of each part of a message that are shown."""

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text of anybody with all that a terminal would obey as escapes: control characters, turns of direction, halves.

    >>> printable("\x1b[31mred\n\u202e")
    '\\x1b[31mred\n\\u202e'
    """
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


class FtaxError(ValueError):
    """Base of every error that is the user's to mend; the command line prints it as one line and exits with 2.

    Parameters
    ----------
    law : what always holds, e.g. ``"batch size is a whole number from 1 to 65536"``.
    got : what came instead, e.g. ``"0"``.
    do : what to do about it, e.g. ``"choose a batch size in that range"``.
    """

    def __init__(self, law: str, got: str, do: str) -> None:
        super().__init__(law, got, do)
        self.law, self.got, self.do = law, got, do

    def __str__(self) -> str:
        law, got, do = (_shortened(str(part)) for part in (self.law, self.got, self.do))
        return printable(" ".join(f"{law}; got {got}; {do}".split()))


class InputError(FtaxError):
    """A name, value or option that means nothing here."""


class DataError(FtaxError):
    """A file that cannot be read, written or used."""


class MissingError(FtaxError):
    """Something that must be installed or present first."""


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} ... {text[-95:]}"


def one_line(error: Exception) -> str:
    """What somebody else's code raised, in one line of at most 200 characters.

    Examples
    --------
    >>> one_line(KeyError("a"))
    "KeyError: 'a'"
    """
    return printable(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
