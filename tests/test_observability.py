"""What Prometheus and Grafana are told, as far as it can be read off.

That there is what they ask for, `end_to_end/test_metrics.py` sees.
"""

import re
from collections import Counter
from configparser import ConfigParser
from itertools import combinations

import yaml

from tests.observability import (
    DASHBOARD,
    FOLDER,
    Panel,
    alerts,
    expressions,
    names_in,
    panels,
    samples_in,
)
from tests.test_compose import ROOT, SERVICES


def test_each_process_of_the_stack_is_scraped_where_it_shows_itself() -> None:
    config = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    found = {job["job_name"]: job["dns_sd_configs"] for job in config["scrape_configs"]}
    assert len(found) == len(config["scrape_configs"])
    where = {name: (each["names"], each["port"]) for name, (each,) in found.items()}
    web = re.search(r"--port (\d+)", SERVICES["web"]["command"])
    assert web is not None
    work = SERVICES["work"]["environment"]
    assert where == {
        "web": (["web"], int(web[1])),
        "work": (["work"], int(work["METRICS_PORT"])),
    }
    assert work["METRICS_HOST"] == "0.0.0.0"
    assert config["rule_files"] == ["alerts.yml"]


def test_the_files_are_where_the_containers_look_for_them() -> None:
    assert "./observability/prometheus:/etc/prometheus:ro,z" in SERVICES["prometheus"]["volumes"]
    assert SERVICES["grafana"]["volumes"] == ["./observability/grafana:/etc/grafana:ro,z"]
    grafana = FOLDER / "grafana"
    settings = ConfigParser()
    settings.read_string((grafana / "grafana.ini").read_text())
    home = settings["dashboards"]["default_home_dashboard_path"]
    provisioning = grafana / "provisioning"
    boards = yaml.safe_load((provisioning / "dashboards" / "llm-chat.yml").read_text())
    assert [each["options"]["path"] for each in boards["providers"]] == [home]
    assert home == f"/etc/grafana/{DASHBOARD.relative_to(grafana)}"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}


def test_who_reaches_grafana_may_look_and_no_more() -> None:
    settings = ConfigParser()
    settings.read_string((FOLDER / "grafana" / "grafana.ini").read_text())
    assert settings["auth.anonymous"]["org_role"] == "Viewer"
    assert settings["security"].getboolean("disable_initial_admin_creation")


def test_no_name_is_given_twice() -> None:
    for names in (
        [rule["alert"] for rule in alerts()],
        [panel["id"] for panel in panels()],
        [panel["title"] for panel in panels()],
    ):
        assert [name for name, times in Counter(names).items() if times > 1] == []
    for panel in panels():
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)


def test_each_alert_says_what_it_is_about_and_how_much_it_matters() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
    described = (ROOT / "docs" / "operations.md").read_text()
    assert [rule["alert"] for rule in alerts() if f"`{rule['alert']}`" not in described] == []


def test_no_panel_lies_over_another() -> None:
    def cells(panel: Panel) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        across, down = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        return {(x, y) for x in across for y in down}

    for one, other in combinations(panels(), 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert max(x for panel in panels() for x, _ in cells(panel)) < 24


def test_what_an_expression_asks_for_is_seen() -> None:
    """Or nothing would be missed in it."""
    expression = 'max by (job) (rate(a_total{b="c"}[5m])) / on (d) e_f{g="h i"} > 0.5 or up'
    assert names_in(expression) == {"a_total", "e_f"}
    assert samples_in('a{b="c", job="web"} / d{e=~"f|g"}') == {'a{b="c"}'}
    assert all(names_in(each) or "up" in each for each in expressions())
    assert len({name for each in expressions() for name in names_in(each)}) > 20
