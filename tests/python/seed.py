"""Fills a Prefect server's SQLite database with copies of the runs that are in it.

    seed.py DATABASE COPIES

Thousands of runs through the API take minutes. A copy of a row that the server itself wrote has
every column that this version has, whatever they are: only the ids are new, and all times are moved
into the past together. Copies are expected at full minutes, three at a time, and a few hundred of
them at one and the same, as schedules at midnight do it. Runs that have not ended yet are few in
life and here.
"""

import datetime
import json
import sqlite3
import sys
import uuid

CROWDED = range(300, 750)  # these copies share one minute: more than two of the server's pages
OPEN_SHARE = 50  # one copy in so many is of a run that has not ended
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TIMES = {
    "flow_run": (
        "created updated expected_start_time next_scheduled_start_time start_time end_time state_timestamp"
    ).split(),
    "flow_run_state": "created updated timestamp".split(),
}
FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def main() -> None:
    database, copies = sys.argv[1], int(sys.argv[2])
    connection = sqlite3.connect(database, timeout=60)
    connection.row_factory = sqlite3.Row
    runs = [dict(row) for row in connection.execute("SELECT * FROM flow_run ORDER BY created")]
    states = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM flow_run_state")}
    ended = [run for run in runs if run["state_type"] in TERMINAL]
    still_open = [run for run in runs if run["state_type"] not in TERMINAL]
    with connection:
        for number in range(copies):
            templates = still_open if number % OPEN_SHARE == 0 else ended
            copy(connection, templates[number % len(templates)], states, number)


def copy(connection: sqlite3.Connection, run: dict, states: dict, number: int) -> None:
    # Hours old at least: far from what a test changes.
    group = CROWDED[0] if number in CROWDED else number
    back = datetime.timedelta(hours=6, minutes=25 * (group // 3))
    state = dict(states[run["state_id"]], id=str(uuid.uuid4()))
    run = dict(run, id=str(uuid.uuid4()), name=f"copy {number} of {run['name']}", state_id=state["id"])
    state["flow_run_id"] = run["id"]
    details = json.loads(state["state_details"])
    state["state_details"] = json.dumps(dict(details, flow_run_id=run["id"]))
    # The two point at each other; the check comes with the commit, if at all.
    insert(connection, "flow_run", moved("flow_run", run, back))
    insert(connection, "flow_run_state", moved("flow_run_state", state, back))


def moved(table: str, row: dict, back: datetime.timedelta) -> dict:
    for name in TIMES[table]:
        if row[name] is not None:
            time = datetime.datetime.strptime(row[name], FORMAT) - back
            if name == "expected_start_time":
                time = time.replace(second=0, microsecond=0)
            row[name] = time.strftime(FORMAT)
    return row


def insert(connection: sqlite3.Connection, table: str, row: dict) -> None:
    columns = ", ".join(row)
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))


if __name__ == "__main__":
    main()
