"""The page: one HTML file with everything in it, for a phone, a desk and a printer."""

from __future__ import annotations

from html import escape

from pfd_worker.report import sections, sections_of_costs, sections_of_iterations, sections_of_md
from pfd_worker.report.data import ReportData
from pfd_worker.report.markup import paragraph
from pfd_worker.report.style import STYLE

# Holds even if markup slipped through: nothing is loaded and nothing runs
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_page(data: ReportData) -> str:
    """Return the report as HTML; equal data gives equal bytes."""
    title = f"{data.job.name}: iteration {data.history.last.iteration}"
    origin = (
        f"{data.job.kind} {data.job.namespace}/{data.job.name}, iteration {data.history.last.iteration}. "
        "Another job with the same inputs shares this report."
    )
    body = "".join(
        (
            f"<h1>{escape(sections.headline(data))}</h1>",
            paragraph(origin, quiet=True),
            sections.summary(data),
            sections_of_iterations.progress(data),
            sections.best_model(data),
            sections.where_it_errs(data),
            sections_of_md.dynamics(data),
            sections_of_md.selection(data),
            sections_of_costs.spending(data),
            sections.origin(data),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )
