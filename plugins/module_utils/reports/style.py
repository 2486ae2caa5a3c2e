"""How the page looks: on a screen, at night, and on paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fff; --sheet: #f6f7f9; --line: #dcdfe5; --ink: #1c2230; --soft: #5a6375; --link: #1f5fbf; --focus: #1f5fbf;
  --bad: #b3261e; --bad-bg: #fbe9e7; --warn: #8a5300; --warn-bg: #fdf1dc; --info: #245a9c; --info-bg: #e6effa;
  --good: #1d6b3a; --good-bg: #e3f4e8;
  --read: #e3f0ea; --read-ink: #1d5c3d; --change: #fbecc8; --change-ink: #6d4400; --give: #f8d7d2; --give-ink: #8c1c13;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171d; --sheet: #1c2028; --line: #343b48; --ink: #e4e7ed; --soft: #9aa4b5; --link: #86b4f5;
    --focus: #86b4f5;
    --bad: #ff9d93; --bad-bg: #43201d; --warn: #f0bd6a; --warn-bg: #3c2d13; --info: #93bdf4; --info-bg: #1c3150;
    --good: #86d7a2; --good-bg: #17351f;
    --read: #1b3a2b; --read-ink: #9fdcba; --change: #433413; --change-ink: #f1cd85; --give: #4d211c;
    --give-ink: #ffb3a9;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1320px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; }
h1 { min-width: 0; font-size: 26px; line-height: 1.25; margin: 0; font-weight: 600; }
h2 { font-size: 19px; margin: 0 0 12px; font-weight: 600; }
h3 { font-size: 16px; margin: 0 0 6px; font-weight: 600; }
section { padding: 28px 0 8px; border-top: 1px solid var(--line); margin-top: 24px; scroll-margin-top: 8px; }
p { margin: 0 0 12px; max-width: 78ch; }
h1, p, li, dd, td, footer { overflow-wrap: anywhere; }
a { color: var(--link); }
code { font: 0.92em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  unicode-bidi: isolate; overflow-wrap: anywhere; }
ul { margin: 0 0 12px; padding-left: 20px; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.soft { color: var(--soft); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 12px; top: 12px; background: var(--paper); padding: 8px 12px; z-index: 9; }
.title { display: flex; flex-wrap: wrap; min-width: 0; gap: 12px 16px; align-items: center; }
.badge { border-radius: 999px; padding: 3px 12px; font-weight: 600; font-size: 14px; white-space: nowrap; }
.badge.pass, .tag.good { background: var(--good-bg); color: var(--good); }
.badge.fail, .tag.error { background: var(--bad-bg); color: var(--bad); }
.badge.incomplete, .tag.warn { background: var(--warn-bg); color: var(--warn); }
.tag { display: inline-block; border-radius: 4px; padding: 0 7px; font-size: 13px; font-weight: 600;
  white-space: nowrap; }
.tag.info { background: var(--info-bg); color: var(--info); }
.tag.off { background: var(--sheet); color: var(--soft); font-weight: 400; }
.lead { margin: 8px 0 16px; font-size: 16px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 0 0 20px; }
.facts div { display: flex; gap: 8px; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; padding: 0; margin: 0;
  list-style: none; }
.tiles a { display: block; padding: 12px 14px; border: 1px solid var(--line); border-radius: 8px; text-decoration: none;
  color: var(--soft); background: var(--sheet); font-size: 14px; height: 100%; }
.tiles a:hover { border-color: var(--soft); }
.tiles b { display: block; font-size: 25px; line-height: 1.2; font-weight: 600; color: var(--ink); }
.tiles .error b { color: var(--bad); } .tiles .warn b { color: var(--warn); } .tiles .info b { color: var(--info); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; }
th, td { padding: 8px 12px 8px 0; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody th { color: var(--ink); font-size: 14px; font-weight: 400; }
td p { margin: 0 0 4px; }
.rule { color: var(--soft); }
.rule, nav a { text-decoration: none; }
.rule:hover, nav a:hover { text-decoration: underline; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 16px 0 0; list-style: none;
  font-size: 14px; }
.changes { padding: 0; list-style: none; max-width: 110ch; }
.changes li { display: grid; grid-template-columns: 62px minmax(0, 1fr); gap: 10px; align-items: start;
  margin: 0 0 8px; }
.changes p { margin: 0; color: var(--soft); }
.findings td:nth-child(2) { width: 26%; } .findings td:first-child { width: 1%; padding-right: 16px; }
.fix { color: var(--soft); }
.fix::before { content: "To do: "; font-weight: 600; }
.tools { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: center; margin: 0 0 14px; }
.tools label { display: inline-flex; gap: 6px; align-items: center; color: var(--soft); font-size: 14px; }
input[type="search"], select, button { font: inherit; font-size: 14px; color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: 6px; padding: 5px 10px; }
input[type="search"] { width: 15em; }
button { cursor: pointer; background: var(--sheet); }
button:hover { border-color: var(--soft); }
[hidden] { display: none !important; }
.who { display: grid; grid-template-columns: minmax(0, 1fr); gap: 20px; align-items: start; }
.who.open { grid-template-columns: minmax(0, 1fr) 400px; }
.grid { overflow: auto; width: fit-content; max-width: 100%; max-height: 74vh;
  border: 1px solid var(--line); border-radius: 8px; }
.grid table { width: auto; border-collapse: separate; border-spacing: 0; font-size: 13px; }
.grid th, .grid td { padding: 0; border-bottom: 1px solid var(--line); }
.grid tr:last-child > * { border-bottom: 0; }
.grid thead th { position: sticky; top: 0; z-index: 2; background: var(--sheet); vertical-align: bottom; }
.grid thead th span { display: block; writing-mode: vertical-rl; transform: rotate(180deg); margin: 8px auto;
  max-height: 168px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; line-height: 20px;
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-weight: 400; color: var(--ink); }
.grid thead th:first-child { left: 0; z-index: 3; padding: 8px 14px; }
.grid tbody th { position: sticky; left: 0; z-index: 1; background: var(--paper); padding: 3px 14px;
  white-space: nowrap;
  border-right: 1px solid var(--line); max-width: 330px; overflow: hidden; text-overflow: ellipsis; font-size: 13px; }
.grid tbody th.token { padding-left: 28px; }
.grid tbody th.out code { color: var(--soft); text-decoration: line-through; }
.grid td { min-width: 38px; text-align: center; cursor: pointer; line-height: 26px; height: 28px;
  font-variant-numeric: tabular-nums; color: var(--soft); }
.grid td:hover, .grid td[aria-selected="true"] { box-shadow: inset 0 0 0 2px var(--link); }
.grid td:focus-visible { outline-offset: -2px; }
.read { background: var(--read); color: var(--read-ink) !important; }
.change { background: var(--change); color: var(--change-ink) !important; }
.give { background: var(--give); color: var(--give-ink) !important; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; padding: 0; margin: 0 0 14px; list-style: none;
  font-size: 13px;
  color: var(--soft); }
.legend i { display: inline-block; min-width: 30px; text-align: center; border-radius: 4px; font-style: normal;
  margin-right: 6px; }
.more { margin: 10px 0 0; display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; font-size: 14px;
  color: var(--soft); }
.panel { border: 1px solid var(--line); border-radius: 8px; background: var(--sheet); padding: 16px 18px;
  font-size: 14px;
  max-height: 74vh; overflow: auto; }
.panel .head { display: flex; justify-content: space-between; gap: 12px; align-items: start; }
.panel h3 { overflow-wrap: anywhere; font-weight: 400; }
.panel h3 code { font-weight: 600; }
.panel h3:focus { outline: none; }
.panel dl { margin: 12px 0 0; }
.panel dt { padding-top: 10px; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.panel dd { margin: 2px 0 10px; color: var(--soft); }
.panel ul { margin: 0; }
.chart { width: 100%; max-width: 980px; min-width: 640px; height: auto; display: block;
  font-size: 12px; margin-bottom: 12px; }
.chart text { fill: var(--ink); } .chart .faint { fill: var(--soft); }
.chart line { stroke: var(--line); } .chart .now { stroke: var(--ink); stroke-dasharray: 3 3; }
.chart .bar { stroke-width: 3; stroke: var(--line); }
.chart .over { fill: var(--bad); } .chart .soon { fill: var(--warn); } .chart .later { fill: var(--good); }
.nodes { display: grid; gap: 20px; grid-template-columns: minmax(0, 1fr); }
.ports > div { min-width: 0; }
.node { border: 1px solid var(--line); border-radius: 8px; padding: 14px 18px; }
.ports { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 8px 32px; }
.ports h4 { margin: 4px 0 6px; font-size: 14px; }
.ports td:first-child { white-space: nowrap; }
.ports p { margin: 8px 0 4px; }
.ports td { font-size: 13px; padding: 4px 10px 4px 0; }
summary { cursor: pointer; color: var(--link); padding: 4px 0; }
footer { padding: 24px; color: var(--soft); font-size: 13px; }
@media (max-width: 1000px) { .who.open { grid-template-columns: minmax(0, 1fr); } .panel { max-height: none; } }
.js .still { display: none; }
.needs-script { display: none; }
.js .needs-script { display: block; }
.js span.needs-script { display: inline; }
.js .tools.needs-script { display: flex; }
.still td:nth-child(3) { white-space: nowrap; }
@media (max-width: 640px) {
  header, main, footer { padding-left: 16px; padding-right: 16px; }
  .stack thead { display: none; }
  .stack tr, .stack td { display: block; }
  .stack tr { padding: 10px 0; border-bottom: 1px solid var(--line); }
  .stack td { width: auto !important; padding: 0 0 4px !important; border: 0; }
  .stack td[data-title]::before { content: attr(data-title) ": "; color: var(--soft); }
  .ports td:first-child { white-space: normal; }
  .grid tbody th { max-width: 150px; }
  .grid tbody th.token { padding-left: 20px; }
}
@media print {
  :root { color-scheme: light;
    --paper: #fff; --sheet: #fff; --line: #c8ccd4; --ink: #000; --soft: #444; --link: #000;
    --bad: #8c1c13; --bad-bg: #fff; --warn: #6d4400; --warn-bg: #fff; --info: #1c4a82; --info-bg: #fff;
    --good: #14532d; --good-bg: #fff; }
  body { font-size: 10.5pt; }
  header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  header { padding-top: 0; }
  .tools, .more, .skip, nav, .js .needs-script { display: none !important; }
  .js .still { display: block; }
  .badge, .tag { border: 1px solid; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(90px, 1fr)); }
  .tiles a { padding: 6px 8px; }
  a { text-decoration: none; }
  .scroll { overflow: visible; }
  .chart { min-width: 0; }
  tr, li, .node { break-inside: avoid; }
  thead { display: table-header-group; }
  h2, h3, h4 { break-after: avoid; }
  section { padding-top: 14px; margin-top: 12px; }
  details > summary { color: inherit; list-style: none; }
  details::details-content { content-visibility: visible; }
}
"""
