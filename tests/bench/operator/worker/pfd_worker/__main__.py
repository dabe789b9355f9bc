"""Say at once that the stage went well. Nothing but the standard library: imports are not what is measured."""

import json
from pathlib import Path

STAGE_FILE, MESSAGE_FILE = Path("/etc/pfd/stage.json"), Path("/dev/termination-log")
ERRORS = {"frames": 4, "forceRmse": 0.2, "forceRmseLow": 0.1, "forceRmseHigh": 0.3, "energyRmsePerAtom": 0.001}


def result(spec: dict) -> dict:
    """Return what a real worker would say of this stage."""
    stage, iteration = spec["params"]["stage"], spec["iteration"]
    answer = {"ok": True}
    if stage == "prepare":
        answer["digest"] = "cd" * 32
    elif stage == "select":
        # as many tasks as frames were asked for: each is one index of the label stage
        answer["counts"] = {"tasks": spec["params"]["frames"]}
    elif stage == "train":
        others = {"prequential": ERRORS} if iteration else {"pretrained": ERRORS, "shifted": ERRORS}
        answer |= {"metrics": {"holdout": ERRORS, "best": ERRORS, **others}, "bestIteration": iteration}
        answer["modelUri"] = f"s3://bench/{iteration}.pt"
    return answer


if __name__ == "__main__":
    MESSAGE_FILE.write_text(json.dumps(result(json.loads(STAGE_FILE.read_text()))))
