"""The errors a user can meet; each says the law, what was got, and what to do."""

from __future__ import annotations


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
        return " ".join(f"{self.law}; got {self.got}; {self.do}".split())


class InputError(FtaxError):
    """A name, value or option that means nothing here."""


class DataError(FtaxError):
    """A file that cannot be read, written or used."""


class MissingError(FtaxError):
    """Something that must be installed or present first."""


def one_line(error: Exception) -> str:
    """What somebody else's code raised, in one line of at most 200 characters.

    Examples
    --------
    >>> one_line(KeyError("a"))
    "KeyError: 'a'"
    """
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
