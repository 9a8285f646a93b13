"""What a tokenizer fails with, in one line."""

from __future__ import annotations

from contextlib import contextmanager

from seqlm.cli.errors import InputError


@contextmanager
def panics_named(what: str):
    """Whatever a tokenizer fails with, in one line that begins with ``what``; a panic in Rust is no Exception."""
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as problem:
        raise InputError(f"{what}: {' '.join(str(problem).split())[:200]}") from None
