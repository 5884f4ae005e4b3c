"""An extension of griffe: docstrings of this project say ``name : what it is``, and types stand in signatures alone."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(?:Parameters|Attributes)\n-+\n(?:.+\n?)+", re.MULTILINE)
ENTRY = re.compile(r"^(\w[\w, ]*?) : ", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Moves what stands behind the colon, where numpydoc has the type, into the description."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the sections of one docstring."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = SECTION.sub(lambda found: ENTRY.sub(r"\1\n    ", found[0]), text)
