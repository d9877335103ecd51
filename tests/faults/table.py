"""What `make faults` prints: a line for each case and each way that it is run."""

from collections import defaultdict
from dataclasses import dataclass, field

ROWS: "dict[tuple[str, str], Row]" = {}


@dataclass
class Row:
    """`limit`: seconds that the worst of its runs should take, of what the case measures."""

    limit: float | None
    seeds: list[int] = field(default_factory=list)
    passed: int = 0
    worst: float = 0.0
    notes: dict[str, None] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        limit = "" if self.limit is None else f"{self.limit:g}"
        over = self.limit is not None and self.worst > self.limit
        notes = [*(["OVER ITS LIMIT"] if over else ()), *self.notes]
        return (
            _ranges(self.seeds),
            str(len(self.seeds)),
            str(self.passed),
            f"{self.worst:.1f}",
            limit,
            ", ".join(notes),
        )


def note(
    case: str,
    way: str,
    seed: int,
    *,
    passed: bool,
    worst: float,
    limit: float | None,
    notes: list[str],
) -> None:
    row = ROWS.setdefault((case, way), Row(limit))
    row.seeds.append(seed)
    row.passed += passed
    row.worst = max(row.worst, worst)
    row.notes.update(dict.fromkeys(notes))


def lines() -> list[str]:
    head = ("case", "what", "seeds", "runs", "passed", "worst s", "limit s", "notes")
    rows = [head, *((*which, *row.cells()) for which, row in sorted(ROWS.items()))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _ranges(seeds: list[int]) -> str:
    """1-3, 7"""
    parts: dict[int, list[int]] = defaultdict(list)
    for number, seed in enumerate(sorted(set(seeds))):
        parts[seed - number].append(seed)
    return ", ".join(
        str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts.values()
    )
