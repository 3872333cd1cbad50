#!/usr/bin/env bash
# A task run that is over its time is left FAILED with a start time and without an end time.
#
# Versions: client prefect==3.1.0 (pydantic==2.9.2), server prefect==3.9.1 on SQLite.
# Input:    a task with timeout_seconds=1 that sleeps 3 s, called in a flow that catches the error.
# Expected: a run in a terminal state has an end time: the same client sets one when a task raises.
# Seen:     broken     FAILED  Failed    end_time set
#           over-time  FAILED  TimedOut  start_time set, end_time null, total_run_time 0
# So a reader that looks for ended runs by `task_runs.end_time` never meets it, and the run counts as 0 s long.
. "$(dirname "$0")/server.bash"

start_server "$(environment server prefect-3.9.1.txt)"
CLIENT=$(environment client prefect-client-3.1.0.txt)
PREFECT_API_URL=$URL "$CLIENT/bin/python" - 2>"$WORK/client.log" <<'PY'
import os
import time

import httpx
import prefect
from prefect import flow, runtime, task


@task(timeout_seconds=1, task_run_name="over-time")
def over_time() -> None:
    time.sleep(3)


@task(task_run_name="broken")
def broken() -> None:
    raise ValueError("on purpose")


@flow
def both() -> str:
    for each in (broken, over_time):
        try:
            each()
        except Exception:
            pass
    return str(runtime.flow_run.id)


run = both()
api = httpx.Client(base_url=os.environ["PREFECT_API_URL"], timeout=60)
ask = {"flow_runs": {"id": {"any_": [run]}}}
for _ in range(120):
    rows = {row["name"]: row for row in api.post("/task_runs/filter", json=ask).json()}
    if len(rows) == 2 and all(row["state_type"] == "FAILED" for row in rows.values()):
        break
    time.sleep(0.5)
# Whatever is still to be written would be there by now.
time.sleep(5)
rows = {row["name"]: row for row in api.post("/task_runs/filter", json=ask).json()}
print("client", prefect.__version__, "server", api.get("/admin/version").json())
for name, row in sorted(rows.items()):
    print(name, *(f"{key}={row[key]}" for key in ("state_type", "state_name", "start_time", "end_time", "total_run_time")))
assert rows["broken"]["end_time"], "a failed task run has no end time"
late = rows["over-time"]
assert late["state_type"] == "FAILED" and late["start_time"], "the task run has another state"
assert late["end_time"] is None, "the task run has an end time now"
PY
