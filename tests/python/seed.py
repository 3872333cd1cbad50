"""Fills a Prefect server's SQLite database with copies of the runs that are in it.

    seed.py DATABASE COPIES [--first NUMBER] [--open-share NUMBER] [--minutes NUMBER]

Creating thousands of runs through the API takes minutes. A copy of a row that the server itself wrote has
every column of this version, whichever they are: only the ids are new, and all times are moved into the past
together. Copies are expected at full minutes, three at a time, and a few hundred of them at the same minute,
like schedules at midnight. Open runs are few, as in real workspaces, and every second of them is in the last
week.
"""

import argparse
import datetime
import json
import sqlite3
import sys
import uuid

CROWDED = range(300, 750)  # these copies share one minute: more than two of the server's pages
WEEK = range(6, 160)  # hours
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TIMES = {
    "flow_run": (
        "created updated expected_start_time next_scheduled_start_time start_time end_time state_timestamp"
    ).split(),
    "flow_run_state": "created updated timestamp".split(),
}
FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("database")
    arguments.add_argument("copies", type=int)
    arguments.add_argument("--first", type=int, default=0, help="where earlier copies ended")
    arguments.add_argument("--open-share", type=int, default=50, help="one copy in so many has not ended")
    arguments.add_argument("--minutes", type=int, default=25, help="between two groups of three")
    asked = arguments.parse_args()
    connection = sqlite3.connect(asked.database, timeout=60)
    connection.row_factory = sqlite3.Row

    def select(sql: str) -> list[dict]:
        return [dict(row) for row in connection.execute(sql)]

    originals = "FROM flow_run WHERE name NOT LIKE 'copy %'"
    runs = select(f"SELECT * {originals} ORDER BY created")
    states = select(f"SELECT * FROM flow_run_state WHERE id IN (SELECT state_id {originals})")
    states = {state["id"]: state for state in states}
    ended = [run for run in runs if run["state_type"] in TERMINAL]
    still_open = [run for run in runs if run["state_type"] not in TERMINAL]
    with connection:
        for number in range(asked.first, asked.first + asked.copies):
            group = CROWDED[0] if number in CROWDED else number
            # At least six hours old: far from the runs that a test changes.
            back = datetime.timedelta(hours=6, minutes=asked.minutes * (group // 3))
            nth, rest = divmod(number, asked.open_share)
            templates = still_open if rest == 0 else ended
            if rest == 0 and nth % 2:
                back = datetime.timedelta(hours=WEEK[nth % len(WEEK)])
            copy(connection, templates[number % len(templates)], states, number, back)


def copy(connection: sqlite3.Connection, run: dict, states: dict, number: int, back: datetime.timedelta) -> None:
    state = dict(states[run["state_id"]], id=str(uuid.uuid4()))
    run = dict(run, id=str(uuid.uuid4()), name=f"copy {number} of {run['name']}", state_id=state["id"])
    state["flow_run_id"] = run["id"]
    details = json.loads(state["state_details"])
    state["state_details"] = json.dumps(dict(details, flow_run_id=run["id"]))
    # The two rows refer to each other; the references are checked at the commit, if at all.
    insert(connection, "flow_run", moved("flow_run", run, back))
    insert(connection, "flow_run_state", moved("flow_run_state", state, back))


def moved(table: str, row: dict, back: datetime.timedelta, full_minutes: bool = True) -> dict:
    for name in TIMES[table]:
        if row[name] is not None:
            time = datetime.datetime.strptime(row[name], FORMAT) - back
            if full_minutes and name == "expected_start_time":
                time = time.replace(second=0, microsecond=0)
            row[name] = time.strftime(FORMAT)
    return row


def insert(connection: sqlite3.Connection, table: str, row: dict) -> None:
    columns = ", ".join(row)
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))


if __name__ == "__main__":
    main()
