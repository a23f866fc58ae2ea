"""
How it looks: nothing is loaded, and no colour of text or ground is set that a page has itself.

Text, lines and grounds are those of the page, or see-through grey, so that every theme of Jupyter,
of an editor or of a web site fits, light or dark; what has a colour of its own has both, ground and
text.  A rule such as ``prefers-color-scheme`` would speak of the reader's wish, and not of the page
that stands around.

The class is written twice so that it outweighs what Jupyter says of tables, lists and code in its
outputs.
"""

from __future__ import annotations

__all__ = ["FILLS", "SHADES", "STYLE"]

FILLS = (
    ("#e69f00", "#000"),
    ("#56b4e9", "#000"),
    ("#009e73", "#000"),
    ("#f0e442", "#000"),
    ("#0072b2", "#fff"),
    ("#d55e00", "#000"),
    ("#cc79a7", "#000"),
    ("#999999", "#000"),
)
"""
Ground and text.

Source:
    M. Okabe and K. Ito, "Color Universal Design", 2008, with a grey in the place of black.
"""

_STRIPES = (
    "repeating-linear-gradient(90deg,#fff 0 4px,#000 4px 8px)",
    "repeating-linear-gradient(90deg,#fff 0 2px,#000 2px 4px)",
)
# At the lower edge alone, so that what is written above is read.


SHADES = (
    ("#2d1e5f", "#fff"),
    ("#5b4a9e", "#fff"),
    ("#a99bdb", "#000"),
    ("#cfc6ee", "#000"),
    ("#f3effc", "#000"),
)
"""What is no layer: ground and text, from dark to bright."""


def _fills() -> str:
    lines = []
    for at, (ground, ink) in enumerate(FILLS):
        lines.append(f"@ROOT .f{at}{{background-color:{ground};color:{ink}}}")
    lines.extend(
        f"@ROOT .s{at}{{background-image:{stripes};"
        "background-size:100% 5px;background-repeat:no-repeat;background-position:bottom}"
        for at, stripes in enumerate(_STRIPES, 1)
    )
    lines.extend(
        f"@ROOT .g{at}{{background-color:{ground};color:{ink}}}"
        for at, (ground, ink) in enumerate(SHADES)
    )
    return "\n".join(lines)


_RULES = """
@ROOT{color:inherit;font-size:.9rem;line-height:1.45;max-width:62rem;overflow-wrap:anywhere}
@ROOT *{box-sizing:border-box}
@ROOT p{margin:.35em 0}
@ROOT .title{font-size:1.1em;font-weight:600}
@ROOT .note{opacity:.85;font-style:italic}
@ROOT .error{border-left:4px solid #d55e00;padding-left:.6em}
@ROOT dl{display:flex;flex-wrap:wrap;gap:.15em 1.6em;margin:.35em 0}
@ROOT dl div{display:flex;gap:.5em;min-width:0}
@ROOT dt{opacity:.8;font-weight:400;margin:0;white-space:nowrap;float:none;width:auto}
@ROOT dd{margin:0;min-width:0;float:none;width:auto}
@ROOT code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.95em;
background:none;color:inherit;padding:0;border:0;white-space:pre-wrap}
@ROOT details{margin:.3em 0;border:0;padding:0;background:none}
@ROOT summary{cursor:pointer;padding:.1em 0;background:none}
@ROOT summary:focus-visible,@ROOT .wide:focus-visible{outline:2px solid currentColor;
outline-offset:1px}
@ROOT>details>summary{font-weight:600}
@ROOT .chip{display:inline-block;min-width:1.9em;padding:0 .35em;border-radius:.25em;
text-align:center;font-size:.85em;font-weight:600;font-variant-numeric:tabular-nums;
white-space:nowrap;box-shadow:inset 0 0 0 1px #808080}
@ROOT .bar{display:flex;height:1.9em;margin:.4em 0;gap:1px}
@ROOT .bar span{flex:1 1 0;min-width:3px;overflow:hidden;text-align:center;line-height:1.9em;
font-size:.85em;height:100%;font-weight:600;box-shadow:inset 0 0 0 1px #808080}
@ROOT .wide{overflow-x:auto;max-width:100%;margin:.3em 0}
@ROOT table{border-collapse:collapse;border:0;margin:0;width:auto;
font-size:inherit;table-layout:auto;display:table}
@ROOT th,@ROOT td{text-align:left;vertical-align:top;
padding:.15em .7em .15em 0;border:0;border-bottom:1px solid rgba(128,128,128,.35);
white-space:normal;overflow-wrap:normal;max-width:none;color:inherit;background:none}
@ROOT td code{display:inline-block;min-width:9em;overflow-wrap:anywhere}
@ROOT td .told{display:inline-block;min-width:7em;overflow-wrap:anywhere}
@ROOT td .one{white-space:nowrap}
@ROOT .kind{white-space:nowrap;font-weight:600}
@ROOT tr{background:none}
@ROOT th{font-weight:600;white-space:nowrap}
@ROOT .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
@ROOT ul{list-style:none;margin:0;padding:0 0 0 1.1em;
border-left:1px solid rgba(128,128,128,.35)}
@ROOT .tree>ul{padding-left:0;border:0}
@ROOT li{margin:0;padding:0}
@ROOT .tree{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
@ROOT .tree details{margin:0}
@ROOT .tree .leaf{padding-left:1.1em}
@ROOT .tree small{opacity:.8;font-size:.92em;margin-left:.6em}
@ROOT .map{position:relative;height:19em;margin:.4em 0;overflow:hidden;font-size:.8em}
@ROOT .map div{position:absolute;overflow:hidden}
@ROOT .map .box{border-radius:2px;box-shadow:inset 0 0 0 1px #808080;
border:1px solid transparent;background-clip:padding-box}
@ROOT .map .in{inset:1.5em 2px 2px 2px}
@ROOT .map b{display:block;font-weight:600;padding:0 .3em;line-height:1.5em;
white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
@media (max-width:36rem){@ROOT .map{height:26em}}
@media (forced-colors:active){@ROOT .bar span,@ROOT .chip,@ROOT .map .box{
forced-color-adjust:none}}
@media print{@ROOT *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

STYLE = (_RULES + _fills()).replace("@ROOT", ".unionlayers.unionlayers")
"""The style sheet of a page."""
