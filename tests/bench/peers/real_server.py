"""Measures syncs of a real Prefect server with PostgreSQL: `make bench-real`.

    real_server.py CONNECTOR [--runs NUMBER] [--official SDK_PYTHON CONNECTOR_FILE]

Starts the server, writes the runs into its database as copies of runs that it wrote itself, and calls the connector
with grpcio: a first sync, one in which nothing changed, one in which 84 runs changed, and another one in which nothing
changed. Each sync has a new process. With --official, the official Python connector then makes the same four syncs.
Prints a table. The CPU time of the server includes that of PostgreSQL.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import client  # noqa: E402

TABLES = ("flows", "deployments", "flow_runs")
ENDED, OPEN = 12, 2  # runs of which the others are copies
OPEN_SHARE = 500  # one copy in 500 has not ended
CHANGED = 84
TICKS = os.sysconf("SC_CLK_TCK")

# A row that the server wrote has every column of this version; ids, names and times of a copy are its own. A run is 26 s
# older than the next one. The two tables refer to each other, so references are not checked.
COPY = """
SET session_replication_role = replica;
CREATE TEMP TABLE original AS SELECT *, state_type IN ('COMPLETED', 'FAILED') AS is_over,
  row_number() OVER (PARTITION BY state_type IN ('COMPLETED', 'FAILED') ORDER BY created) - 1 AS place FROM flow_run;
CREATE TEMP TABLE copy AS SELECT n, o.id AS of, md5('run' || n)::uuid AS id, md5('state' || n)::uuid AS state_id,
  make_interval(secs => 26 * n + 86400) AS back
  FROM generate_series(1, {runs}) n JOIN original o
  ON o.is_over = (n % {open_share} <> 0) AND o.place = n % CASE WHEN o.is_over THEN {ended} ELSE {open} END;
INSERT INTO flow_run_state SELECT (jsonb_populate_record(s, jsonb_build_object('id', c.state_id, 'flow_run_id', c.id,
  'created', s.created - c.back, 'updated', s.updated - c.back, 'timestamp', s.timestamp - c.back))).*
  FROM copy c JOIN flow_run r ON r.id = c.of JOIN flow_run_state s ON s.id = r.state_id;
INSERT INTO flow_run SELECT (jsonb_populate_record(r, jsonb_build_object('id', c.id, 'state_id', c.state_id,
  'name', 'copy-' || c.n, 'created', r.created - c.back, 'updated', r.updated - c.back,
  'expected_start_time', r.expected_start_time - c.back, 'start_time', r.start_time - c.back,
  'end_time', r.end_time - c.back, 'state_timestamp', r.state_timestamp - c.back))).*
  FROM copy c JOIN flow_run r ON r.id = c.of;
ANALYZE;
"""

EXECUTE = """
import asyncio, asyncpg, sys
async def main():
    connection = await asyncpg.connect(host=sys.argv[1], user="prefect", database="postgres")
    await connection.execute(sys.stdin.read())
asyncio.run(main())
"""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("connector")
    arguments.add_argument("--runs", type=int, default=100_000)
    arguments.add_argument("--official", nargs=2, metavar=("SDK_PYTHON", "CONNECTOR_FILE"))
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # PostgreSQL does not run as root
        server = Server(pathlib.Path(folder))
        try:
            measure(asked, server, folder)
        finally:
            server.end()


def measure(asked: argparse.Namespace, server: "Server", folder: str) -> None:
    fill(server, asked.runs)
    _, sdk, _ = client.generate(str(ROOT / "proto"), folder)
    print("| connector | sync | wall s | connector CPU s | server CPU s | requests | rows |")
    print("|---|---|---:|---:|---:|---:|---:|")
    print(f"| none | the pages of runs alone | {pages_alone(server)} |", flush=True)
    syncs = Syncs(sdk, server, [asked.connector, "--port", "0"], {"api_url": server.url})
    four_syncs("ours", syncs, server)
    if asked.official:
        python, connector = asked.official
        command = [python, str(HERE / "official_connector.py"), connector, server.url]
        answers = {key: "benchmark" for key in ("api_key", "account_id", "workspace_id")}
        four_syncs("official", Syncs(sdk, server, command, answers), server)


def pages_alone(server: "Server") -> str:
    """Reads each page of runs once, one after another, in the order of an index. No sync can cost the server less."""
    cpu, requests, rows, began = server.cpu(), server.requests(), 0, time.monotonic()
    before = {}
    while True:
        body = {"sort": "EXPECTED_START_TIME_DESC", "limit": 200, "flow_runs": {"expected_start_time": before}}
        page = server.post("/flow_runs/filter", body)
        rows += len(page)
        if len(page) < 200:
            wall = time.monotonic() - began
            return f"{wall:.2f} | | {server.cpu() - cpu:.2f} | {server.requests() - requests} | {rows}"
        before = {"before_": page[-1]["expected_start_time"]}


def four_syncs(name: str, syncs: "Syncs", server: "Server") -> None:
    for sync in ("first", "nothing changed", f"{CHANGED} runs changed", "nothing changed"):
        if "runs" in sync:
            change(server)
        print(f"| {name} | {sync} | {syncs.sync()} |", flush=True)


def fill(server: "Server", runs: int) -> None:
    flow = server.post("/flows/", {"name": "load"})["id"]
    server.post("/deployments/", {"name": "hourly", "flow_id": flow})
    for number in range(ENDED + OPEN):
        states = ["PENDING", "RUNNING"] + (["FAILED" if number % 6 == 5 else "COMPLETED"] if number < ENDED else [])
        run = server.post(
            "/flow_runs/",
            {
                "flow_id": flow,
                "parameters": {"day": "2026-11-21", "limit": number, "tables": ["orders", "customers"]},
                "tags": ["nightly", f"team-{number % 3}"],
                "labels": {"region": "eu"},
                "state": {"type": "SCHEDULED"},
            },
        )["id"]
        for kind in states:
            state = {"type": kind, "message": "Finished in state " + kind.title()}
            server.post(f"/flow_runs/{run}/set_state", {"state": state, "force": True})
    server.sql(COPY.format(runs=runs, open_share=OPEN_SHARE, ended=ENDED, open=OPEN))


def change(server: "Server") -> None:
    """Ends runs that the server itself creates now, as its clients do."""
    flow = server.post("/flows/", {"name": "load"})["id"]
    for _ in range(CHANGED):
        run = server.post("/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})["id"]
        for kind in ("RUNNING", "COMPLETED"):
            server.post(f"/flow_runs/{run}/set_state", {"state": {"type": kind}, "force": True})


class Server:
    """A Prefect server with a private PostgreSQL, and the log of its requests."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.postgres = folder / "prefect" / "postgres"
        self.log = folder / "server.log"
        environment = dict(os.environ, DATABASE="postgres", UNTIL_EOF="1", UVICORN_LOG_LEVEL="info")
        command = [ROOT / "scripts" / "prefect-server.sh", "run", "3", "0", folder / "prefect"]
        # The log of requests is standard output, after the line with the address.
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=self.log.open("w"), stderr=subprocess.STDOUT
        )
        self.url = self.wait_for_url()
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=60).read()
                return
            except OSError:
                self.check()

    def wait_for_url(self) -> str:
        while True:
            found = re.search(r"^(http://\S+/api)$", self.log.read_text(), re.MULTILINE)
            if found:
                return found[1]
            self.check()

    def check(self) -> None:
        if self.process.poll() is not None:
            raise SystemExit("the server ended:\n" + self.log.read_text()[-2000:])
        time.sleep(0.1)

    def post(self, path: str, body: dict) -> dict:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def sql(self, statements: str) -> None:
        """Runs statements with the database client that Prefect is installed with."""
        venv = subprocess.check_output([ROOT / "scripts" / "prefect-server.sh", "install", "3"], text=True).strip()
        subprocess.run([f"{venv}/bin/python", "-c", EXECUTE, self.postgres], input=statements, text=True, check=True)

    def requests(self) -> int:
        return self.log.read_text().count(" HTTP/1.1")

    def cpu(self) -> float:
        """The CPU seconds of the server and of PostgreSQL, with their ended processes."""
        postmaster = int((self.postgres / "data" / "postmaster.pid").read_text().split()[0])
        processes = tree(self.process.pid) + tree(postmaster)
        return sum(cpu_of(pid, with_children=pid == postmaster) for pid in processes)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


class Syncs:
    """Syncs of one connector, each in a new process that continues from the last state."""

    def __init__(self, sdk, server: Server, command: list, configuration: dict):
        self.sdk, self.server, self.command = sdk, server, command
        selected = [sdk.TableSelection(included=True, table_name=name, include_new_columns=True) for name in TABLES]
        selection = sdk.Selection(without_schema=sdk.TablesWithNoSchema(tables=selected))
        self.request = sdk.UpdateRequest(configuration=configuration, selection=selection, state_json="{}")

    def sync(self) -> str:
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = next(found[1] for line in process.stdout if (found := re.search(r"listening port=(\d+)", line)))
        # A connector whose log is not read would stop.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        cpu, requests, rows, began = self.server.cpu(), self.server.requests(), 0, time.monotonic()
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", client.LARGEST_MESSAGE)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            update = channel.unary_stream(
                "/fivetran_sdk.v2.SourceConnector/Update",
                request_serializer=self.sdk.UpdateRequest.SerializeToString,
                response_deserializer=self.sdk.UpdateResponse.FromString,
            )
            for message in update(self.request):
                rows += len(message.records.records) + message.HasField("record")
                if message.HasField("checkpoint"):
                    self.request.state_json = message.checkpoint.state_json
                if message.HasField("task"):
                    raise SystemExit(f"the sync failed: {message.task.message}")
        wall = time.monotonic() - began
        own = sum(cpu_of(pid) for pid in tree(process.pid))
        process.terminate()
        process.wait(30)
        server = self.server.cpu() - cpu
        return f"{wall:.2f} | {own:.2f} | {server:.2f} | {self.server.requests() - requests} | {rows}"


def tree(pid: int) -> list:
    """The process and its descendants."""
    children = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [pid] + [each for file in children for child in file.read_text().split() for each in tree(int(child))]


def cpu_of(pid: int, with_children: bool = False) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11 : 15 if with_children else 13]) / TICKS


main()
