"""Line charts as SVG, written by hand: panels with axes, units and a legend, readable on light and on dark."""

import math
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 34
HEAD = 30
LIGHT = ("#ffffff", "#1f2328", "#656d76", "#d8dee4", ["#0969da", "#bc4c00", "#8250df", "#1a7f37", "#cf222e"])
DARK = ("#0d1117", "#e6edf3", "#9198a1", "#30363d", ["#58a6ff", "#f0883e", "#bc8cff", "#3fb950", "#ff7b72"])


def colours(back, ink, dim, grid, lines):
    """Rules of one scheme. Plain classes, since not every reader of SVG knows variables."""
    rules = f".back {{ fill: {back} }} text {{ fill: {ink} }} .dim {{ fill: {dim} }} "
    rules += f".grid {{ stroke: {grid} }} .band {{ fill: {grid} }}"
    return rules + "".join(f" .s{i} {{ stroke: {c} }} .f{i} {{ fill: {c} }}" for i, c in enumerate(lines))


STYLE = (
    "text { font: 11px system-ui, sans-serif } .title { font-weight: 600 } .band { opacity: 0.5 } "
    "path { fill: none; stroke-width: 1.6 } "
    f"{colours(*LIGHT)} @media (prefers-color-scheme: dark) {{ {colours(*DARK)} }}"
)


@dataclass
class Line:
    """A line: a name for the legend, a colour's number, points."""

    name: str
    colour: int
    points: list


@dataclass
class Panel:
    """A chart of its own: title, unit of y, lines; `dots` marks the points."""

    title: str
    unit: str
    lines: list
    log: bool = False
    dots: bool = False
    bands: list = field(default_factory=list)  # shaded ranges of x


def short(value):
    """A number as an axis has it."""
    if value and abs(value) < 0.01:
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:g}"


def steps(high):
    """Round values from 0 to at least `high`, four or five of them."""
    if high <= 0:
        return [0, 1]
    raw = high / 4
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.999)
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]


def decades(values):
    """Powers of ten around the values."""
    low = math.floor(math.log10(min(values)))
    return [10.0**e for e in range(low, max(math.ceil(math.log10(max(values))), low + 1) + 1)]


class Scale:
    """Values of one axis to places on the picture."""

    def __init__(self, ticks, start, end, log=False):
        self.ticks, self.start, self.end, self.map = ticks, start, end, math.log10 if log else float

    def __call__(self, value):
        low, high = self.map(self.ticks[0]), self.map(self.ticks[-1])
        return self.start + (self.map(value) - low) / (high - low) * (self.end - self.start)


def panel(chart, x_ticks, x_unit):
    """The pieces of one panel."""
    values = [y for line in chart.lines for _, y in line.points if y > 0 or not chart.log]
    ticks = (decades(values or [1]) if chart.log else steps(max(values or [0])))
    x = Scale(x_ticks, LEFT, WIDTH - RIGHT)
    y = Scale(ticks, HEIGHT - BOTTOM, TOP, chart.log)
    unit = f" ({chart.unit})" if chart.unit else ""
    yield f'<text class="title" x="{LEFT}" y="{TOP - 10}">{escape(chart.title + unit)}</text>'
    for low, high in chart.bands:
        width = max(1.0, x(high) - x(low))
        yield f'<rect class="band" x="{x(low):.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
    for tick in ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield f'<text class="dim" text-anchor="end" x="{LEFT - 5}" y="{y(tick) + 4:.1f}">{short(tick)}</text>'
    for tick in x_ticks:
        yield f'<text class="dim" text-anchor="middle" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 14}">{short(tick)}</text>'
    yield f'<text class="dim" text-anchor="end" x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 27}">{escape(x_unit)}</text>'
    for line in chart.lines:
        points = [(x(px), y(py)) for px, py in line.points if py > 0 or not chart.log]
        path = " ".join(f"{'L' if i else 'M'}{px:.1f} {py:.1f}" for i, (px, py) in enumerate(points))
        yield f'<path class="s{line.colour}" d="{path}"/>' if path else ""
        if chart.dots:
            yield from (f'<circle class="f{line.colour}" cx="{px:.1f}" cy="{py:.1f}" r="2"/>' for px, py in points)


def legend(names, at):
    """Names beside strokes of their colour."""
    for colour, name in names:
        yield f'<line class="s{colour}" stroke-width="3" x1="{at}" x2="{at + 18}" y1="16" y2="16"/>'
        yield f'<text x="{at + 23}" y="20">{escape(name)}</text>'
        at += 38 + 6.2 * len(name)


def figure(title, panels, columns, x_unit):
    """All panels in a grid, with one legend for those names that several have, else one each."""
    shared = {tuple((line.colour, line.name) for line in chart.lines) for chart in panels}
    one = len(shared) == 1
    high = HEIGHT if one else HEIGHT + HEAD
    rows = -(-len(panels) // columns)
    width, height = columns * WIDTH, HEAD + rows * high
    furthest = max((x for chart in panels for line in chart.lines for x, _ in line.points), default=1)
    x_ticks = steps(furthest)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
           f"<title>{escape(title)}</title><style>{STYLE}</style>",
           f'<rect class="back" width="{width}" height="{height}"/>']
    out += legend(next(iter(shared)), LEFT) if one else [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
    for i, chart in enumerate(panels):
        dx, dy = i % columns * WIDTH, HEAD + i // columns * high
        out.append(f'<g transform="translate({dx} {dy})">')
        if not one:
            out += legend([(line.colour, line.name) for line in chart.lines], LEFT)
            out.append(f'<g transform="translate(0 {HEAD})">')
        out += panel(chart, x_ticks, x_unit)
        out.append("</g>" if one else "</g></g>")
    return "\n".join(piece for piece in [*out, "</svg>"] if piece) + "\n"
