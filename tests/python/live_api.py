"""A client of a Prefect server's API for live_flows.py: requests, and all objects of a workspace."""

import faulthandler
import json
import time
import urllib.error
import urllib.parse
import urllib.request

PAGE = 200
BUSY_TRIES = 20
PATIENCE = 60.0  # seconds, for the background work of the server
LONGEST_RUN = 600.0  # seconds, for a whole script; no script takes two minutes

# Ends a script that hangs; its error output then shows the stack of each thread.
faulthandler.dump_traceback_later(LONGEST_RUN, exit=True)

# Collections that both generations list in the same way; a collection that a version lacks is empty.
LISTED = {
    "flows": "/flows",
    "flow_runs": "/flow_runs",
    "task_runs": "/task_runs",
    "deployments": "/deployments",
    "artifacts": "/artifacts",
    "artifact_collections": "/artifacts/latest",
    "variables": "/variables",
    "work_pools": "/work_pools",
    "work_queues": "/work_queues",
    "concurrency_limits": "/concurrency_limits",
    "concurrency_limits_v2": "/v2/concurrency_limits",
    "block_types": "/block_types",
    "block_schemas": "/block_schemas",
    "block_documents": "/block_documents",
    "automations": "/automations",
    "saved_searches": "/saved_searches",
    "flow_run_notification_policies": "/flow_run_notification_policies",
    "logs": "/logs",
}
# Sorts that are unique or nearly so; the other collections have only one sort.
SORTS = {"logs": "TIMESTAMP_ASC", "flow_runs": "ID_DESC", "task_runs": "ID_DESC"}
# Computed for every response.
VOLATILE = ("estimated_run_time", "estimated_start_time_delta")


class Refused(Exception):
    """A response other than success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class Api:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # Servers on this machine are not reached through a proxy.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.version = self.get("/admin/version")
        self.three = self.version.startswith("3.")

    def get(self, path: str):
        return self.call("GET", path)

    def post(self, path: str, body):
        return self.call("POST", path, body)

    def patch(self, path: str, body):
        return self.call("PATCH", path, body)

    def delete(self, path: str):
        return self.call("DELETE", path)

    def call(self, method: str, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        for attempt in range(BUSY_TRIES):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with self.opener.open(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                # SQLite was busy, and nothing was changed.
                if error.code != 503 or attempt + 1 == BUSY_TRIES:
                    text = error.read().decode(errors="replace")[:1000]
                    raise Refused(error.code, f"{method} {path}: {text}") from None
        raise AssertionError("unreachable")

    # The contents of the workspace.

    def snapshot(self) -> dict[str, dict[str, dict]]:
        """Returns all rows of all tables by their ids."""
        tables = {table: self.rows(table) for table in LISTED}
        schedules = [row for deployment in tables["deployments"] for row in deployment.get("schedules", [])]
        tables["deployment_schedules"] = schedules
        tables["workers"] = [row for pool in tables["work_pools"] for row in self.workers(pool["name"])]
        for kind in ("flow_run", "task_run"):
            tables[f"{kind}_states"] = [
                state for run in tables[f"{kind}s"] for state in self.get(f"/{kind}_states/?{kind}_id={run['id']}")
            ]
        tables["events"] = self.events()
        return {table: {row["id"]: row for row in rows} for table, rows in sorted(tables.items())}

    def rows(self, table: str) -> list[dict]:
        return self.pages(f"{LISTED[table]}/filter", {"sort": SORTS[table]} if table in SORTS else {})

    def workers(self, pool: str) -> list[dict]:
        return self.pages(f"/work_pools/{urllib.parse.quote(pool)}/workers/filter", {})

    def pages(self, path: str, body: dict) -> list[dict]:
        rows = []
        while True:
            try:
                page = self.post(path, {**body, "limit": PAGE, "offset": len(rows)})
            except Refused as refused:
                if refused.status != 404:
                    raise
                return []
            rows += [{key: value for key, value in row.items() if key not in VOLATILE} for row in page]
            if len(page) < PAGE:
                return rows

    def events(self, event_filter: dict | None = None) -> list[dict]:
        if not self.three:
            return []
        answer = self.post("/events/filter", {"limit": 50, "filter": event_filter or {}})
        rows = answer["events"]
        while answer["next_page"]:
            answer = self.get("/events/filter/next?" + urllib.parse.urlsplit(answer["next_page"]).query)
            rows += answer["events"]
        return rows

    def one(self, path: str, filters: dict) -> dict:
        rows = self.post(path, filters)
        assert len(rows) == 1, f"{path} {filters}: {len(rows)} rows"
        return rows[0]


def difference(before: dict, after: dict) -> dict[str, dict[str, int]]:
    """Returns the numbers of rows that were created, changed and deleted in each table."""
    tables = {}
    for table in sorted(after):
        old, new = before.get(table, {}), after[table]
        tables[table] = {
            "created": len(new.keys() - old.keys()),
            "changed": sum(old[key] != new[key] for key in old.keys() & new.keys()),
            "deleted": len(old.keys() - new.keys()),
        }
    return tables


def wait_for(what: str, look):
    """Calls `look` until its result is true, and returns that result."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what} did not come about within {PATIENCE:.0f} s")
