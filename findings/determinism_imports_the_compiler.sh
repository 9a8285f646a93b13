#!/usr/bin/env bash
# torch 2.13.0: torch.use_deterministic_algorithms(True) imports the whole compiler (torch._inductor, torch._dynamo),
# though nothing is compiled, to set a flag of it.
#
# Guessed: a switch in the C++ core, free of cost. In fact the call takes nearly as long as importing torch, in
# every short job that wants the same bytes twice; the core's own switch is set in no time.
#
# Seen: over eight hundred modules more after the call, torch._inductor.config among them, and nearly as many CPU seconds
# again as `import torch` took.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat > "$folder/count.py" <<'PYTHON'
import sys
import time

import torch

imported, before = time.process_time(), set(sys.modules)
torch.use_deterministic_algorithms(True)
spent = time.process_time() - imported
new = set(sys.modules) - before
names = ", ".join(name for name in ("torch._inductor.config", "torch._dynamo") if name in new)
print(f"import torch: {imported:.1f} s of CPU; the switch: {spent:.1f} s, {len(new):,} modules, {names} among them")
assert "torch._inductor.config" in new and len(new) > 500 and spent > imported / 4, "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/count.py" > /dev/null  # the first run compiles
"$folder/venv/bin/python" "$folder/count.py"
