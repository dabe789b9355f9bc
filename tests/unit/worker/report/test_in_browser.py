"""The page as Chromium lays it out: on a phone, on a desk and on paper."""

import json
import re
import shutil
import subprocess

import pytest

from pfd_worker.report.page import render_page
from tests.unit.worker.report.samples import sample_report

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# The page allows no script: it is measured from the page around it.
FRAME = """<iframe src="report.html" style="border: 0; width: {width}px; height: 20000px"></iframe><pre></pre><script>
document.querySelector("iframe").onload = (event) => {{
  const page = event.target.contentDocument, size = (element) => element.getBoundingClientRect();
  const pictures = [...page.querySelectorAll("figure svg")];
  const texts = [...page.querySelectorAll("h1, h2, p, figcaption")];
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    figures: pictures.map((picture) => [size(picture).left, size(picture).right, size(picture).height]),
    texts: texts.map((text) => size(text).right),
    letters: Math.min(...pictures.flatMap((picture) => [...picture.querySelectorAll("text")].map(
      (text) => parseFloat(getComputedStyle(text).fontSize) * size(picture).width / picture.viewBox.baseVal.width))),
  }});
}};
</script>"""


def chromium(*arguments):
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    assert CHROMIUM, "no Chromium here: make browser-tests installs one"
    folder = tmp_path_factory.mktemp("page")
    report = sample_report(job="a-long-name-of-a-job-that-someone-may-well-give-to-it")
    (folder / "report.html").write_text(render_page(report), encoding="utf-8")
    return folder


@pytest.mark.parametrize("width", [390, 1200])
def test_everything_fits_the_width_of_a_phone_and_of_a_desk(folder, width):
    path = folder / f"frame-{width}.html"
    path.write_text(FRAME.format(width=width))
    answer = chromium("--virtual-time-budget=20000", "--dump-dom", path.as_uri())
    found = json.loads(re.findall(r"<pre>(.*?)</pre>", answer.stdout, re.DOTALL)[0])
    assert found["width"] <= width
    assert len(found["figures"]) >= 14
    assert all(left >= 0 and right <= width and height > 100 for left, right, height in found["figures"])
    assert max(found["texts"]) <= width
    # the smallest letters of a figure, in pixels of the screen
    assert found["letters"] >= 8


def test_the_page_asks_for_nothing_and_breaks_no_rule_of_its_own(folder):
    answer = chromium("--enable-logging=stderr", "--dump-dom", (folder / "report.html").as_uri())
    assert "CONSOLE" not in answer.stderr and "Refused" not in answer.stderr
    assert answer.stdout.count("<figure") >= 14


def test_it_prints(folder):
    path = folder / "report.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={path}", (folder / "report.html").as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", path.read_bytes()))
    assert 3 <= pages <= 10
