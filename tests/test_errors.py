"""Every user error is one line: the law, what was got, what to do."""

from __future__ import annotations

import pickle

import pytest

from ftax_model.errors import DataError, FtaxError, InputError, MissingError, one_line


@pytest.mark.parametrize("kind", [InputError, DataError, MissingError])
def test_kinds_are_one_family(kind: type[FtaxError]) -> None:
    error = kind("batch size is a whole number", "'two'", "choose one")
    assert isinstance(error, FtaxError)
    assert isinstance(error, ValueError)
    assert str(error) == "batch size is a whole number; got 'two'; choose one"
    assert (error.law, error.got, error.do) == ("batch size is a whole number", "'two'", "choose one")


def test_message_is_one_line_whatever_was_got() -> None:
    error = DataError("a plan is YAML", "line 1\n\tline  2\r\n", "mend it\n")
    assert str(error) == "a plan is YAML; got line 1 line 2 ; mend it"


def test_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(MissingError("law", "got", "do")))  # noqa: S301
    assert type(error) is MissingError
    assert (error.law, error.got, error.do) == ("law", "got", "do")


def test_no_terminal_obeys_a_message() -> None:
    error = DataError("a name is printed", "\x1b]0;title\x07 \x9b31m \u202egnp \ud800", "mend it")
    assert str(error) == r"a name is printed; got \x1b]0;title\x07 \x9b31m \u202egnp \ud800; mend it"
    assert one_line(ValueError("\x1b[2J")) == r"ValueError: \x1b[2J"


def test_a_message_is_short_whatever_was_got() -> None:
    assert len(str(DataError("law", "x" * 10**6, "do"))) < 1100
