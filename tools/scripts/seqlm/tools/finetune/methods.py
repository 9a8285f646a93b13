"""What can be trained of a model."""

from __future__ import annotations

# method -> the learning rate that suits it, where none is given
LEARNING_RATES = {"lora": 3e-4, "dora": 3e-4, "full": 2e-5, "head": 1e-3}
