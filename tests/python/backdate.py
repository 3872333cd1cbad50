"""Moves runs of a Prefect server's SQLite database into the past, with all their times.

    backdate.py DATABASE [RUN_ID SECONDS]...

Through the API, a run can be created at the current time only.
"""

import datetime
import sqlite3
import sys

import seed


def main() -> None:
    connection = sqlite3.connect(sys.argv[1], timeout=60)
    connection.row_factory = sqlite3.Row
    with connection:
        for run, seconds in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
            back = datetime.timedelta(seconds=int(seconds))
            for table, key in (("flow_run", "id"), ("flow_run_state", "flow_run_id")):
                for row in connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", [run]).fetchall():
                    times = seed.moved(table, dict(row), back, full_minutes=False)
                    sets = ", ".join(f"{name} = ?" for name in seed.TIMES[table])
                    values = [times[name] for name in seed.TIMES[table]]
                    connection.execute(f"UPDATE {table} SET {sets} WHERE id = ?", [*values, row["id"]])


if __name__ == "__main__":
    main()
