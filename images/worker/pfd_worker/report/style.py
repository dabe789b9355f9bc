"""The style sheet of the page: light, dark and on paper; figures take its text colour."""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1f24; --quiet: #59636e; --line: #d5dae0; --paper: #ffffff; --good: #e6f3ec; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --quiet: #9aa4ae; --line: #3a424a; --paper: #14181c; --good: #17322a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
p { margin: 0.5rem 0; }
.quiet, figcaption { color: var(--quiet); font-size: 0.9rem; }
.scroll { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: normal; }
th { font-weight: 600; font-size: 0.9rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0.3rem; }
td small, th small { display: block; color: var(--quiet); font-weight: 400; }
td small { white-space: nowrap; }
tr.best td { background: var(--good); font-weight: 600; }
.left td, .left th { text-align: left; }
.left td:last-child { overflow-wrap: anywhere; }
.figures { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; min-width: 0; max-width: 36rem; }
figure svg { display: block; width: 100%; height: auto; }
code { font-size: 0.8rem; }
pre { font-size: 0.8rem; white-space: pre-wrap; }
details { margin: 0.5rem 0; }
summary { cursor: pointer; }
@media (max-width: 40rem) {
  body { padding: 0.6rem; }
  table { font-size: 0.73rem; }
  th { font-size: inherit; }
  th, td { padding: 0.3rem 0.15rem; }
  small { font-size: 0.64rem; }
}
@media print {
  :root { --ink: #000; --quiet: #444; --line: #bbb; --paper: #fff; --good: #eee; }
  body { max-width: none; padding: 0; font-size: 11px; }
  .figures { grid-template-columns: 1fr 1fr; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
