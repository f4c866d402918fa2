"""deploy/grafana/dashboard.json: the dashboard as Grafana imports it. `make docs` writes it; a test says when it is stale.

Source: Grafana's dashboard JSON model, schema version 39, which Grafana 10.3 and newer read.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from twospeed.telemetry.dashboard import Panel, Query, Row, rows
from twospeed.telemetry.instruments import BUILD, REQUESTS
from twospeed.telemetry.promql import CHOICES

UID = "twospeed"
SCHEMA_VERSION = 39
PAGE = 24  # columns
HEIGHT, STAT_HEIGHT = 8, 4  # in the rows of Grafana's grid
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def document() -> str:
    """Return the text of the file."""
    return json.dumps(dashboard(rows()), indent=1) + "\n"


def dashboard(page: Sequence[Row]) -> dict[str, Any]:
    """Lay rows of panels out as a dashboard."""
    return {
        "uid": UID,
        "title": "twospeed",
        "description": "Made by `make docs` from the table of instruments: do not edit.",
        "tags": ["twospeed"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "",
        "templating": {"list": list(_variables())},
        "annotations": {"list": []},
        "links": [],
        "panels": list(_laid_out(page)),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
    yield _variable("job", f"label_values({BUILD.sample}, job)")
    for label in CHOICES:
        yield _variable(label, f'label_values({REQUESTS.sample}{{job=~"$job"}}, {label})')


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _laid_out(page: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Place panels from left to right, a new line where the next does not fit, and number them."""
    number, y = 1, 0
    for row in page:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, 24, 1),
        }
        number, y, x = number + 1, y + 1, 0
        height = STAT_HEIGHT if all(panel.kind == "stat" for panel in row.panels) else HEIGHT
        for panel in row.panels:
            if x + panel.width > PAGE:
                x, y = 0, y + height
            yield {"id": number, **_panel(panel), "gridPos": _at(x, y, panel.width, height)}
            number, x = number + 1, x + panel.width
        y += height


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    made = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "targets": [_target(panel, query, chr(ord("A") + place)) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }
    if panel.kind == "table":
        by_row = {"mode": "seriesToRows", "reducers": ["lastNotNull"]}
        made["transformations"] = [{"id": "reduce", "options": by_row}]
    return made


def _target(panel: Panel, query: Query, name: str) -> dict[str, Any]:
    ranged = panel.kind in ("timeseries", "state-timeline")
    return {
        "refId": name,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "range": ranged,
        "instant": not ranged,
        "exemplar": ranged and "_bucket{" in query.expr,
    }


def _field(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    words = {
        str(value): {"text": word.text, "color": word.color, "index": value} for value, word in enumerate(panel.words)
    }
    made: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if words:
        made["mappings"] = [{"type": "value", "options": words}]
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        fill = 40 if panel.stacked else 0
        made |= {"min": 0, "custom": {"fillOpacity": fill, "showPoints": "never", "stacking": stacking}}
    return made


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
    "state-timeline": {"mergeValues": True, "rowHeight": 0.8, "showValue": "never"},
    "table": {"showHeader": True},
}
