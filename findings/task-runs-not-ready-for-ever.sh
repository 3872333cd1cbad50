#!/usr/bin/env bash
# Task runs whose upstream task failed stay PENDING for ever, in a flow run that has ended.
#
# Versions: client and server prefect==3.9.1 on SQLite.
# Input:    one task that raises, and three tasks submitted with its future as an argument.
# Expected: when the flow run is COMPLETED none of its task runs is open: they cannot run any more.
# Seen:     flow run COMPLETED; broken FAILED; three times waits PENDING/NotReady, start_time and end_time null.
# So "not terminal" does not mean "still to come", and nothing ends these task runs until their flow run is deleted.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
PREFECT_API_URL=$URL "$VENV/bin/python" - 2>"$WORK/client.log" <<'PY'
import os
import time
from collections import Counter

import httpx
import prefect
from prefect import flow, runtime, task


@task
def broken() -> None:
    raise ValueError("on purpose")


@task
def waits(given: object) -> None:
    raise AssertionError("its input never comes")


@flow
def all_of_them() -> str:
    first = broken.submit()
    for future in [waits.submit(first) for _ in range(3)]:
        future.wait()
    return str(runtime.flow_run.id)


run = all_of_them()
api = httpx.Client(base_url=os.environ["PREFECT_API_URL"], timeout=60)


def states() -> Counter:
    rows = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}}).json()
    return Counter((row["state_type"], row["state_name"], row["end_time"] is None) for row in rows)


for _ in range(120):
    if sum(states().values()) == 4:
        break
    time.sleep(0.5)
# Half a minute in which the server's own services could end them.
time.sleep(30)
ended = api.get(f"/flow_runs/{run}").json()["state_type"]
print("client", prefect.__version__, "server", api.get("/admin/version").json())
print("flow run", ended)
for (kind, name, no_end), number in sorted(states().items()):
    print(f"{number} task runs {kind}/{name}, end_time {'null' if no_end else 'set'}")
assert ended == "COMPLETED", "the flow run has another state"
assert states() == {("FAILED", "Failed", False): 1, ("PENDING", "NotReady", True): 3}, "the task runs have other states"
PY
