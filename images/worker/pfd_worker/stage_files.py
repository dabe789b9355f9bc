"""Names of the files that stages hand on to others, by the stage that writes them.

Jobs that run have stored files of these names: one that is renamed is not found again. For one that is new,
`store.left` says what stands for it where a worker of an earlier version ran.
"""

from __future__ import annotations

CALCULATOR = "calculator.json"
"""prepare, in place of a model: the engine's settings of a teacher that is an ASE calculator."""
MODEL_SECTION = "model_section.json"
"""prepare: the model's section of a training input."""
STRUCTURES = "structures.extxyz"
"""prepare: what the user gave, slabs and supercells made of it, and nothing moved."""
STARTS = "starts.extxyz"
"""prepare: structures that MD starts from, the perturbed ones."""
GIVEN_DATA = "data.extxyz"
"""prepare: frames that the user has labelled already."""

CANDIDATES = "candidates.extxyz"
"""explore: frames of its MD."""
FEATURES = "features.npy"
"""explore: a row of features for each of them, float32."""
CANDIDATE_ROWS = "candidates.json"
"""explore: what is said of each of them."""

FRAMES = "frames.extxyz"
"""select: what is to be labelled."""
FRAME_PLACES = "frames.json"
"""select: first byte, number of bytes and sha256 of each of them in that file."""
TASKS = "tasks.json"
"""select: how, a task for each calculation."""
FEATURE_MAP = "feature_map.json"
"""select: what the report draws of a selection; `null` where there is too little to draw."""

LABELS = "labels.extxyz"
"""label: frames with energy (eV), forces (eV/Å) and virial (eV)."""
FAILURES = "failures.json"
"""label: the tasks that failed, and why; of AIMD the steps before are labels."""

DATASET = "dataset.extxyz"
"""train: all that is trained on."""
DATASET_FEATURES = "dataset_features.npy"
"""train: a row of features for each of them by the new model, float32."""
HOLD_OUT = "holdout.extxyz"
"""prepare, if the user gives them, and train: labels that are never trained on."""
TIGHTER = "tighter.extxyz"
"""train: labels by the tighter settings of a noise check, of all iterations, where there are some."""
AIMD = "aimd.extxyz"
"""train: the AIMD trajectories of the first labels."""
EVALUATION = "evaluation.json"
"""train: all errors, in full."""
HISTORY = "history.json"
"""train: what the report says of each iteration."""
REPORT_JSON = "report.json"
REPORT_PAGE = "report.html"
"""train: the report, for programs and for people."""

FROZEN = "frozen.pth"
COMPRESSED = "compressed.pth"
"""accept: the student for MD, the second one where the model can be compressed."""
ACCEPTANCE = "acceptance.json"
"""accept: every figure and verdict."""
