#!/usr/bin/env bash
# The first state of a run that a schedule creates has no event, although the same state of other runs has one.
#
# Versions: server prefect==3.9.1 on SQLite, with its scheduler.
# Input:    a deployment with a schedule, and beside its runs one run created through the API, SCHEDULED, too.
# Expected: every state of a flow run has an event, whose id is the state's: so it is for every other state.
# Seen:     run by the API:      Scheduled: event prefect.flow-run.Scheduled
#           run by the schedule: Scheduled: no event; Pending: event, which `follows` the state without one
# So a history of states made of events begins with the second state for every scheduled run.
. "$(dirname "$0")/server.bash"

VENV=$(environment server prefect-3.9.1.txt)
start_server "$VENV"
"$VENV/bin/python" - "$URL" <<'PY'
import sys
import time

from prefect_api import Api

api = Api(sys.argv[1])
call = api.call


def states(run: str) -> list[dict]:
    found = api.get("/flow_run_states/", params={"flow_run_id": run}).json()
    return sorted(found, key=lambda state: state["timestamp"])


def events(run: str) -> dict[str, dict]:
    asked = {"resource": {"id": [f"prefect.flow-run.{run}"]}}
    found = call("POST", "/events/filter", {"limit": 50, "filter": asked})["events"]
    return {event["id"]: event for event in found}


print("server", call("GET", "/admin/version"))
flow = call("POST", "/flows/", {"name": "f"})["id"]
schedule = {"schedule": {"interval": 3600}, "active": True}
call("POST", "/deployments/", {"name": "d", "flow_id": flow, "entrypoint": "f.py:f", "schedules": [schedule]})
by_api = call("POST", "/flow_runs/", {"flow_id": flow, "state": {"type": "SCHEDULED"}})["id"]
scheduled = []
for _ in range(120):
    runs = call("POST", "/flow_runs/filter", {"flows": {"id": {"any_": [flow]}}})
    scheduled = [run["id"] for run in runs if run["auto_scheduled"]]
    if scheduled:
        break
    time.sleep(0.5)
by_schedule = scheduled[0]
for run in (by_api, by_schedule):
    call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING"}, "force": True})
for _ in range(120):
    if len(events(by_api)) >= 2 and events(by_schedule):
        break
    time.sleep(0.5)
# Whatever is still to be written would be there by now.
time.sleep(10)
for name, run in (("API", by_api), ("schedule", by_schedule)):
    there = events(run)
    for state in states(run):
        event = there.get(state["id"])
        print(f"run by the {name}: {state['name']}:", event["event"] if event else "no event")
of_api, of_schedule = states(by_api), states(by_schedule)
assert all(state["id"] in events(by_api) for state in of_api)
assert of_schedule[0]["type"] == "SCHEDULED" and of_schedule[0]["id"] not in events(by_schedule)
assert events(by_schedule)[of_schedule[1]["id"]]["follows"] == of_schedule[0]["id"]
PY
