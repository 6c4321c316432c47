"""The style sheet of the report: one set of paints, light or dark as the reader's system is."""

from __future__ import annotations

__all__ = ["STYLE"]

_HEAT = "".join(
    f".h{kind}{i}{{fill:color-mix(in oklab,var(--{paint}) {4 + i * 96 // 7}%,var(--heat0));"
    f"background:color-mix(in oklab,var(--{paint}) {4 + i * 96 // 7}%,var(--heat0))}}"
    for kind, paint in (("p", "hot"), ("n", "cold"))
    for i in range(8)
)

_SERIES = "".join(
    f"path.line.s{i}{{stroke:var(--s{i})}}.dots.s{i}{{stroke:var(--s{i})}}"
    f"rect.s{i},path.fill.s{i}{{fill:var(--s{i})}}i.s{i}{{background:var(--s{i})}}"
    for i in range(6)
)

STYLE = (
    """
:root{--bg:#f3f4f6;--card:#fff;--ink:#14181f;--soft:#5c6675;--line:#e4e7ec;--zero:#aab2bf;--s0:#2563c9;--s1:#d9780b;
--s2:#0f8a76;--s3:#8a4fc4;--s4:#b83280;--s5:#6b7280;--pos:#0c8457;--neg:#cf3a34;--tint:#cf3a340f;--hot:#c2410c;
--cold:#1d5fd0;--heat0:#f6f1e7;--chip:#e6f4ee}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161b23;--ink:#e8ebf0;--soft:#94a0b0;--line:#262e3a;
--zero:#566273;--s0:#6ea8ff;--s1:#f5a54a;--s2:#3fc7ae;--s3:#bb8ff0;--s4:#ee7fb7;--s5:#9aa5b4;--pos:#3ecf92;
--neg:#ff7b72;--tint:#ff7b7217;--hot:#ff8a4c;--cold:#4f97ff;--heat0:#222a35;--chip:#12372a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-font-smoothing:antialiased}
main{max-width:1280px;margin:0 auto;padding:28px 24px 48px}
p,h1,h2{margin:0}
header{display:flex;justify-content:space-between;align-items:flex-start;gap:16px;margin-bottom:20px}
header>div{min-width:0}
header p{color:var(--soft);overflow-wrap:anywhere}
.brand{font-size:12px;font-weight:600;letter-spacing:.08em;text-transform:uppercase}
h1{font-size:26px;line-height:1.25;font-weight:650;letter-spacing:-.01em;overflow:hidden;text-overflow:ellipsis;
white-space:nowrap}
h2{font-size:15px;font-weight:650}
.chip{flex:none;max-width:40%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;padding:4px 12px;
border-radius:99px;background:var(--chip);color:var(--pos);font-weight:600;font-size:13px}
.chip.failed,.chip.crashed{background:var(--tint);color:var(--neg)}
.chip.running{background:var(--line);color:var(--ink)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:12px;margin-bottom:12px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 14px;min-width:0}
.tile p,.tile span{color:var(--soft);font-size:12px;display:block}
.tile strong{display:block;font-size:22px;line-height:1.3;font-weight:650;letter-spacing:-.01em;white-space:nowrap}
.grid{display:grid;grid-auto-flow:dense;grid-template-columns:repeat(2,minmax(0,1fr));gap:12px}
.card{padding:14px 16px 12px;min-width:0}
.wide{grid-column:1/-1}
.note{color:var(--soft);font-size:12.5px;margin-bottom:8px;overflow-wrap:anywhere}
.chart{overflow-x:auto}
svg{display:block;width:100%;min-width:500px;height:auto}
.wide svg{min-width:760px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:0 0 6px;padding:0;list-style:none;font-size:12.5px;
color:var(--soft)}
.legend li{max-width:100%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
text{font-size:11px;fill:var(--soft)}
text.strong,text.label{fill:var(--ink)}
text.strong{font-weight:600}
text.label{font-size:12px}
text.neg-ink,.neg-ink{fill:var(--neg);color:var(--neg)}
.pos-ink{color:var(--pos)}
line.grid{stroke:var(--line)}
line.zero{stroke:var(--zero)}
line.ink-line{stroke:var(--ink)}
path.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
path.line.ink{stroke:var(--ink)}
path.line.thin{stroke-width:1.2}
.dash{stroke-dasharray:4 3}
path.dots{fill:none;stroke-linecap:round}
.faint{opacity:.26}
rect.below{fill:var(--tint)}
rect.neg{fill:var(--neg)}i.neg{background:var(--neg)}
rect.pos{fill:var(--pos)}
i.ink{background:var(--ink)}
rect:hover{filter:brightness(1.15)}
rect.below:hover{filter:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
th{font-weight:500;color:var(--soft);font-size:12px}
th,td{padding:4px 6px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}
.left th,.left td{text-align:left}
.left td:last-child{white-space:normal;overflow-wrap:anywhere}
tr.sum td{font-weight:650}
tr.total td{border-top:1px solid var(--zero)}
tbody tr:last-child td{border-bottom:0}
tr.bad td{color:var(--neg)}
td{vertical-align:top}
td small{color:var(--soft);font-size:12px}
.name{display:inline-block;max-width:170px;overflow:hidden;text-overflow:ellipsis;vertical-align:bottom}
dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:3px 16px;margin:0 0 8px;font-size:13px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
details summary{cursor:pointer;color:var(--soft);font-size:13px}
pre{overflow:auto;max-height:420px;padding:12px;border-radius:8px;background:var(--bg);font:12px/1.5 ui-monospace,
SFMono-Regular,Menlo,Consolas,monospace}
@media(max-width:820px){main{padding:16px 12px 32px}.grid{grid-template-columns:minmax(0,1fr)}h1{font-size:20px}
header{flex-direction:column}.chip{max-width:100%}}
@media print{body{background:#fff}.card,.tile{break-inside:avoid}}
"""
    + _SERIES
    + _HEAT
)
