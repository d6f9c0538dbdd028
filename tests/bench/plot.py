"""The bench's ratios as bars, in an SVG that reads on a light page and on a dark one: pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.bench.goals import Verdict

# Units of the picture.
_WIDTH, _LINE, _TOP = 820, 24, 34
_TEXT, _BARS = 430, 300
# The ratio at the bars' end; what is more is cut there.
_MOST = 1.5
_STYLE = """\
<style>
  text { fill: #888 }
  .bar { fill: #326ce5 }
  .missed { fill: #d9822b }
  .best { stroke: #888; stroke-width: 1.5; stroke-dasharray: 4 3 }
</style>"""


def plot(found: Sequence[Verdict]) -> str:
    """Return a bar for each: ours over the best peer's, which is the dashed line."""
    height = _TOP + _LINE * len(found) + 10
    best = _TEXT + _x(1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        _STYLE,
        f'<text x="{best:.0f}" y="16" text-anchor="middle">the best peer: 1</text>',
        f'<path class="best" d="M{best:.1f} {_TOP - 12} V{height - 6}"/>',
    ]
    for place, verdict in enumerate(found):
        y = _TOP + _LINE * place
        what = escape(f"{verdict.measure}, {verdict.ours}")
        kind = "bar missed" if verdict.state == "missed" else "bar"
        width = _x(verdict.ratio)
        parts += [
            f'<text x="{_TEXT - 8}" y="{y + 12}" text-anchor="end">{what}</text>',
            f'<rect class="{kind}" x="{_TEXT}" y="{y}" width="{width:.1f}" height="{_LINE - 8}"/>',
            f'<text x="{_TEXT + width + 6:.1f}" y="{y + 12}">{verdict.ratio:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(ratio: float) -> float:
    return _BARS * min(ratio, _MOST) / _MOST
