"""The style sheet of the page: black on white, system fonts, narrow screens and paper."""

from __future__ import annotations

STYLE = """
:root { --ink: #1a1a1a; --soft: #5a5a5a; --line: #d9d9d9; --wash: #f6f6f4; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 23px; line-height: 1.25; margin: 64px 0 4px; padding-top: 20px;
  border-top: 2px solid var(--ink); }
h3 { font-size: 16.5px; margin: 36px 0 8px; }
p { margin: 8px 0; max-width: 74ch; }
.meta, .note, caption, figcaption { color: var(--soft); font-size: 14px; }
.headline { font-size: 18px; line-height: 1.45; margin: 12px 0; }
.partial { border: 1px solid #c44e00; border-left-width: 6px; background: #fff6f0;
  padding: 12px 16px; margin: 20px 0; }
.partial strong { color: #a03c00; }
.partial p { margin: 4px 0; }
ul { padding-left: 20px; margin: 8px 0; max-width: 74ch; }
li { margin: 5px 0; }
.pictures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px 28px;
  margin: 20px 0; align-items: start; }
figure { margin: 0; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  Arial, sans-serif !important; }
.overview { overflow-x: auto; }
.overview svg { min-width: 680px; }
.overview.few svg { min-width: 0; max-width: 560px; }
.scroll { overflow-x: auto; margin: 8px 0 4px; }
table { border-collapse: collapse; font-size: 14.5px; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
table.wide { width: 100%; }
caption { text-align: left; padding: 0 0 6px; caption-side: top; }
th, td { padding: 6px 12px; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { font-weight: 600; vertical-align: bottom; }
thead th { border-bottom: 1.5px solid var(--ink); font-size: 13.5px; white-space: normal; }
tbody th { font-weight: 500; vertical-align: top; white-space: normal;
  overflow-wrap: anywhere; min-width: 130px; }
tr.baseline th, tr.baseline td { color: var(--soft); }
td small, th small { display: block; color: var(--soft); font-size: 12.5px; font-weight: 400; }
td.text, th.text { text-align: left; white-space: normal; }
td.sure { font-weight: 650; }
.key { display: inline-block; width: 18px; height: 0; border-top: 3px solid; vertical-align: 4px;
  margin-right: 8px; }
.pair { display: flex; flex-wrap: wrap; gap: 0 28px; align-items: flex-start; }
table.heat { font-size: 13px; }
table.heat td, table.heat th { padding: 3px 8px; }
table.heat tbody th { min-width: 0; }
table.heat td.cell { text-align: center; border: 1px solid #fff; }
table.heat th.cell { text-align: center; max-width: 110px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(150px, auto) 1fr; gap: 6px 24px; margin: 12px 0;
  font-size: 14.5px; max-width: 100ch; }
dt { font-weight: 600; }
dd { margin: 0; }
dl.facts { display: flex; flex-wrap: wrap; gap: 10px 36px; font-size: 14.5px; }
dl.facts dt { font-weight: 400; color: var(--soft); font-size: 13px; }
pre { background: var(--wash); border: 1px solid var(--line); padding: 14px 16px; font-size: 13px;
  line-height: 1.45; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
nav { margin: 14px 0 0; font-size: 14.5px; }
nav a { color: var(--blue); margin-right: 18px; white-space: nowrap; }
@media (max-width: 720px) {
  main { padding: 24px 16px 48px; }
  h1 { font-size: 25px; }
  h2 { font-size: 20px; margin-top: 44px; }
  .headline { font-size: 17px; }
  .pictures { grid-template-columns: 1fr; }
  table { font-size: 13.5px; }
  th, td { padding: 5px 9px; }
  dl { grid-template-columns: 1fr; gap: 2px; }
  dl > dd { margin-bottom: 8px; }
}
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2 { break-before: page; margin-top: 0; }
  h3 { break-after: avoid; }
  table, .partial { break-inside: avoid; }
  .scroll, .overview { overflow: visible; }
  .overview svg { min-width: 0; }
  nav { display: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
