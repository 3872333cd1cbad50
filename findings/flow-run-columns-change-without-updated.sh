#!/usr/bin/env bash
# Columns of a flow run change while its `updated` stands still, and one filter goes by the old value.
#
# Versions: server prefect==3.9.1 on SQLite. (2.20.27 does the same.)
# Input:    a completed run of a deployment with a work queue; the queue is renamed, then deleted.
#           A completed run started by a task run of a parent; the parent is deleted.
# Expected: `updated` moves when what the API shows of the run moves, as it does for every PATCH and state.
#           Renaming goes one way, and a filter finds the value that is shown.
# Seen:     queue renamed:  work_queue_name q-old -> q-new, updated stays;
#                           the filter work_queue_name finds the run by q-old, and not by q-new
#           queue deleted:  work_queue_name q-new -> q-old (the former name is back),
#                           work_queue_id, work_pool_id, work_pool_name -> null, updated stays
#           parent deleted: parent_task_run_id -> null, updated stays
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys

from prefect_api import Api

api = Api(sys.argv[1])
call = api.call


def run_to_the_end(run: str) -> None:
    for kind in ("PENDING", "RUNNING", "COMPLETED"):
        call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": kind}, "force": True})


def look(run: str) -> dict:
    row = call("GET", f"/flow_runs/{run}")
    keys = ("updated", "work_queue_name", "work_queue_id", "work_pool_name", "work_pool_id", "parent_task_run_id")
    return {key: row[key] for key in keys}


def changed(before: dict, after: dict) -> dict:
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def found_by(name: str) -> int:
    return len(call("POST", "/flow_runs/filter", {"flow_runs": {"work_queue_name": {"any_": [name]}}}))


print("server", call("GET", "/admin/version"))
flow = call("POST", "/flows/", {"name": "f"})["id"]
call("POST", "/work_pools/", {"name": "pool", "type": "process"})
call("POST", "/work_pools/pool/queues", {"name": "q-old"})
deployment = {"name": "d", "flow_id": flow, "work_pool_name": "pool", "work_queue_name": "q-old", "entrypoint": "f.py:f"}
deployment = call("POST", "/deployments/", deployment)["id"]
run = call("POST", f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"]
run_to_the_end(run)
parent = call("POST", "/flow_runs/", {"flow_id": flow})["id"]
task = call("POST", "/task_runs/", {"flow_run_id": parent, "task_key": "t", "dynamic_key": "0"})["id"]
child = call("POST", "/flow_runs/", {"flow_id": flow, "parent_task_run_id": task})["id"]
run_to_the_end(child)
run_to_the_end(parent)

first = look(run)
call("PATCH", "/work_pools/pool/queues/q-old", {"name": "q-new"})
second = look(run)
print("queue renamed: ", changed(first, second), "found by q-old:", found_by("q-old"), "by q-new:", found_by("q-new"))
assert changed(first, second) == {"work_queue_name": ("q-old", "q-new")}
assert (found_by("q-old"), found_by("q-new")) == (1, 0)

call("DELETE", "/work_pools/pool/queues/q-new")
third = changed(second, look(run))
print("queue deleted: ", third)
assert third.pop("work_queue_name") == ("q-new", "q-old")
assert sorted(third) == ["work_pool_id", "work_pool_name", "work_queue_id"]
assert all(after is None for _, after in third.values())

before = look(child)
call("DELETE", f"/flow_runs/{parent}")
fourth = changed(before, look(child))
print("parent deleted:", fourth)
assert fourth == {"parent_task_run_id": (task, None)}
PY
