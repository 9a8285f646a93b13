#!/usr/bin/env bash
# Galaxy 26.1.2: a data manager with <credentials> in its requirements never gets them.
#
# Guessed: credentials that are declared in <requirements> and chosen in the form reach the job as variables, whatever the
# tool's type. The form of a data manager offers them as that of any tool does.
#
# Seen: DataManagerToolAction.execute takes credentials_context and does not hand it to DefaultToolAction.execute, which
# would write it to the job. The same tool without tool_type="manage_data" gets its secret.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/uv/bin/uv" venv --quiet "$folder/venv"
# its pin of certifi is left open, since not every index has that one
echo certifi > "$folder/overrides.txt"
"$folder/uv/bin/uv" pip install --quiet --python "$folder/venv" galaxy-app==26.1.2 --override "$folder/overrides.txt"

"$folder/venv/bin/python" - <<'PYTHON'
from unittest.mock import MagicMock, patch

from galaxy.tools.actions import DefaultToolAction
from galaxy.tools.actions import data_manager


def handed_on(action) -> object:
    """What the common part of every tool's execution gets of the credentials."""
    with (
        patch.object(DefaultToolAction, "execute", return_value=(MagicMock(), {}, None)) as common,
        patch.object(data_manager, "DataManagerJobAssociation"),
    ):
        action.execute(MagicMock(), MagicMock(), credentials_context="chosen in the form")
    return common.call_args.kwargs.get("credentials_context")


seen = {kind.__name__: handed_on(kind()) for kind in (DefaultToolAction, data_manager.DataManagerToolAction)}
for name, credentials in seen.items():
    print(f"{name:24} {credentials}")
assert list(seen.values()) == ["chosen in the form", None], "this has changed"
PYTHON
