"""Writes the lists of tables in README.md and in the queries over all tables (docs/queries/*.sql).

    fivetran_source tables --json | table_lists.py

In README.md the list is between two comments. In a query, the lists are the header line `needs` and the subqueries
`all_rows` and `names`, with one `select` for each table that is always synced, or for each optional table if the query
has the header line `optional`.
"""

import json
import pathlib
import re
import sys
import textwrap

README = pathlib.Path("README.md")
QUERIES = pathlib.Path("docs/queries")
BETWEEN = re.compile(r"(<!-- tables: [^\n]*-->\n).*?(<!-- end of tables -->)", re.DOTALL)
SUBQUERY = re.compile(r"\b(all_rows|names) as \(\n(.*?)\n\)", re.DOTALL)


def main() -> None:
    tables = json.load(sys.stdin)["tables"]
    write(README, in_readme(README.read_text(encoding="utf-8"), tables))
    for path in sorted(QUERIES.glob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        if "all_rows as (" in sql:
            write(path, in_query(sql, tables))


def write(path: pathlib.Path, text: str) -> None:
    if text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8")
    print(path)


def in_readme(text: str, tables: list[dict]) -> str:
    always, optional = (
        ", ".join(f"`{table['name']}`" for table in tables if bool(table["chosen_by"]) == chosen)
        for chosen in (False, True)
    )
    listed = textwrap.fill(f"{always}; and, if turned on, {optional}.", 120, break_on_hyphens=False)
    found, number = BETWEEN.subn(lambda match: f"{match[1]}{listed}\n{match[2]}", text)
    assert number == 1, f"{README} has {number} lists of tables"
    return found


def in_query(sql: str, tables: list[dict]) -> str:
    chosen = "\n-- optional: " in sql
    tables = [table for table in tables if bool(table["chosen_by"]) == chosen]
    names = ", ".join(table["name"] for table in tables)
    for header in ("needs", "optional"):
        sql = re.sub(rf"(?m)^-- {header}: .*$", f"-- {header}: {names}", sql)
    return SUBQUERY.sub(lambda match: f"{match[1]} as (\n{selects(match[2], tables)}\n)", sql)


def selects(pattern: str, tables: list[dict]) -> str:
    """Returns the first `select` of a subquery for each table. A table without `updated` has null there."""
    first = pattern.split("\n")[0]
    name = re.search("'([a-z_]+)'", first)[1]
    lines = []
    for table in tables:
        line = first.replace(f"'{name}'", f"'{table['name']}'").replace(f"tester.{name}", f"tester.{table['name']}")
        if all(column["name"] != "updated" for column in table["columns"]):
            line = line.replace(", updated from", ", cast(null as timestamp with time zone) as updated from")
        lines.append(line)
    return "\n    union all\n".join(lines)


if __name__ == "__main__":
    main()
