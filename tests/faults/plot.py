"""Small line charts as SVG, for docs/. Pure."""

from collections.abc import Sequence
from html import escape
from typing import Final

from msgspec import Struct

WIDTH, HEIGHT = 760, 210  #: of one chart
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 34, 34
COLORS: Final = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce")


class Line(Struct, frozen=True):
    """points  (x, y)"""

    name: str
    points: Sequence[tuple[float, float]]


class Chart(Struct, frozen=True):
    """Lines over minutes; the scale begins at 0."""

    title: str
    unit: str
    lines: Sequence[Line]


def svg(charts: Sequence[Chart], says: str) -> str:
    """All of them below each other; `says` for those who cannot see them."""
    height = HEIGHT * len(charts)
    parts = [_chart(chart, HEIGHT * place) for place, chart in enumerate(charts)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img">\n<title>{escape(says)}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _chart(chart: Chart, top: int) -> str:
    xs = [x for line in chart.lines for x, _ in line.points]
    ys = [y for line in chart.lines for _, y in line.points]
    right, most = max(xs, default=1.0) or 1.0, _round_up(max(ys, default=1.0))
    inner_w, inner_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(x: float) -> float:
        return LEFT + inner_w * x / right

    def y_of(y: float) -> float:
        return top + TOP + inner_h * (1 - y / most)

    parts = [f'<text x="{LEFT}" y="{top + 20}" font-weight="600">{escape(chart.title)}</text>']
    for step in range(5):
        y = most * step / 4
        parts.append(f'<path d="M{LEFT} {y_of(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y_of(y) + 4:.1f}" text-anchor="end" fill="#555">{y:g}</text>')
    parts.append(f'<text x="8" y="{top + 20}" fill="#555">{escape(chart.unit)}</text>')
    for step in range(7):
        x = right * step / 6
        parts.append(
            f'<text x="{x_of(x):.1f}" y="{top + HEIGHT - 14}" text-anchor="middle" fill="#555">{x:.2g} min</text>'
        )
    for place, line in enumerate(chart.lines):
        color = COLORS[place % len(COLORS)]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        at = WIDTH - RIGHT - 150 * (len(chart.lines) - place)
        parts.append(f'<text x="{at + 16}" y="{top + 20}" fill="{color}">{escape(line.name)}</text>')
        parts.append(f'<path d="M{at} {top + 16}h12" stroke="{color}" stroke-width="3"/>')
    return "\n".join(parts)


def _round_up(value: float) -> float:
    """To 1, 2, 2.5, 4, 5 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power > value:
        power /= 10
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= value)
