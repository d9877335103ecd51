"""What the dashboard and the alerts ask Prometheus for."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from tests.end_to_end.processes import ROOT

FOLDER: Final = ROOT / "observability"
ALERTS: Final = FOLDER / "prometheus" / "alerts.yml"
DASHBOARD: Final = FOLDER / "grafana" / "llm-chat.json"

_FROM_PROMETHEUS: Final = {"up"}
_OPERATORS: Final = {"and", "or", "unless", "bool"}
_STRING: Final = re.compile(r'"[^"]*"')
_SELECTOR: Final = re.compile(r"([a-z_:]\w*)\s*\{([^}]*)\}")
_ASIDE: Final = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)")
_NAME: Final = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()")
_LABELS_OF_PROMETHEUS: Final = {"job", "instance"}

Panel = Mapping[str, Any]


def alerts() -> list[Mapping[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[Panel]:
    found: list[Panel] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def names_in(expression: str) -> set[str]:
    """Of metrics."""
    names = set(_NAME.findall(_ASIDE.sub(" ", _STRING.sub('""', expression))))
    return names - _OPERATORS - _FROM_PROMETHEUS


def samples_in(expression: str) -> set[str]:
    """Those that are meant by one value of a label, as the text of a scrape names them."""
    return {
        f'{name}{{{label}="{value}"}}'
        for name, matchers in _SELECTOR.findall(expression)
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers)
        if label not in _LABELS_OF_PROMETHEUS
    }
