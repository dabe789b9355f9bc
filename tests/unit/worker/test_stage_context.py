"""Inputs of many pods: several requests at a time, in order, no download of equal files twice."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop

from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError, transient
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.manifests import Manifest
from pfd_worker.store.objects import DirectoryStore

INDEXES = 6
MISSING = 4


class MeetingStore(DirectoryStore):
    """Answers a request for an index only while another one is on its way."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.meeting = threading.Barrier(2)
        self.downloads: list[str] = []
        self.damaged = ""

    def get(self, key: str) -> bytes | None:
        self.meeting.wait(10)
        return super().get(key)

    def download(self, key: str, path: Path) -> None:
        if key == self.damaged:
            raise transient(Reason.STORE_UNAVAILABLE, f"no {key}")
        self.downloads.append(key)
        self.meeting.wait(10)
        super().download(key, path)


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A train stage whose label stage had six indexes, of which one failed."""
    loop = Loop(tmp_path)
    spec = loop.spec(LABEL, 0, {})
    for index in set(range(INDEXES)) - {MISSING}:
        workdir = tmp_path / f"index-{index}"
        workdir.mkdir()
        files = {"own": workdir / "own", "equal": workdir / "equal"}
        files["own"].write_text(f"{index}")
        files["equal"].write_text("equal in pairs" if index < 2 else "equal in others")
        commit(StageContext(spec, loop.store, workdir, index), StageOutput(files=files), 0.0)
    labels = StageRef(digest=spec.digest, completions=INDEXES)
    workdir = tmp_path / "train"
    workdir.mkdir()
    return StageContext(loop.spec(TRAIN, 0, {"label": labels}), MeetingStore(tmp_path / "store"), workdir)


def test_inputs_of_many_indexes_are_asked_for_together_and_come_in_order(context):
    manifests = context.input("label")
    assert [manifest.index for manifest in manifests] == [0, 1, 2, 3, 5]
    assert context.missing("label") == [MISSING]
    # an odd one would wait for a partner that never comes
    found = context.fetch_all(manifests[:4], "own")
    assert [path.read_text() for path in found] == ["0", "1", "2", "3"]


def test_what_is_made_without_an_index_is_not_found_by_who_has_it(context):
    lacking = context.digest
    loop = Loop(context.workdir.parent)
    (context.workdir.parent / "late").mkdir()
    label = StageContext(loop.spec(LABEL, 0, {}), loop.store, context.workdir.parent / "late", MISSING)
    commit(label, StageOutput(), 0.0)
    again = StageContext(context.spec, loop.store, context.workdir)
    assert again.digest == context.spec.digest != lacking
    made = commit(again, StageOutput(), 0.0)
    assert (made.result.digest, made.result.asked) == (context.spec.digest, None)


def test_what_is_made_without_an_index_says_what_it_was_asked_as(context):
    made = commit(context, StageOutput(), 0.0)
    assert (made.digest, made.result.digest, made.result.asked) == (context.digest, context.digest, context.spec.digest)
    assert context.digest != context.spec.digest


def test_equal_files_are_fetched_once(context):
    found = context.fetch_all(context.input("label"), "equal")
    assert len(context.store.downloads) == 2
    assert [path.read_text().split()[-1] for path in found] == ["pairs", "pairs", "others", "others", "others"]


def test_a_failed_request_fails_the_stage_in_its_words(context):
    manifests = context.input("label")[:3]
    context.store.damaged = manifests[1].files["own"].key
    with pytest.raises(StageError, match=context.store.damaged):
        context.fetch_all(manifests, "own")


def test_a_manifest_of_a_later_version_is_read(context):
    made = commit(context, StageOutput(summary={"frames": 3}), 0.0)
    later = json.loads(made.to_bytes())
    later |= {"later": 1, "result": later["result"] | {"later": 2}}
    assert Manifest.from_bytes(json.dumps(later).encode()) == made
