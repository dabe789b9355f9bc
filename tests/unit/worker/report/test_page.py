import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from pfd_worker.frames import energy_of
from pfd_worker.models.base import Prediction
from pfd_worker.report import cells, plots, sections, sections_of_iterations, sections_of_md
from pfd_worker.report.comparison import compare
from pfd_worker.report.data import ReportData
from pfd_worker.report.dynamics import Dynamics
from pfd_worker.report.history import History
from pfd_worker.report.page import render_page
from tests.unit.worker.report.parsed import ParsedPage
from tests.unit.worker.report.samples import SYSTEMS, holdout_frames, predictions_for, sample_map, sample_report

FIGURES = {
    "figure-errors", "figure-learning", "figure-parity-energy", "figure-parity-forces", "figure-parity-virial",
    "figure-by-stratum", "figure-by-element", "figure-by-force", "figure-histogram", "figure-map",
    "figure-by-system", "figure-by-temperature", "figure-displacement", "figure-rdf-0", "figure-rdf-1",
}  # fmt: skip
NASTY = "<script>alert('x')</script> & \"$\\frac{a}$ ${b}$"


@pytest.fixture(scope="module")
def report() -> ReportData:
    return sample_report()


@pytest.fixture(scope="module")
def html(report) -> str:
    return render_page(report)


@pytest.fixture(scope="module")
def page(html) -> ParsedPage:
    return ParsedPage(html)


def test_every_figure_is_there_with_a_caption(page):
    assert set(page.figures) == FIGURES
    for name, tags in page.figures.items():
        assert tags.count("svg") == 1 and tags.count("figcaption") == 1, name
        assert {"path", "text"} <= set(tags), name


def test_nothing_is_fetched_from_anywhere(html, page):
    assert "http:" not in html and "https:" not in html
    assert not {"script", "link", "img", "iframe", "image", "object"} & set(page.tags)
    for tag, name, value in page.attributes:
        if name in ("href", "src", "xlink:href"):
            assert value.startswith("#"), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", html)


def test_ids_are_unique_and_references_find_them(page):
    assert len(page.ids) == len(set(page.ids))
    used = {value[1:] for _, name, value in page.attributes if name == "xlink:href"}
    used |= {found for _, _, value in page.attributes for found in re.findall(r"url\(#([^)]*)\)", value)}
    assert used and used <= set(page.ids)


def test_the_table_says_what_report_json_says(report, page):
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    before, best = content["history"]["baselines"]["pretrained"], content["best"]
    for row, errors in ((page.row("pre-trained"), before), (page.row("fine-tuned, iteration 3 (best)"), best)):
        force, low, high = (float(part) for part in re.findall(r"[\d.]+", row[1]))
        assert force == pytest.approx(errors["forceRmse"], rel=6e-3)
        assert (low, high) == pytest.approx((errors["forceRmseLow"], errors["forceRmseHigh"]), rel=6e-3)
        assert float(row[2]) == pytest.approx(errors["energyRmsePerAtom"], rel=6e-3)
        assert float(row[3]) == pytest.approx(errors["virialRmsePerAtom"], rel=6e-3)
    assert page.row("fine-tuned, iteration 3 (best)")[4] == "80"
    halving = content["learningCurve"]["halving"]
    assert f"about {halving['labels']:.0f} labels" in page.text
    assert all(system in page.text for system in SYSTEMS)
    assert content["provenance"]["digest"] in page.text


@pytest.mark.parametrize(("rms", "rough"), [(2.0, False), (0.5, True)])
def test_the_force_error_is_told_beside_the_forces(report, rms, rough):
    best = report.best | {"forceRmse": 0.2, "labelForceRms": rms}
    text = ParsedPage(sections.summary(dataclasses.replace(report, best=best))).text
    assert f"That of the model of iteration 3 is {20 / rms:.0f} % of the RMS force" in text
    assert ("MD with it is rough" in text) == rough


def test_too_few_trajectories_give_no_interval(report):
    few = {name: value for name, value in report.best.items() if name not in ("forceRmseLow", "forceRmseHigh")}
    page = ParsedPage(
        sections.summary(dataclasses.replace(report, best=few))
        + sections.where_it_errs(dataclasses.replace(report, best=few | {"temperatures": {"300": few, "600": few}}))
    )
    assert page.row("fine-tuned, iteration 3 (best)")[1].strip() == cells.number(few["forceRmse"])


def test_errors_are_drawn_by_what_has_several_values(report):
    one = {"1": report.best}
    several = {"1": report.best, "10000": report.best}
    for pressures, drawn in ((one, False), (several, True)):
        best = report.best | {"systems": one, "temperatures": one, "pressures": pressures}
        figures = ParsedPage(sections.where_it_errs(dataclasses.replace(report, best=best))).figures
        assert ("figure-by-pressure" in figures) is drawn
        assert not {"figure-by-system", "figure-by-temperature"} & set(figures)


def test_a_baseline_whose_zero_of_energy_is_not_known_has_no_energy_error(report):
    shifted = {name: value for name, value in report.best.items() if name != "energyRmsePerAtom"}
    history = dataclasses.replace(report.history, baselines=report.history.baselines | {"shifted": shifted})
    page = ParsedPage(sections.summary(dataclasses.replace(report, history=history)))
    assert page.row("pre-trained, energy shifted")[2] == "–"


def test_what_a_distill_job_trains_is_a_student(report):
    job = dataclasses.replace(report.job, kind="DistillJob")
    summary = ParsedPage(sections.summary(dataclasses.replace(report, job=job)))
    assert summary.row("student, iteration 3 (best)")[4] == "80"
    assert "fine-tuned" not in summary.text


def test_numbers_on_axes_keep_their_digits():
    """Coordinates are rounded to two decimals; numbers that are read are not."""
    frames = holdout_frames(6)
    exact = [Prediction(energy_of(atoms), atoms.get_forces() + 0.001, np.zeros((3, 3))) for atoms in frames]
    text = ParsedPage(plots.force_error_histogram(compare(frames, exact, seed=1))).text
    assert {"0.00050", "0.00075"} <= set(text.split())


def test_names_are_text_wherever_they_come_from(report):
    best = json.loads(json.dumps(report.best))
    best["strata"][NASTY] = next(iter(best["strata"].values()))
    points = dataclasses.replace(report.comparison.forces, systems=(NASTY,) * len(report.comparison.forces.label))
    nasty = dataclasses.replace(
        report,
        job=dataclasses.replace(report.job, name=NASTY, namespace=NASTY),
        best=best,
        comparison=dataclasses.replace(report.comparison, forces=points),
        provenance=dataclasses.replace(
            report.provenance, packages={NASTY: NASTY}, settings={NASTY: NASTY}, stages={NASTY: "00"}
        ),
    )
    html = render_page(nasty)
    page = ParsedPage(html)
    assert "script" not in page.tags and "<script" not in html
    # title, heading, origin, stratum, system, package, version, settings (escaped once more, as JSON), stage
    assert page.text.count(NASTY) >= 7
    assert set(page.figures) == FIGURES


@pytest.mark.parametrize(
    ("arguments", "missing", "words"),
    [
        (
            {"iterations": 1, "virial": False},
            {"figure-learning", "figure-parity-virial"},
            ["three different numbers of labels", "No hold-out frame has a virial"],
        ),
        ({"frames_count": 1}, {"figure-by-system", "figure-by-temperature"}, ["on 1 hold-out frame that"]),
    ],
    ids=["first iteration without virials", "one frame"],
)
def test_what_cannot_be_drawn_is_said(arguments, missing, words):
    report = sample_report(**arguments)
    page = ParsedPage(render_page(report))
    assert set(page.figures) == FIGURES - missing
    assert all(each in page.text for each in words)
    json.dumps(report.to_json(), allow_nan=False)


def test_the_best_is_named_whichever_iteration_it_is_of():
    report = sample_report(best=None)
    assert "no training has beaten the shifted pre-trained model" in sections.headline(report)
    assert "best" not in ParsedPage(sections.summary(report)).text
    summary = ParsedPage(sections.summary(sample_report(best=1)))
    assert summary.row("fine-tuned, iteration 1 (best)")[4] == "40" and summary.row("fine-tuned, iteration 3")


def test_what_was_expected_of_md_stands_beside_what_was_found(page):
    header = next(number for number, row in enumerate(page.rows) if row[0].strip() == "iteration")
    expected = [row[7].strip() for row in page.rows[header : header + 4]]
    assert expected == ["expected of MD force RMSE below, eV/Å", "–", "–", "0.158 0.0316 – 0.316"]
    new, exploded = ([row[n].strip() for row in page.rows[header : header + 4]] for n in (8, 9))
    assert new == ["MD frames new to the labels before", "–", "50 % 60 of 120", "25 % 30 of 120"]
    assert exploded == ["MD exploded of all trajectories", "–", "–", "–"]
    report = sample_report()
    last = report.history.last
    told = dataclasses.replace(last, force_error_bound=last.force_error_bound | {"held": 9, "frames": 10})
    history = dataclasses.replace(report.history, iterations=(*report.history.iterations[:-1], told))
    measured = dataclasses.replace(report, history=history)
    shown = [cell.strip() for row in ParsedPage(sections_of_iterations.progress(measured)).rows for cell in row]
    assert "0.129 0.0258 – 0.258; held for 9 of 10" in shown
    few = ParsedPage(sections_of_iterations.progress(sample_report(iterations=2)))
    assert not any("expected of MD" in cell for row in few.rows for cell in row)


def test_the_noise_of_labels_is_told_where_it_is_known(report, page):
    noise = {**report.history.baselines["pretrained"], "frames": 4, "forceRmse": 0.0312}
    history = History({**report.history.baselines, "labelNoise": noise}, report.history.iterations)
    text = ParsedPage(sections.summary(dataclasses.replace(report, history=history))).text
    assert "on 4 hold-out frames the labels differ" in text and "by 0.0312 eV/Å in force components" in text
    assert "eV/atom in energy, a constant shift left out" in text
    assert "Label noise" not in page.text
    del noise["energyRmsePerAtom"]
    text = ParsedPage(sections.summary(dataclasses.replace(report, history=history))).text
    assert "of the energy is not known: there are too few frames to tell it" in text
    assert "in energy, a constant shift" not in text


def test_the_noise_of_labels_trained_on_is_told_beside_it(report):
    noise = {**report.history.baselines["pretrained"], "frames": 4, "forceRmse": 0.0312}
    trained_on = {"frames": 1, "forceRmse": 0.39, "virialRmsePerAtom": 0.3}
    history = History({"labelNoise": noise, "trainingLabelNoise": trained_on}, report.history.iterations)
    text = ParsedPage(sections.summary(dataclasses.replace(report, history=history))).text
    words = (
        "The same on 1 training frame, the newest of each iteration: 0.390 eV/Å in force components, and 0.300 eV/atom"
    )
    assert words in text


def test_a_report_without_baselines_or_training_frames_still_shows_the_model(report):
    history = History({}, report.history.iterations)
    bare = dataclasses.replace(report, history=history, features=None, dynamics=None)
    page = ParsedPage(render_page(bare))
    assert set(page.figures) == FIGURES - {"figure-map", "figure-displacement", "figure-rdf-0", "figure-rdf-1"}
    assert "too few different frames" in page.text and "pre-trained" not in page.text
    assert "There is no AIMD to hold the model's MD against" in page.text


def test_md_labels_and_time_stand_in_tables_as_in_the_json(report, page):
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    (copper,) = [each for each in content["dynamics"]["replays"] if each["system"] == "copper"]
    row = page.row("copper")
    assert row[1] == "2 × 4" and float(row[2]) == pytest.approx(copper["distance"][-1], rel=6e-3)
    assert row[4] == f"{copper['overlap']['Cu-Cu']:.3f} Cu–Cu" and row[5] == "0.310 in 1.00 ps"
    assert page.row("aluminium")[5] == "–"
    assert page.row("labels") == ["labels", "112 7 found in the store, 2 failed, 1 cut off", "120"]
    assert page.row("GPU time")[2] == "no limit"
    header = next(number for number, cells in enumerate(page.rows) if cells[-1].strip() == "train")
    first, last = ([cell.strip() for cell in page.rows[header + place]] for place in (1, 4))
    pods = ["6.2\xa0min 2 pods", "4.2\xa0s", "32\xa0min 3 pods"]
    assert first == ["0", "20", "85\xa0s", "12\xa0s", *pods, "2.5\xa0h"]
    assert last[-1] == "–" and last[1] == "20 9 found, 1 failed"
    assert content["history"]["iterations"][0]["cost"]["stages"]["train"] == {"pods": 1, "seconds": 9000.0}


def test_elements_that_move_differently_have_a_figure_and_lie_in_the_json(report):
    times = np.linspace(0, 0.4, 5)
    (copper, *_) = (each for each in report.dynamics.replays if each.system == "copper")
    moved = {name: (times * speed, times * speed * 1.1) for name, speed in zip("LPSFI", range(9, 4, -1), strict=True)}
    salt = dataclasses.replace(copper, msd_of_elements=moved | {"Cl": (times, times)})
    dynamics = dataclasses.replace(report.dynamics, replays=(salt,))
    html = sections_of_md.dynamics(dataclasses.replace(report, dynamics=dynamics))
    page = ParsedPage(html)
    assert set(page.figures) == {"figure-displacement", "figure-displacement-0", "figure-rdf-0"}
    assert "each element of copper in Å²" in html and "1 more are in report.json" in html
    drawn = html[html.index("figure-displacement-0") : html.index("figure-rdf-0")]
    assert ">L<" in drawn and ">Cl<" not in drawn
    (content,) = dynamics.to_json()["replays"]
    assert content["msdOfElements"]["Cl"] == {"aimd": [0, 0.1, 0.2, 0.3, 0.4], "model": [0, 0.1, 0.2, 0.3, 0.4]}


def test_md_that_was_measured_before_is_shown_as_it_was_then(report):
    content = json.loads(json.dumps(report.dynamics.to_json()))
    again = Dynamics.from_json(content)
    assert again.to_json() == content and again.drift == report.dynamics.drift
    pages = [sections_of_md.dynamics(dataclasses.replace(report, dynamics=each)) for each in (report.dynamics, again)]
    assert ParsedPage(pages[0]).rows == ParsedPage(pages[1]).rows
    bare = dataclasses.replace(report.dynamics.replays[0], rdf_reference=None, rdf_model=None, overlap={}, note="short")
    content = dataclasses.replace(report.dynamics, replays=(bare,)).to_json()
    assert Dynamics.from_json(content).to_json() == content


def test_aimd_of_one_step_leaves_the_energy_drift(report):
    alone = dataclasses.replace(report, dynamics=dataclasses.replace(report.dynamics, replays=()))
    page = ParsedPage(sections_of_md.dynamics(alone))
    assert not page.rows and not page.figures
    assert "AIMD of one step has no trajectory to compare the model's MD with" in page.text
    assert "trajectories" not in page.text
    assert "Energy drift: 0.310 meV/atom/ps, the slope of the total energy in 1.00 ps of NVE of copper" in page.text


def test_equal_data_gives_equal_bytes_in_another_process(html):
    code = (
        "import sys; from tests.unit.worker.report.samples import sample_report\n"
        "from pfd_worker.report.page import render_page\n"
        "sys.stdout.buffer.write(render_page(sample_report()).encode())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
    assert other == html.encode()


def test_two_thousand_holdout_frames_fit_two_megabytes(report):
    """Only parity and the map hold something for each frame; all else is told of groups."""
    frames = holdout_frames(2000)
    comparison = compare(frames, predictions_for(frames, 0.1), seed=2)
    large = dataclasses.replace(report, comparison=comparison, features=sample_map(4000, 1000))
    assert comparison.forces.total == 2000 * 24
    assert len(render_page(large).encode()) < 2_000_000
    assert len(json.dumps(large.to_json())) < 2_000_000


@pytest.mark.parametrize(("end", "low", "high"), [(0.2, 0.2, 0.25), (700.0, 0.2, 0.4)])
def test_intervals_of_strata_are_within_their_figure_unless_they_reach_anywhere(monkeypatch, end, low, high):
    limits = []

    def drawn(figure, name, title):
        limits.append(figure.axes[0].get_xlim())
        return ""

    monkeypatch.setattr(plots, "to_svg", drawn)
    error = {"forceRmse": 0.1, "forceRmseLow": 0.05, "forceRmseHigh": end}
    plots.error_by_group({"strata": {"si/300K": error}}, None, "strata", "strata", "stratum")
    assert limits[0][0] < 0.05 and low < limits[0][1] < high


def test_more_strata_than_fit_are_cut_to_the_worst(report, html):
    best = json.loads(json.dumps(report.best))
    errors = next(iter(best["strata"].values()))
    best["strata"] = {f"system-{n:03d}/300K": {**errors, "forceRmse": 0.1 + 0.001 * n} for n in range(200)}
    few = html[html.index('<section id="errors"') : html.index('<section id="dynamics"')]
    many = sections.where_it_errs(dataclasses.replace(report, best=best))
    text = ParsedPage(many).text
    assert "system-199/300K" in text and "system-176/300K" in text and "system-175/300K" not in text
    assert "The 24 worst of 200 are drawn." in text
    assert len(many) < len(few) + 100_000
