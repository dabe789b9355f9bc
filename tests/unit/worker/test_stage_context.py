"""Inputs of many pods: several requests at a time, in order, no download of equal files twice."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError, transient
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.manifests import Manifest, manifest_key, read_manifest
from pfd_worker.store.objects import DirectoryStore
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop

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
    for index in set(range(INDEXES)) - {MISSING}:
        files = {"own": f"{index}", "equal": "equal in pairs" if index < 2 else "equal in others"}
        digest = loop.committed(LABEL, 0, files, index=index).digest
    labels = StageRef(digest=digest, completions=INDEXES)
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
    told = {"frames": 3, "feature_form": 4, "dynamics": None, "baseline": {}}
    made = commit(context, StageOutput(summary=told), 0.0)
    later = json.loads(made.to_bytes())
    later |= {"later": 1, "result": later["result"] | {"later": 2}}
    assert Manifest.from_bytes(json.dumps(later).encode()) == made


def consumer(context: StageContext, name: str) -> StageContext:
    """Another attempt at the train stage, in a folder of its own."""
    workdir = context.workdir.parent / name
    workdir.mkdir()
    return StageContext(context.spec, DirectoryStore(context.workdir.parent / "store"), workdir)


def test_a_stage_whose_files_are_gone_counts_as_none_and_is_committed_anew(context):
    first = consumer(context, "first")
    manifest = first.input("label")[1]
    first.store.delete(manifest.files["own"].key)
    with pytest.raises(StageError) as caught:
        first.fetch(manifest, "own")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.ARTIFACT_LOST)
    for named in ("own of the label stage", manifest.digest[:12], "spec.restart", "fromIteration"):
        assert named in caught.value.message
    assert read_manifest(first.store, manifest.digest, 1) is None
    # not an index that has failed finally: its labels would be left out
    with pytest.raises(StageError, match="label stage") as again:
        consumer(context, "second").missing("label")
    assert again.value.reason is Reason.ARTIFACT_LOST

    label = StageContext(Loop(context.workdir.parent).spec(LABEL, 0, {}), first.store, first.workdir, 1)
    file = first.workdir / "own"
    file.write_text("computed again")
    made = commit(label, StageOutput(files={"own": file}), 0.0)
    third = consumer(context, "third")
    assert third.input("label")[1] == made
    assert third.fetch(made, "own").read_text() == "computed again"
    assert commit(label, StageOutput(), 0.0) == made


def test_what_was_computed_again_meanwhile_is_not_lost(context):
    late = consumer(context, "late")
    manifest = late.input("label")[1]
    late.store.delete(manifest.files["own"].key)
    other = replace(manifest, files={"own": manifest.files["equal"]})
    late.store.put(manifest_key(manifest.digest, 1), other.to_bytes())
    with pytest.raises(StageError):
        late.fetch(manifest, "own")
    assert read_manifest(late.store, manifest.digest, 1) == other


@pytest.mark.parametrize("what", ["own", "manifest.json"])
def test_a_file_of_another_job_that_is_gone_is_named(context, what):
    mine = consumer(context, "mine")
    manifest = mine.input("label")[0]
    place = manifest_key(manifest.digest, 0)
    gone = manifest.files["own"].key if what == "own" else place
    mine.store.delete(gone)
    with pytest.raises(StageError, match=f"{gone} of the other job's stage {manifest.digest[:12]} .*restart") as caught:
        mine.fetch_from(mine.store.uri(place), "own")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.ARTIFACT_LOST)
    if what == "own":
        assert read_manifest(mine.store, manifest.digest, 0) == manifest
