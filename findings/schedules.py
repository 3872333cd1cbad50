"""Imported by the scripts about schedules: the start times that a Prefect server gives to a schedule's runs."""

from datetime import datetime
from zoneinfo import ZoneInfo

from prefect_api import Api


class Server:
    def __init__(self, url: str) -> None:
        self.call = Api(url).call
        self.flow = self.call("POST", "/flows/", {"name": "f"})["id"]
        self.deployments = 0

    def starts(self, schedule: dict, since: str, until: str, zone: str) -> list[str]:
        """What the server schedules from `since` to `until`, as `DD HH:MM+ZZZZ` of `zone`."""
        self.deployments += 1
        deployment = {"name": f"d{self.deployments}", "flow_id": self.flow, "entrypoint": "f.py:f"}
        deployment["schedules"] = [{"schedule": schedule, "active": True}]
        deployment = self.call("POST", "/deployments/", deployment)["id"]
        asked = {"start_time": since, "end_time": until, "min_runs": 50, "max_runs": 50}
        self.call("POST", f"/deployments/{deployment}/schedule", asked)
        asked = {
            "sort": "EXPECTED_START_TIME_ASC",
            "deployments": {"id": {"any_": [deployment]}},
            "flow_runs": {"expected_start_time": {"after_": since, "before_": until}},
        }
        times = [run["expected_start_time"] for run in self.call("POST", "/flow_runs/filter", asked)]
        return [datetime.fromisoformat(at).astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for at in times]
