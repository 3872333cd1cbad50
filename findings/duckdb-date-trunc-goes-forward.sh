#!/usr/bin/env bash
# DuckDB's date_trunc of a TIMESTAMPTZ to the hour gives a later time than it was given, in the hour before clocks are
# set back.
#
# Versions: duckdb==2.0.1. (1.1.3, 1.3.2 and 1.4.4 do the same.)
# Input:    two start times of runs on 2 November 2025, 05:30 and 06:30 UTC: 01:30-04:00 and 01:30-05:00 in New York.
#           DuckDB takes the session's time zone from the machine; here it is set to America/New_York.
# Expected: date_trunc('hour', t) is 05:00 and 06:00 UTC, never after t; time_bucket(INTERVAL 1 HOUR, t) gives that.
# Seen:     date_trunc    01:30-04 -> 01:00-05 (half an hour after it)   01:30-05 -> 01:00-05
#           time_bucket   01:30-04 -> 01:00-04                           01:30-05 -> 01:00-05
#           date_trunc('minute', t) leaves both where they are.
# So a count of runs by hour has an hour with none and one with both, and on a machine in UTC it does not.
. "$(dirname "$0")/server.bash"

VENV=$(environment duckdb duckdb-2.0.1.txt)
"$VENV/bin/python" - <<'PY'
import duckdb

db = duckdb.connect()


def by(expression: str, zone: str) -> list[tuple]:
    db.execute(f"SET TimeZone = '{zone}'")
    times = "(VALUES (TIMESTAMPTZ '2025-11-02 05:30:00+00'), (TIMESTAMPTZ '2025-11-02 06:30:00+00')) AS run(t)"
    cut = f"SELECT t, {expression} AS cut FROM {times} ORDER BY t"
    return db.execute(f"SELECT t::VARCHAR, cut::VARCHAR, cut > t FROM ({cut})").fetchall()


print("duckdb", duckdb.__version__)
HOUR, BUCKET = "date_trunc('hour', t)", "time_bucket(INTERVAL 1 HOUR, t)"
for zone in ("UTC", "America/New_York"):
    for expression in (HOUR, BUCKET, "date_trunc('minute', t)"):
        print(f"{zone:17}{expression:32}", *by(expression, zone))
early, late, hour = "2025-11-02 01:30:00-04", "2025-11-02 01:30:00-05", "2025-11-02 01:00:00-05"
assert by(HOUR, "America/New_York") == [(early, hour, True), (late, hour, False)]
assert by(BUCKET, "America/New_York") == [(early, "2025-11-02 01:00:00-04", False), (late, hour, False)]
assert [later for _, _, later in by(HOUR, "UTC")] == [False, False]
assert [later for _, _, later in by("date_trunc('minute', t)", "America/New_York")] == [False, False]
PY
