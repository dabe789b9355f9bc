"""What the pages show is accepted, and where their links lead there is something."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.api.kinds import KINDS
from pfd_operator.render.labels import JOB_LABEL

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    path for folder in ("docs", "examples", "tests") for path in (ROOT / folder).rglob("*.md")
)
VALUES = yaml.safe_load((ROOT / "charts/pfd-operator/values.yaml").read_text())
LEFT_OUT = "…"


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[dict[str, Any]]:
    """Yield the YAML of a page; a key that is there again begins another example."""
    for _, text in re.findall(r"^( *)```yaml\n(.*?)^\1```", page.read_text(), re.M | re.S):
        found: dict[str, Any] = {}
        for part in re.split(r"^(?=[a-zA-Z])|^---\n", textwrap.dedent(text), flags=re.M):
            for key, value in (yaml.safe_load(part) or {}).items():
                if key in found:
                    yield found
                    found = {}
                found[key] = value
        yield found


def completed(shown: Any, known: Any) -> Any:
    """Return what is shown with what is left out taken from what is known."""
    if not isinstance(shown, dict):
        return shown
    known = known if isinstance(known, dict) else {}
    rest = known if LEFT_OUT in shown else {}
    return rest | {key: completed(value, known.get(key)) for key, value in shown.items() if key != LEFT_OUT}


def unknown_values(shown: Any, known: Any, path: str) -> Iterator[str]:
    """Yield what the chart has no value of; a map without keys takes any."""
    if isinstance(shown, dict) and known != {}:
        for key, value in shown.items():
            if isinstance(known, dict) and key in known:
                yield from unknown_values(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"


JOBS = {block["kind"]: block["spec"] for block in blocks(ROOT / "README.md")}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_a_page_shows_is_accepted(page: Path) -> None:
    for block in blocks(page):
        if "kind" in block:
            if block["kind"] in KINDS:
                KINDS[block["kind"]].spec.model_validate(block["spec"])
            continue
        fields = {kind.name: {field.alias for field in kind.spec.model_fields.values()} for kind in KINDS.values()}
        kind = next((name for name, known in fields.items() if set(block) <= known), None)
        if kind is None:
            assert not list(unknown_values(block, VALUES, "values")), "neither of a job nor of the chart"
            continue
        spec = JOBS[kind]
        KINDS[kind].spec.model_validate(spec | {key: completed(value, spec.get(key)) for key, value in block.items()})


def test_examples_are_found() -> None:
    assert sorted(JOBS) == sorted(KINDS)
    showing = {page.name for page in PAGES if any(blocks(page))}
    assert {"models.md", "students.md", "operations.md", "own-engine.md"} <= showing


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        found.add(next(name for name in (anchor, *(f"{anchor}-{i}" for i in range(1, 99))) if name not in found))
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


def test_a_selector_for_any_job_is_one_that_finds_any() -> None:
    """The label with its name has another value where that is longer than labels may be."""
    told = [*PAGES, *(ROOT / "charts").rglob("*.txt"), *(ROOT / "operator" / "pfd_operator").rglob("*.py")]
    assert [page_name(text) for text in told if re.search(rf"{JOB_LABEL}=(?![a-z])", text.read_text())] == []
