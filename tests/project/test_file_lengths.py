"""A file of Python has one reason to exist, and is short enough to be read at once."""

import subprocess

from makers.scripts import ROOT

LONGEST = 400
# still to be divided; what is no longer too long is taken off
TOO_LONG = ["tools/scripts/seqlm/inference/loading.py", "tools/scripts/seqlm/training/loop.py"]


def test_no_file_has_more_lines_than_may_be():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in names if (ROOT / name).is_file()}
    assert len(lengths) > 500
    assert sorted(name for name, lines in lengths.items() if lines > LONGEST) == TOO_LONG
