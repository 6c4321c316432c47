"""A drawing pad for charts: inline SVG whose colours come from the page's style sheet, so it follows light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from penstock_kernel.report.scale import Scale, Tick, nice_ticks

__all__ = ["Pad"]

F64 = npt.NDArray[np.float64]


class Pad:
    """One chart: a plot area with a y axis on the left and an x axis below; marks are added in painting order.

    Classes name the paint: ``s0`` … ``s5`` series, ``pos``/``neg`` gain and loss, ``ink``, ``soft``; see page.STYLE.
    """

    def __init__(
        self,
        width: int,
        height: int,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        left: int = 52,
        right: int = 14,
        top: int = 10,
        bottom: int = 26,
    ) -> None:
        self.width, self.height = width, height
        self.left, self.right = left, width - right
        self.top, self.bottom = top, height - bottom
        self.x = Scale(*x, self.left, self.right)
        self.y = Scale(*y, self.bottom, self.top)
        self._parts: list[str] = []

    def grid(self, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick] | None = None, y_label: str = "") -> None:
        """Draw the axes: lines across for y, labels below for x; the unit stands above the y axis."""
        for tick in nice_ticks(self.y.low, self.y.high) if y_ticks is None else y_ticks:
            at = self.y(tick.value)
            self._line(self.left, at, self.right, at, "zero" if tick.strong else "grid")
            self.text(self.left - 7, at + 3.5, tick.label, "tick", anchor="end")
        last = -1e9
        for tick in x_ticks:
            at = self.x(tick.value)
            if tick.strong:
                self._line(at, self.top, at, self.bottom, "grid")
            half = 3.2 * len(tick.label)
            if at - half > last and at + half < self.width + 6:
                self.text(at, self.bottom + 16, tick.label, "tick strong" if tick.strong else "tick", anchor="middle")
                last = at + half + 6
        if y_label:
            self.text(self.left - 7, self.top - 1, y_label, "tick unit", anchor="start" if len(y_label) > 8 else "end")

    def text(self, x: float, y: float, text: str, paint: str = "tick", *, anchor: str = "start") -> None:
        """Write *text*; *anchor* is ``start``, ``middle`` or ``end``."""
        self._parts.append(f'<text class="{paint}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>')

    def _line(self, x1: float, y1: float, x2: float, y2: float, paint: str) -> None:
        self._parts.append(f'<line class="{paint}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')

    def rule(self, value: float, paint: str = "zero") -> None:
        """Draw a line across at y = *value*."""
        self._line(self.left, self.y(value), self.right, self.y(value), paint)

    def mark_x(self, value: float, paint: str = "zero") -> None:
        """Draw an upright line at x = *value*."""
        self._line(self.x(value), self.top, self.x(value), self.bottom, paint)

    def line(self, x: F64, y: F64, paint: str, *, step: bool = False) -> None:
        """Draw a line through the points; it is broken where y is not finite. *step* holds each value to the next."""
        for xs, ys in _stretches(self.x.many(x), self.y.many(y)):
            path = f"M{xs[0]:g} {ys[0]:g}"
            if len(xs) == 1:
                path += "h0.1"
            for px, py in zip(xs[1:].tolist(), ys[1:].tolist(), strict=True):
                path += f"H{px:g}V{py:g}" if step else f"L{px:g} {py:g}"
            self._parts.append(f'<path class="line {paint}" d="{path}"/>')

    def band(self, x: F64, low: F64, high: F64, paint: str) -> None:
        """Fill between two lines; broken where either is not finite."""
        both = np.where(np.isfinite(low), high, np.nan)
        for xs, highs, lows in _stretches(self.x.many(x), self.y.many(both), self.y.many(low)):
            there = "L".join(f"{a:g} {b:g}" for a, b in zip(xs.tolist(), highs.tolist(), strict=True))
            back = "L".join(f"{a:g} {b:g}" for a, b in zip(xs[::-1].tolist(), lows[::-1].tolist(), strict=True))
            self._parts.append(f'<path class="fill {paint}" d="M{there}L{back}Z"/>')

    def dots(self, x: F64, y: F64, paint: str, radius: float = 1.3) -> None:
        """Draw a dot at each point, all in one path."""
        keep = np.isfinite(y)
        points = zip(self.x.many(x[keep]).tolist(), self.y.many(y[keep]).tolist(), strict=True)
        path = "".join(f"M{px:g} {py:g}h0" for px, py in points)
        self._parts.append(f'<path class="dots {paint}" stroke-width="{2 * radius:g}" d="{path}"/>')

    def bar(self, x1: float, x2: float, y1: float, y2: float, paint: str, tip: str = "", gap: float = 1.0) -> None:
        """Fill a rectangle between two x and two y values, *gap* px narrower; *tip* shows under the pointer.

        What lies outside the plot area is cut off.
        """
        left, right = (min(max(at, self.left), self.right) for at in sorted((self.x(x1), self.x(x2))))
        top, bottom = (min(max(at, self.top), self.bottom) for at in sorted((self.y(y1), self.y(y2))))
        gap = min(gap, (right - left) * 0.3)
        self.rect(left + gap / 2, top, right - left - gap, bottom - top, paint, tip)

    def rect(self, x: float, y: float, width: float, height: float, paint: str, tip: str = "") -> None:
        """Fill a rectangle given in px."""
        if width <= 0 or height <= 0:
            return
        place = f'x="{round(x, 1):g}" y="{round(y, 1):g}" width="{round(width, 1):g}" height="{round(height, 1):g}"'
        self._parts.append(
            f'<rect class="{paint}" {place}><title>{escape(tip)}</title></rect>'
            if tip
            else f'<rect class="{paint}" {place}/>'
        )

    def shade_below(self, value: float, paint: str, label: str = "") -> None:
        """Tint the plot area below y = *value*, where it shows."""
        if self.y.low < value:
            top = max(self.y(value), self.top)
            self.rect(self.left, top, self.right - self.left, self.bottom - top, paint)
            if label and self.bottom - top > 14:
                self.text(self.right - 6, self.bottom - 6, label, "tick neg-ink", anchor="end")

    def render(self, label: str) -> str:
        """Return the ``<svg>``; *label* says what it shows to those who cannot see it."""
        inner = "".join(self._parts)
        clip = f"c{abs(hash_of(label + inner[:64])):x}"
        clipped = inner.replace("<path ", f'<path clip-path="url(#{clip})" ')
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(label)}">'
            f'<clipPath id="{clip}"><rect x="{self.left}" y="{self.top}" width="{self.right - self.left}" '
            f'height="{self.bottom - self.top}"/></clipPath>'
            f"{clipped}</svg>"
        )


def hash_of(text: str) -> int:
    """Return a number that is the same for the same *text* in every process."""
    value = 5381
    for char in text.encode():
        value = (value * 33 + char) & 0xFFFFFFFF
    return value


def _stretches(x: F64, *ys: F64) -> list[tuple[F64, ...]]:
    """Return the stretches of points in which the first y is finite."""
    finite = np.isfinite(ys[0])
    if not finite.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], finite.view(np.int8), [0]))))
    return [tuple(a[start:end] for a in (x, *ys)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
