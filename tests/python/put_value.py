"""Writes a value directly into a Prefect server's SQLite database, and prints the previous value.

    put_value.py DATABASE TABLE COLUMN ID VALUE
"""

import sqlite3
import sys


def main() -> None:
    database, table, column, row, value = sys.argv[1:]
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        (before,) = connection.execute(f"SELECT {column} FROM {table} WHERE id = ?", [row]).fetchone()
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", [value, row])
    sys.stdout.write(before)


if __name__ == "__main__":
    main()
