"""Train: measure the exploring model on labels it has not seen, fine-tune on all labels, measure on the hold-out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import ErrorMetrics, ExitCode, Reason
from pfd_operator.contract.stage import TrainParams
from pfd_worker.errors import StageError
from pfd_worker.evaluation.errors import FrameError, frame_errors, summarise
from pfd_worker.evaluation.report import error_report
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift
from pfd_worker.frames import read_frames, write_frames
from pfd_worker.models.checkpoint import shift_energy_bias
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.report.writing import Trained, write_report
from pfd_worker.stage_context import Manifest, StageContext, StageOutput
from pfd_worker.stages.select import DATASET_FEATURES
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.finetune import FineTuned, FineTuning
from pfd_worker.training.settings import CURVE_FILE


def run(context: StageContext) -> StageOutput:
    """Do the whole of a train stage; see the module's functions for its parts."""
    params = cast(TrainParams, context.spec.params)
    return _TrainStage(context, params).run()


class _TrainStage:
    """State of one train stage: frames, metrics and reports as they come."""

    def __init__(self, context: StageContext, params: TrainParams) -> None:
        self.context = context
        self.params = params
        self.prepare = context.input("prepare")[0]
        self.previous: Manifest | None = context.input("train")[0] if "train" in context.spec.inputs else None
        self.folder = context.workdir
        self.metrics: dict[str, ErrorMetrics] = {}
        self.reports: dict[str, Any] = {}
        self.seed = seed_of(context.spec.seed, "bootstrap")
        if self.previous is not None:
            # the previous stage has its manifest: nobody will go on from its checkpoints
            CheckpointStore(context.store, self.previous.digest).clear()

    def run(self) -> StageOutput:
        labels = collect_labels(self.context, self.params.max_failed_fraction)
        new = [atoms for atoms in labels if atoms.info["purpose"] == "training"]
        dataset, holdout = self._datasets(new, labels)
        pretrained = DeepmdModel(self.context.fetch(self.prepare, "model.pt"))
        shifts = fit_energy_shift(frame_errors(dataset, pretrained.predict(dataset)))
        shifted = self.folder / "shifted.pt"
        shift_energy_bias(self.context.fetch(self.prepare, "model.pt"), shifts, shifted)
        if self.previous is None:
            self._measure_baselines(pretrained, holdout, shifts)
        elif new:
            explorer = DeepmdModel(self.context.fetch(self.previous, "model.pt"))
            self._measure("prequential", frame_errors(new, explorer.predict(new)))
        outcome = self._fine_tune(dataset, shifted)
        model = DeepmdModel(self.folder / "model.pt")
        predictions = model.predict(holdout)
        self._measure("holdout", frame_errors(holdout, predictions))
        best_iteration = self._choose_best(shifted)
        if best_iteration != self.context.spec.iteration:
            predictions = DeepmdModel(self.folder / "best.pt").predict(holdout)
        elements: list[str] = self.prepare.summary["elements"]
        features = model.features(dataset, elements) if dataset else np.zeros((0, 0), dtype=np.float32)
        trained = Trained(
            reports=self.reports,
            holdout=holdout,
            best_predictions=predictions,
            best_iteration=best_iteration,
            features=features,
            new_frames=len(new),
            error_seed=self.seed,
        )
        files = write_report(self.context, self.previous, trained)
        return self._output(dataset, holdout, features, outcome, best_iteration, shifts, files)

    def _datasets(self, new: list[Atoms], labels: list[Atoms]) -> tuple[list[Atoms], list[Atoms]]:
        if self.previous is not None:
            before = read_frames(self.context.fetch(self.previous, "dataset.extxyz"))
            return before + new, read_frames(self.context.fetch(self.previous, "holdout.extxyz"))
        given = []
        if "data.extxyz" in self.prepare.files:
            given = read_frames(self.context.fetch(self.prepare, "data.extxyz"))
        holdout = [atoms for atoms in labels if atoms.info["purpose"] == "hold-out"]
        if not holdout:
            raise StageError(
                ExitCode.USER_ERROR,
                Reason.LABELS_FAILED,
                "no hold-out frame has a label, so no model can be measured. See failures.json of the label stage.",
            )
        return given + new, holdout

    def _measure(self, name: str, errors: list[FrameError]) -> None:
        self.metrics[name] = summarise(errors, self.seed)
        self.reports[name] = error_report(errors, self.seed)

    def _measure_baselines(self, pretrained: DeepmdModel, holdout: list[Atoms], shifts: dict[str, float]) -> None:
        """Measure what is there before any training: the model as it is, and with its zero of energy moved only."""
        errors = frame_errors(holdout, pretrained.predict(holdout))
        self._measure("pretrained", errors)
        self._measure("shifted", apply_energy_shift(errors, shifts))

    def _fine_tune(self, dataset: list[Atoms], shifted: Path) -> FineTuned | None:
        if not dataset:
            shutil.copyfile(shifted, self.folder / "model.pt")
            return None
        spec = self.context.spec
        tuning = FineTuning(
            folder=self.folder / "training",
            base_input=json.loads(self.context.fetch(self.prepare, "deepmd_input.json").read_text()),
            start=shifted,
            checkpoints=CheckpointStore(self.context.store, spec.digest),
            checkpoint_seconds=self.params.training.checkpoint_seconds,
            validation_fraction=self.params.training.validation_fraction,
            seed=seed_of(spec.seed, "train", spec.iteration),
            progress=self.context.progress,
            stopping=self.context.stopping,
        )
        return tuning.run(dataset, self.folder / "model.pt")

    def _choose_best(self, shifted: Path) -> int | None:
        """Put the best model so far into best.pt; a fine-tuned one must beat the shifted pre-trained one."""
        target = self.folder / "best.pt"
        iteration: int | None = None
        if self.previous is None:
            best, source = self.metrics["shifted"], shifted
        else:
            best = ErrorMetrics.model_validate(self.previous.summary["metrics"]["best"])
            iteration = self.previous.summary["best_iteration"]
            source = self.context.fetch(self.previous, "best.pt")
        if self.metrics["holdout"].force_rmse < best.force_rmse:
            best, iteration, source = self.metrics["holdout"], self.context.spec.iteration, self.folder / "model.pt"
        shutil.copyfile(source, target)
        self.metrics["best"] = best
        return iteration

    def _output(
        self,
        dataset: list[Atoms],
        holdout: list[Atoms],
        features: Any,
        outcome: FineTuned | None,
        best_iteration: int | None,
        shifts: dict[str, float],
        report_files: dict[str, Path],
    ) -> StageOutput:
        names = ("model.pt", "best.pt", "dataset.extxyz", "holdout.extxyz", "evaluation.json", DATASET_FEATURES)
        files = {**report_files, **{name: self.folder / name for name in names}}
        write_frames(files["dataset.extxyz"], dataset)
        write_frames(files["holdout.extxyz"], holdout)
        np.save(files[DATASET_FEATURES], features)
        training = {} if outcome is None else vars(outcome)
        report = {
            "iteration": self.context.spec.iteration,
            **self.reports,
            "energyShiftsEv": shifts,
            "training": training,
        }
        files["evaluation.json"].write_text(json.dumps(report, indent=1))
        curve = self.folder / "training" / CURVE_FILE
        if curve.exists():
            files[CURVE_FILE] = curve
        before = {} if self.previous is None else self.previous.summary["metrics"]
        baselines = {name: before[name] for name in ("pretrained", "shifted") if name in before}
        metrics = {**baselines, **{name: value.to_json() for name, value in self.metrics.items()}}
        summary = {
            "branch": None,
            "best_iteration": best_iteration,
            "type_map": self.prepare.summary["type_map"],
            "elements": self.prepare.summary["elements"],
            "metrics": metrics,
            "kept_step": 0 if outcome is None else outcome.step,
        }
        return StageOutput(
            files=files,
            summary=summary,
            counts={
                "dataset": len(dataset),
                "holdout": len(holdout),
                "resumed_from_step": 0 if outcome is None else outcome.resumed_from_step,
            },
            metrics=self.metrics,
            best_iteration=best_iteration,
        )


def collect_labels(context: StageContext, max_failed_fraction: float) -> list[Atoms]:
    """Return the labelled frames of all indexes of the label stage.

    Raises
    ------
    StageError
        LabelsFailed, if more of the tasks have no label than allowed, with the engine's last lines.
    """
    tasks = json.loads(context.fetch(context.input("select")[0], "tasks.json").read_text())
    frames: list[Atoms] = []
    failures: list[dict[str, Any]] = []
    for manifest in context.input("label"):
        frames += read_frames(context.fetch(manifest, "labels.extxyz"))
        failures += json.loads(context.fetch(manifest, "failures.json").read_text())
    done = len({str(atoms.info["label_key"]) for atoms in frames})
    failed = max(len(failures), len(tasks) - done)
    if tasks and failed / len(tasks) > max_failed_fraction:
        last = failures[-1]["message"] if failures else "label pods ended without a verdict"
        raise StageError(
            ExitCode.USER_ERROR,
            Reason.LABELS_FAILED,
            f"{failed} of {len(tasks)} reference calculations have no usable result, more than "
            f"spec.labeling.maxFailedFraction = {max_failed_fraction:g} allows. Last words of the engine:\n{last}",
        )
    return frames
