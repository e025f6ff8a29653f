"""Draws docs/architecture.svg: the processes, their topics and what they keep. Run it after a change.

python docs/tools/architecture_drawing.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FILE = Path(__file__).resolve().parents[1] / "architecture.svg"
WIDTH, HEIGHT = 1000, 560
FILLS = {"yours": "#f5f5f5", "process": "#cfe2f3", "topic": "#fff2cc", "store": "#d9ead3"}
MEANINGS = {"yours": "yours", "process": "process", "topic": "Kafka topic", "store": "Redis, files"}


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text in it."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]

    def draw(self) -> Iterator[str]:
        round_by = 22 if self.kind == "topic" else 4
        yield (
            f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="{round_by}" '
            f'fill="{FILLS[self.kind]}" stroke="#444"/>'
        )
        top = self.y + self.height / 2 - 8 * (len(self.lines) - 1)
        for number, line in enumerate(self.lines):
            weight = ' font-weight="bold"' if number == 0 and self.kind == "process" else ""
            yield (
                f'<text x="{self.x + self.width / 2:g}" y="{top + 16 * number + 4:g}" '
                f'text-anchor="middle"{weight}>{escape(line)}</text>'
            )


BOXES = (
    Box("yours", 20, 120, 130, 50, ("your producers",)),
    Box("topic", 200, 120, 140, 50, ("event topics",)),
    Box("process", 400, 120, 130, 50, ("worker",)),
    Box("store", 600, 100, 150, 76, ("Redis", "rows, progress, plan,", "versions, epoch")),
    Box("process", 830, 120, 130, 50, ("serve",)),
    Box("yours", 830, 20, 130, 50, ("your backend",)),
    Box("topic", 200, 220, 150, 44, ("late, dead-letters",)),
    Box("topic", 390, 220, 150, 44, ("changelog, shuffle",)),
    Box("store", 580, 220, 150, 44, ("feature log (Parquet)",)),
    Box("topic", 830, 320, 130, 44, ("predictions",)),
    Box("topic", 830, 400, 130, 44, ("outcomes",)),
    Box("process", 620, 355, 130, 50, ("join",)),
    Box("topic", 420, 320, 130, 44, ("examples",)),
    Box("topic", 420, 400, 130, 44, ("closings",)),
    Box("store", 610, 455, 150, 44, ("examples (Parquet)",)),
    Box("topic", 420, 463, 150, 36, ("join-changelog",)),
    Box("process", 220, 355, 130, 50, ("train",)),
    Box("store", 20, 320, 140, 44, ("model store (files)",)),
    Box("topic", 20, 400, 140, 44, ("epochs",)),
)
ARROWS = (
    ((150, 145), (200, 145)),
    ((340, 145), (400, 145)),
    ((530, 145), (600, 145)),
    ((750, 145), (830, 145)),
    ((895, 70), (895, 120)),
    ((830, 45), (675, 45), (675, 100)),
    ((420, 170), (420, 195), (290, 195), (290, 220)),
    ((450, 170), (450, 220)),
    ((480, 220), (480, 170)),
    ((510, 170), (510, 195), (650, 195), (650, 220)),
    ((880, 170), (880, 320)),
    ((945, 170), (945, 300), (975, 300), (975, 422), (960, 422)),
    ((230, 170), (230, 205), (185, 205), (185, 290), (685, 290), (685, 355)),
    ((830, 342), (790, 342), (790, 370), (750, 370)),
    ((830, 412), (790, 412), (790, 382), (750, 382)),
    ((740, 405), (740, 434), (830, 434)),
    ((620, 370), (585, 370), (585, 342), (550, 342)),
    ((620, 390), (585, 390), (585, 422), (550, 422)),
    ((685, 405), (685, 455)),
    ((640, 405), (640, 432), (595, 432), (595, 481), (570, 481)),
    ((420, 342), (385, 342), (385, 370), (350, 370)),
    ((420, 422), (385, 422), (385, 390), (350, 390)),
    ((220, 370), (190, 370), (190, 342), (160, 342)),
    ((220, 390), (190, 390), (190, 422), (160, 422)),
    ((320, 355), (320, 305), (560, 305), (560, 185), (620, 185), (620, 176)),
    ((20, 342), (8, 342), (8, 520), (988, 520), (988, 145), (960, 145)),
)
NOTES = (
    (685, 60, "features, by the SDK"),
    (905, 100, "requests"),
    (328, 319, "versions, epoch"),
    (400, 514, "models"),
    (195, 284, "labels"),
)


def drawing() -> str:
    """Return the drawing as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13" fill="#111">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L10 5L0 10z" fill="#444"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(_arrow(points) for points in ARROWS),
        *(line for box in BOXES for line in box.draw()),
        *(f'<text x="{x}" y="{y}" font-size="11" fill="#555">{escape(note)}</text>' for x, y, note in NOTES),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(points: tuple[tuple[int, int], ...]) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="#444" stroke-width="1.3" marker-end="url(#tip)"/>'


def _legend() -> Iterator[str]:
    for number, (kind, meaning) in enumerate(MEANINGS.items()):
        x = 20 + 120 * number
        yield f'<rect x="{x}" y="534" width="16" height="16" fill="{FILLS[kind]}" stroke="#444"/>'
        yield f'<text x="{x + 22}" y="547" font-size="11">{meaning}</text>'


if __name__ == "__main__":
    FILE.write_text(drawing(), encoding="utf-8")
