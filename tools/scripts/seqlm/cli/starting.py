"""What Python itself spends while libraries are loaded and when the process ends: a quarter of a short job, if let."""

from __future__ import annotations

import atexit
import gc
from functools import cache

USUAL = gc.get_threshold()


def start_and_end_fast() -> None:
    """Keep the garbage collector from searching what the libraries made, which stays for as long as the process.

    While torch and transformers are imported it would look through everything again after each quarter more, and once
    more when Python ends.
    """
    gc.set_threshold(*USUAL[:2], 1000)
    atexit.register(gc.freeze)  # what is left at the end goes with the process


@cache
def libraries_are_loaded() -> None:
    """From here on the collector works as ever, on what the job makes: a model that is let go may go round in circles.

    Only the first call does something, as what is there then is never collected.
    """
    gc.freeze()
    gc.set_threshold(*USUAL)
