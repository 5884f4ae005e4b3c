"""What a check is: something it looks at in a file, and what it finds odd or wrong there."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from ftax_model.checks._seen import Seen

FINE, ODD, WRONG = "fine", "odd", "wrong"
LEVELS = (FINE, ODD, WRONG)
"""``odd`` may have a good reason, and says something of what follows; ``wrong`` cannot be what it says it is.

``fine`` is a figure worth telling where all is well."""

S = TypeVar("S", bound=Seen)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    ``saw`` says what was seen, with numbers, and ``do`` what to do about it. ``count`` of the ``of`` things that were
    looked at are so (rows, cells, platforms, predictions), and ``example`` is one of them: the key of a row, or a name.
    """

    check: str
    level: str
    saw: str
    do: str
    count: int = 1
    of: int = 1
    example: str = ""

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dict(vars(self))


class Check(abc.ABC, Generic[S]):
    """One check; one file in this folder each, whose name it goes by.

    ``kind`` is what it looks at: `Measured`, `Fitted` or `Planned`; ``looks_at`` says in a sentence for what.
    """

    kind: ClassVar[type[Seen]]
    looks_at: ClassVar[str]

    @property
    def name(self) -> str:
        """The name of its file, as people write it."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @abc.abstractmethod
    def find(self, seen: S) -> Iterator[Finding]:
        """What is odd or wrong; nothing where all is well or there is too little to tell."""

    def fine(self, saw: str, **more: Any) -> Finding:
        """A figure of a thing that is as it should be."""
        return Finding(self.name, FINE, saw, "", **more)

    def odd(self, saw: str, do: str, **more: Any) -> Finding:
        """A finding of this check."""
        return Finding(self.name, ODD, saw, do, **more)

    def wrong(self, saw: str, do: str, **more: Any) -> Finding:
        """The same, of what cannot be what it says it is."""
        return Finding(self.name, WRONG, saw, do, **more)
