"""Say at once that the stage went well. Nothing but the standard library: imports are not what is measured."""

import json
from pathlib import Path

STAGE_FILE, MESSAGE_FILE = Path("/etc/pfd/stage.json"), Path("/dev/termination-log")
ERRORS = {"frames": 4, "forceRmse": 0.2, "forceRmseLow": 0.1, "forceRmseHigh": 0.3, "energyRmsePerAtom": 0.001}


def result(spec: dict) -> dict:
    """Return what a real worker would say of this stage."""
    stage, iteration = spec["params"]["stage"], spec["iteration"]
    if stage == "prepare":
        return {"ok": True, "digest": "cd" * 32, "outcome": {"stage": stage, "starts": 1, "data": 0}}
    if stage == "select":
        # as many tasks as frames were asked for: each is one index of the label stage
        frames = spec["params"]["frames"]
        return {"ok": True, "outcome": {"stage": stage, "tasks": frames, "labels": frames}}
    if stage == "train":
        others = {"prequential": ERRORS} if iteration else {"pretrained": ERRORS, "shifted": ERRORS}
        sizes = {"trainingFrames": 4, "holdoutFrames": 4}
        errors = {"holdout": ERRORS, "best": ERRORS, **others}
        outcome = {"stage": stage, **sizes, "errors": errors, "bestIteration": iteration}
        return {"ok": True, "outcome": outcome, "modelUri": f"s3://bench/{iteration}.pt"}
    return {"ok": True}


if __name__ == "__main__":
    spec = json.loads(STAGE_FILE.read_text())
    MESSAGE_FILE.write_text(json.dumps({"digest": spec["digest"], **result(spec)}))
