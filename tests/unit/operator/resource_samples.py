"""The shortest spec of a FineTuneJob, as a user writes it."""

from __future__ import annotations

from typing import Any

SPEC: dict[str, Any] = {
    "model": {"uri": "s3://pfd/m.pt"},
    "systems": [{"name": "a", "structures": {"uri": "s3://pfd/a.xyz"}}],
    "exploration": {"stages": [{"temperaturesKelvin": [300]}]},
    "labeling": {"engine": {"xtb": {}}},
    "convergence": {"forceRMSE": 0.08},
    "artifacts": {"s3": {"bucket": "pfd"}},
}
