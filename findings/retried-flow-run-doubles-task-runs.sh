#!/usr/bin/env bash
# A retry of a flow run gives each of its tasks a second task run, and names do not tell two task runs apart.
#
# Versions: client and server prefect==3.9.1 on SQLite.
# Input:    a flow with retries=1 that calls a task 300 times and a subflow, and fails once after them.
# Expected: 300 task runs and one for the subflow: no task was retried, run_count is 1 for each.
#           The suffix that the client gives to a name (`load-5f2`) tells the task runs of a flow run apart.
# Seen:     601 task runs COMPLETED: 300 of flow_run_run_count 1, 300 of 2, and one for the subflow, which the second
#           attempt used again (flow_run_run_count 0). Dozens of names belong to two or more task runs.
# (2.20.27 runs the same task runs again and names them load-0 to load-299.) The suffix is the first 3 hex digits of a
# random id: 4,096 values, so that among 100 task runs two are likely to share one. Sums over the task runs of a flow run
# count each retried task twice, and (flow run, name) is no key.
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

TASKS = 300


@task
def load(number: int) -> int:
    return number


@flow
def below() -> None:
    pass


@flow(retries=1)
def fails_once() -> str:
    for number in range(TASKS):
        load(number)
    below()
    if runtime.flow_run.run_count == 1:
        raise ValueError("on purpose")
    return str(runtime.flow_run.id)


run = fails_once()
api = httpx.Client(base_url=os.environ["PREFECT_API_URL"], timeout=60)


def task_runs() -> list[dict]:
    rows: list[dict] = []
    while True:
        asked = {"flow_runs": {"id": {"any_": [run]}}, "sort": "ID_DESC", "offset": len(rows), "limit": 200}
        page = api.post("/task_runs/filter", json=asked).json()
        rows += page
        if len(page) < 200:
            return rows


for _ in range(240):
    rows = task_runs()
    if len(rows) >= 2 * TASKS + 1 and all(row["state_type"] == "COMPLETED" for row in rows):
        break
    time.sleep(0.5)
counts = Counter((row["name"].split("-")[0], row["flow_run_run_count"], row["run_count"]) for row in rows)
names = Counter(row["name"] for row in rows if row["name"].startswith("load-"))
shared = [name for name, number in names.items() if number > 1]
print("client", prefect.__version__, "server", api.get("/admin/version").json())
ended = api.get(f"/flow_runs/{run}").json()["state_type"]
print("flow run", ended, len(rows), "task runs,", len({row["id"] for row in rows}), "ids")
for (name, of_flow_run, own), number in sorted(counts.items()):
    print(f"{number} task runs of {name}: flow_run_run_count {of_flow_run}, run_count {own}")
print(len(shared), "names of the form load-xxx are shared by several task runs")
assert counts == {("load", 1, 1): TASKS, ("load", 2, 1): TASKS, ("below", 0, 2): 1}
assert shared and all(len(name) == 8 for name in names)
PY
