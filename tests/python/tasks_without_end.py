"""Runs a real flow whose task runs are left without an end, against a Prefect server.

    tasks_without_end.py URL timed-out      one task that is over its time
    tasks_without_end.py URL not-ready N    one task that fails, and N submitted on its future

Run by the Python of a client's environment (scripts/prefect-server.sh install 3|client-3.1); URL is the API's. The last
line of the output is JSON, written when the server shows all task runs in the state in which they stay:

    {"client": "3.1.0", "flow_run": ID, "task_runs": [{"id": …, "name": …, "state_type": …, "state_name": …,
     "start_time": …, "end_time": …}, …]}
"""

import json
import os
import sys
import tempfile
import time

HOME = tempfile.TemporaryDirectory(prefix="tasks-without-end-")
for name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[name]
os.environ |= {
    "PREFECT_HOME": HOME.name,
    "PREFECT_API_URL": sys.argv[1],
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "NO_PROXY": "127.0.0.1",
}

import prefect  # noqa: E402
from live_api import Api, wait_for  # noqa: E402
from prefect import flow, runtime, task  # noqa: E402

FIELDS = ("id", "name", "state_type", "state_name", "start_time", "end_time")


@task(timeout_seconds=1, task_run_name="over-time")
def over_time() -> None:
    time.sleep(3)


@task(task_run_name="broken")
def broken() -> None:
    raise ValueError("of this test")


@task(task_run_name="waits-{number}")
def waits(given: object, number: int) -> None:
    raise AssertionError("its input never comes")


@flow(name="timed-out")
def timed_out() -> str:
    over_time.submit().wait()
    return str(runtime.flow_run.id)


@flow(name="not-ready")
def not_ready(number: int) -> str:
    first = broken.submit()
    for future in [waits.submit(first, at) for at in range(number)]:
        future.wait()
    return str(runtime.flow_run.id)


def main() -> None:
    api = Api(sys.argv[1])
    match sys.argv[2:]:
        case ["timed-out"]:
            run, expected = timed_out(), ["FAILED"]
        case ["not-ready", number]:
            run, expected = not_ready(int(number)), ["FAILED"] + ["PENDING"] * int(number)
        case _:
            raise SystemExit(__doc__)
    found: list = []

    def is_there() -> bool:
        found[:] = api.pages("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "sort": "ID_DESC"})
        return sorted(row["state_type"] for row in found) == expected

    wait_for("the task runs", is_there)
    rows = [{field: row[field] for field in FIELDS} for row in found]
    print(json.dumps({"client": prefect.__version__, "flow_run": run, "task_runs": rows}), flush=True)


if __name__ == "__main__":
    main()
