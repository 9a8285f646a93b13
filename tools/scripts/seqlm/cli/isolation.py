"""A job keeps to itself: no network, and no files outside its own folder.

Called before any library is imported, since some of them read these variables when they are.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def isolate(scratch: Path) -> None:
    """Point caches and temporary files into ``scratch`` and switch off whatever would ask the Hugging Face Hub.

    A container gives a job the number of a user without a name, and no home or one that is not its own.
    """
    tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = str(scratch)
    os.environ.setdefault("USER", "seqlm")  # whose name libraries ask for; Python's getpass fails where there is none
    for name in (
        "HF_HOME",
        "TORCHINDUCTOR_CACHE_DIR",
        "TRITON_CACHE_DIR",
        "MPLCONFIGDIR",
        "NUMBA_CACHE_DIR",
        "XDG_CACHE_HOME",
    ):
        os.environ[name] = str(scratch / "cache")
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TOKENIZERS_PARALLELISM="false",
        # threads that wait for each other sleep; spinning slows them down several times on a shared core
        OMP_WAIT_POLICY="PASSIVE",
        CUBLAS_WORKSPACE_CONFIG=":4096:8",  # what cuBLAS needs to give the same result twice
    )
