"""What a label pod fetches of a selection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError
from pfd_worker.frames import frame_places, parse_frames, read_frames, write_frames
from pfd_worker.label_files import read_tasks, tasks_of
from pfd_worker.stage_context import StageContext
from pfd_worker.store.objects import DirectoryStore
from tests.unit.worker.stages.label_tasks import crystals
from tests.unit.worker.stages.loop import LABEL, Loop, single_point


class Counting(DirectoryStore):
    """Notes what is fetched."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.parts: list[int] = []
        self.downloads: list[str] = []
        self.damaged = 0

    def get_part(self, key: str, first: int, length: int) -> bytes | None:
        self.parts.append(length)
        content = super().get_part(key, first, length)
        self.damaged -= 1
        return content[:-1] if content and self.damaged >= 0 else content

    def download(self, key: str, path: Path) -> None:
        self.downloads.append(Path(key).name)
        super().download(key, path)


ROWS = [0, 1, 2, 3, 4, 5, 1, 4]
"""Frames of the tasks: two are labelled once more."""


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


@pytest.fixture
def select(loop: Loop) -> StageRef:
    return loop.selected(crystals(*["Cu"] * 6), [single_point(row) for row in ROWS])


def pod(loop: Loop, select: StageRef, index: int, each: int) -> tuple[StageContext, Counting]:
    store = Counting(loop.folder / "store")
    workdir = loop.folder / f"pod-{index}-{each}"
    workdir.mkdir()
    spec = loop.spec(LABEL | {"framesPerPod": each}, 1, {"select": select})
    return StageContext(spec, store, workdir, index=index), store


@pytest.mark.parametrize(("index", "each", "runs"), [(0, 2, [2]), (1, 3, [3]), (2, 3, [1, 1]), (0, 50, [6])])
def test_a_pod_fetches_its_own_frames_only(loop, select, index, each, runs):
    context, store = pod(loop, select, index, each)
    (lengths,) = {length for _, length, _ in loop.load_json(select, "frames.json")}
    found = tasks_of(context, read_tasks(context), context.index or 0)
    assert store.parts == [count * lengths for count in runs]
    assert "frames.extxyz" not in store.downloads
    assert [number for number, _, _ in found] == list(range(len(ROWS)))[index * each : (index + 1) * each]
    for _, task, atoms in found:
        np.testing.assert_allclose(atoms.positions, crystals(*["Cu"] * 6)[task.frame].positions, atol=1e-8)


def test_a_part_that_is_damaged_on_its_way_is_fetched_again(loop, select):
    context, store = pod(loop, select, 0, 2)
    store.damaged = 1
    assert len(tasks_of(context, read_tasks(context), context.index or 0)) == 2
    again, store = pod(loop, select, 1, 2)
    store.damaged = 2
    with pytest.raises(StageError, match=r"frames\.extxyz is not what was stored there") as caught:
        tasks_of(again, read_tasks(again), again.index or 0)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.OBJECT_CORRUPT)


def test_frames_that_are_gone_are_told_as_lost(loop, select):
    context, store = pod(loop, select, 0, 2)
    store.delete(loop.manifest(select).files["frames.extxyz"].key)
    with pytest.raises(StageError) as caught:
        tasks_of(context, read_tasks(context), context.index or 0)
    assert caught.value.reason is Reason.ARTIFACT_LOST


def test_a_selection_of_an_earlier_version_is_fetched_as_a_whole(loop, select):
    files = {"frames.extxyz": crystals("Cu", "Cu"), "tasks.json": json.dumps([single_point(1).to_json()])}
    about = {"stage": "select", "purpose": "training", "frames": 1, "representativeFraction": 0}
    context, store = pod(loop, loop.committed(about, 3, files), 0, 2)
    ((_, _, atoms),) = tasks_of(context, read_tasks(context), context.index or 0)
    np.testing.assert_allclose(atoms.positions, crystals("Cu", "Cu")[1].positions, atol=1e-8)
    assert store.parts == []


def test_places_of_frames_of_different_sizes(tmp_path):
    path = tmp_path / "frames.extxyz"
    frames = [*crystals("Cu", "Si"), crystals("Al")[0].repeat(2)]
    write_frames(path, frames)
    content, whole = path.read_bytes(), read_frames(path)
    places = frame_places(path)
    assert sum(length for _, length, _ in places) == len(content)
    for (first, length, _), expected in zip(places, whole, strict=True):
        (found,) = parse_frames(content[first : first + length])
        assert found == expected
    path.write_text("")
    assert frame_places(path) == []
