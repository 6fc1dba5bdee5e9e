"""The style of every page."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--ground:#f4f6f8;
--accent:#1f5fa8;--second:#d07a1c;--good:#1d7a4a;--bad:#b3341f;--wait:#8a6100;--tint:#eaf1f9}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#2d3643;--paper:#171c24;--ground:#0f1319;
--accent:#7db3ee;--second:#e9a45b;--good:#5cc48d;--bad:#f08a75;--wait:#e0b452;--tint:#1b2735}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:860px;margin:0 auto;padding:40px 20px 56px}
header{margin-bottom:28px}
.eyebrow{margin:0;color:var(--soft);font-size:13px;letter-spacing:.08em;text-transform:uppercase}
h1{margin:2px 0 10px;font-size:34px;line-height:1.15;letter-spacing:-.01em}
h2{margin:0 0 14px;font-size:19px}
h3{margin:22px 0 8px;font-size:15px}
p{margin:8px 0}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:22px 24px;margin:0 0 18px}
.quote{margin:18px 0 0;padding:14px 18px;background:var(--tint);border-left:4px solid var(--accent);border-radius:6px;
font:15px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.chip{display:inline-block;padding:2px 10px;margin-right:6px;border-radius:999px;border:1px solid;
font-size:13px;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}
.note{color:var(--soft);font-size:14px}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:500;text-align:left}
th,td{padding:7px 14px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
tbody tr:last-child td{border-bottom:0}
.n{text-align:right;white-space:nowrap}
abbr{text-decoration:underline dotted var(--soft);text-underline-offset:3px;cursor:help}
dl{display:grid;grid-template-columns:minmax(120px,170px) 1fr;gap:6px 18px;margin:12px 0 0;font-size:14px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
ul{margin:0;padding-left:20px}
li{margin:6px 0}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
figure{margin:0 0 14px;overflow-x:auto}
figcaption{margin-top:10px;text-align:center}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--ink);font-size:13px;font-variant-numeric:tabular-nums}
svg .tick{fill:var(--soft);font-size:12px}
svg .grid{stroke:var(--line)}
svg .bar{stroke:var(--accent);stroke-width:6;stroke-linecap:round;opacity:.42}
svg .dot{fill:var(--accent)}
svg .fill{fill:var(--accent)}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round}
svg .mark{stroke:var(--soft);stroke-dasharray:4 4}
svg .point{fill:var(--accent);fill-opacity:.45}
svg .fill.s1{fill:var(--second)}svg .fill.s2{fill:var(--good)}svg .fill.s3{fill:var(--bad)}
svg .line.s0{stroke:var(--accent)}svg .line.s1{stroke:var(--second)}
svg .line.s2{stroke:var(--good)}svg .line.s3{stroke:var(--bad)}
svg.spark{width:132px;height:30px}
.legend{margin:6px 0 0;text-align:center;font-size:13px;color:var(--soft)}
.legend span{margin:0 10px;display:inline-block}
.legend span::before{content:"";display:inline-block;width:12px;height:3px;margin-right:6px;vertical-align:middle;
background:var(--accent)}
.legend .s1::before{background:var(--second)}.legend .s2::before{background:var(--good)}
.legend .s3::before{background:var(--bad)}
.strip{display:block;max-width:100%}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:0 22px}
.charts h3{margin-bottom:2px}
.score{margin:14px 0 4px;font-size:17px}.score b{font-size:30px;margin-right:6px;font-variant-numeric:tabular-nums}
.part{margin:34px 0 14px}.part h2{font-size:24px;margin:0}
header code{padding:2px 7px;margin-right:4px;background:var(--tint);border-radius:5px}
summary{cursor:pointer;color:var(--accent);margin-top:14px;font-size:14px}
td summary{margin-top:0;white-space:nowrap}
pre{overflow-x:auto;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.dense table{font-size:13px}.dense th,.dense td{padding:5px 12px 5px 0}
.dense td{max-width:240px;overflow-wrap:break-word}
.cut td,.cut th{max-width:170px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.wide{display:block;width:100%;height:auto;image-rendering:pixelated}
svg .right{fill:var(--accent)}
svg .wrong{fill:var(--bad)}
svg .count{font-size:11px}
svg .strong{fill:var(--paper)}
.confusion,.scatter{margin:0 auto}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:14px}
.pair div{border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.pair b{display:block;font-size:24px;font-variant-numeric:tabular-nums}
.pair span{color:var(--soft);font-size:13px}
footer{color:var(--soft);font-size:13px}
@media (max-width:560px){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}.pair{grid-template-columns:1fr}
svg[viewBox^="0 0 720"]:not(.hist){min-width:560px}.hist .tick{font-size:22px}}
@media print{body{background:none}section{break-inside:avoid;border-color:#bbb}}
"""
