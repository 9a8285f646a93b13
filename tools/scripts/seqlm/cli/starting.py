"""What Python itself spends while libraries are loaded and when the process ends: a quarter of a short job, if let."""

from __future__ import annotations

import atexit
import gc


def start_and_end_fast() -> None:
    """Keep the garbage collector from searching what the libraries made, which stays for as long as the process.

    While torch and transformers are imported it would look through everything again after each quarter more, and once
    more when Python ends. What a job itself leaves behind is found among the young objects as ever.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1000)
    atexit.register(gc.freeze)  # what is left at the end goes with the process
