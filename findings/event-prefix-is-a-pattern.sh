#!/usr/bin/env bash
# The events filter `prefix` is a LIKE pattern: `_` in it stands for any character.
#
# Versions: server prefect==3.9.1 on SQLite.
# Input:    two events, `sales_eu.loaded` and `sales-eu.loaded`; a listing with event.prefix ["sales_eu."].
# Expected: the one event whose name begins with `sales_eu.`; the filter's description in the OpenAPI document says
#           "Only include events matching one of these prefixes". The filter `name` is exact.
#           Where the server applies the same filter in memory (EventNameFilter.includes) it is str.startswith.
# Seen:     both are found by the prefix, also by resource.id_prefix ["job_1"]; only the one by its name.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys
import time
import uuid
from datetime import datetime, timezone

import httpx

api = httpx.Client(base_url=sys.argv[1], timeout=60)
now = datetime.now(timezone.utc).isoformat()
names = {"sales_eu.loaded": "job_1", "sales-eu.loaded": "job-1"}
events = [
    {"id": str(uuid.uuid4()), "occurred": now, "event": event, "resource": {"prefect.resource.id": resource}, "payload": {}}
    for event, resource in names.items()
]
api.post("/events", json=events).raise_for_status()


def listed(asked: dict) -> list[str]:
    answer = api.post("/events/filter", json={"limit": 50, "filter": asked})
    answer.raise_for_status()
    return sorted(event["event"] for event in answer.json()["events"])


for _ in range(120):
    if len(listed({"event": {"name": list(names)}})) == 2:
        break
    time.sleep(0.5)
print("server", api.get("/admin/version").json())
by_name = listed({"event": {"name": ["sales_eu.loaded"]}})
by_prefix = listed({"event": {"prefix": ["sales_eu."]}})
by_resource = listed({"resource": {"id_prefix": ["job_1"]}})
print("name sales_eu.loaded:", by_name)
print("prefix sales_eu.:    ", by_prefix)
print("id_prefix job_1:     ", by_resource)
assert by_name == ["sales_eu.loaded"]
assert by_prefix == by_resource == ["sales-eu.loaded", "sales_eu.loaded"]
PY
