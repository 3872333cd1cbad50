#!/usr/bin/env bash
# DuckDB holds committed texts of 100 KiB in memory until a checkpoint, and a checkpoint that merges row groups holds all
# of their texts again: a table of long texts cannot grow beyond memory_limit, while one of the same size with shorter
# texts can.
#
# Versions: duckdb==2.0.1. (1.5.6 does the same.)
# Input:    a file with memory_limit 128MiB and one thread; up to 300 MiB of texts are inserted in 60 transactions. The
#           folder for temporary files is the default one, with enough space.
# Expected: the same result for all lengths of texts: rows beyond the limit are moved to the temporary folder, and
#           rows that a checkpoint has written are only read when they are needed.
# Seen:     10 KiB each: all 300 MiB are inserted, with and without checkpoints.
#           100 KiB each: a commit fails after 90 to 100 MiB, "failed to pin block". After CHECKPOINT commits succeed.
#           1 MiB each, CHECKPOINT after every transaction: a checkpoint fails after about 130 MiB, with a fatal error
#           that makes the connection unusable. A new connection reads all committed rows.
#           The same with max_vacuum_tasks = 0: all 300 MiB are inserted. Each checkpoint has left a row group, which
#           takes at least 256 KiB of the file.
# So a loader that limits DuckDB's memory must write long texts to the file soon, keep DuckDB from merging their row
# groups, and merge small row groups itself.
. "$(dirname "$0")/server.bash"

VENV=$(environment duckdb duckdb-2.0.1.txt)
"$VENV/bin/python" - <<'PY'
import tempfile
from pathlib import Path

import duckdb

TOTAL = 300 << 20
PARTS = 60


def insert(
    file: Path, size: int, checkpoints: bool, merges: int = 100
) -> tuple[int, duckdb.Error | None, duckdb.DuckDBPyConnection]:
    """Returns the number of rows that were committed, the error that ended the inserts, and the connection."""
    db = duckdb.connect(str(file))
    for setting in ("memory_limit = '128MiB'", "threads = 1", "wal_autocheckpoint = '10GB'"):
        db.execute(f"SET {setting}")
    db.execute(f"SET max_vacuum_tasks = {merges}")
    db.execute("CREATE TABLE t (id BIGINT, text VARCHAR)")
    rows = TOTAL // size
    part = rows // PARTS
    done = 0
    try:
        while done < rows:
            texts = f"repeat(md5(range::VARCHAR), {size // 32})"
            db.execute(f"INSERT INTO t SELECT range, {texts} FROM range({done}, {done + part})")
            done += part
            if checkpoints:
                db.execute("CHECKPOINT")
    except duckdb.Error as error:
        return done, error, db
    return done, None, db


def report(size: int, checkpoints: bool, done: int, error: duckdb.Error | None) -> None:
    how = "with checkpoints" if checkpoints else "without checkpoints"
    end = "all" if error is None else f"{type(error).__name__}: {str(error).splitlines()[0][-60:]}"
    print(f"{size >> 10:5} KiB each, {how:20} {done * size >> 20:4} MiB inserted, {end}")


print("duckdb", duckdb.__version__)
with tempfile.TemporaryDirectory() as folder:
    for checkpoints in (False, True):
        done, error, db = insert(Path(folder, f"short-{checkpoints}"), 10 << 10, checkpoints)
        report(10 << 10, checkpoints, done, error)
        assert error is None and done * (10 << 10) >= TOTAL

    done, error, db = insert(Path(folder, "long"), 100 << 10, False)
    report(100 << 10, False, done, error)
    assert isinstance(error, duckdb.TransactionException) and "failed to pin block" in str(error)
    assert done * (100 << 10) < 128 << 20
    db.execute("CHECKPOINT")
    db.execute("INSERT INTO t SELECT -1, 'after the checkpoint'")
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(done + 1,)]

    file = Path(folder, "longer")
    done, error, db = insert(file, 1 << 20, True)
    report(1 << 20, True, done, error)
    assert isinstance(error, duckdb.FatalException) and "Failed to create checkpoint" in str(error)
    assert done < TOTAL >> 20
    db.close()
    with duckdb.connect(str(file)) as again:
        committed = again.execute("SELECT count(*) FROM t").fetchall()
        print(f"      {committed[0][0]} rows after a new connection, {done} were committed")
        assert committed == [(done,)]

    done, error, db = insert(Path(folder, "unmerged"), 1 << 20, True, merges=0)
    report(1 << 20, True, done, error)
    groups = db.execute("SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('t')").fetchall()
    print(f"      with max_vacuum_tasks = 0: {groups[0][0]} row groups")
    assert error is None and done == TOTAL >> 20 and groups == [(PARTS,)]
PY
