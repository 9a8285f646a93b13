#!/usr/bin/env bash
# galaxy-tool-util 26.1.2: <has_archive_member path="x"> in a tool's test passes for an archive that holds x.bak alone.
#
# Guessed: `path` names a member ("the path to the archive member", says the schema). In fact it is a regular expression
# that Python's re.match tries from the start of each name, so any longer name passes too, and "." stands for any
# character. A test that means one file says path="model\.safetensors$".
#
# Seen: path="weights" passes for a zip whose only member is weights.bak, and path="model.safetensors" for one that holds
# model_safetensors.bak; with "$" at the end, and the dot escaped, both fail.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check galaxy-tool-util==26.1.2

"$folder/venv/bin/python" - <<'PYTHON'
import io
import zipfile

from galaxy.tool_util.verify.asserts.archive import assert_has_archive_member


def passes(path: str, member: str) -> bool:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(member, "x")
    try:
        assert_has_archive_member(content.getvalue(), path, lambda *nothing: None)
    except AssertionError:
        return False
    return True


seen = {
    (path, member): passes(path, member)
    for path, member in (
        ("weights", "weights.bak"),
        ("model.safetensors", "model_safetensors.bak"),
        ("safetensors", "model.safetensors"),
        ("weights$", "weights.bak"),
        (r"model\.safetensors$", "model.safetensors"),
    )
}
for (path, member), passed in seen.items():
    print(f"path={path!r:24} member={member!r:26} {'passes' if passed else 'fails'}")
assert list(seen.values()) == [True, True, False, False, True], "this has changed"
PYTHON
