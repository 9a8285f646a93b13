"""Patterns of users are searched within a limit of time."""

import re
import signal
import time

import pytest

from seqlm.cli.errors import InputError
from seqlm.data import patterns
from seqlm.data.patterns import Pattern


def test_a_pattern_finds_what_python_s_own_finds():
    header = "P1 OS=Homo sapiens SET=test LABEL=2.5;x"
    for text in (r"LABEL=(\S+)", r"SET=(\w+) LABEL=([\d.]+)", r"nothing", r"(?i)label=(.)"):
        own, expected = Pattern(text, "label").search(header), re.search(text, header)
        assert (own and own.groups()) == (expected and expected.groups())
    assert Pattern(r"(a)(b)", "label").groups == 2


SLOW, TEXT = r"^\w*\w*x", "a" * 10_000  # which ends by itself, after half a second


def test_a_search_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(patterns, "SECONDS", 0.02)
    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    with pytest.raises(InputError, match="takes too long to search"):
        Pattern(SLOW, "label").search(TEXT)
    assert time.monotonic() - began < 10
    assert signal.getsignal(signal.SIGALRM) == before and not any(signal.getitimer(signal.ITIMER_REAL))


def test_many_searches_that_are_slow_together_are_ended(monkeypatch):
    monkeypatch.setattr(patterns, "SECONDS_TOGETHER", 0.05)
    pattern = Pattern(SLOW, "label")
    with pytest.raises(InputError, match="takes too long to search"):
        for _ in range(1000):
            pattern.search(TEXT[:1000])


@pytest.mark.parametrize("text", ["(", "(" * 900 + ")" * 900, "a{99999999999999999999}", "a" * 1001])
def test_what_cannot_be_compiled_is_named(text):
    with pytest.raises(InputError, match="the split pattern"):
        Pattern(text, "split")
