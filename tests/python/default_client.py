"""Calls the connector as a client with default settings does, and reports how its syncs end.

    default_client.py EXECUTABLE PROTOS CONFIGURATION

Prints one JSON object: bytes received with gzip offered and with gzip enabled, the last line of the log for each way in
which a sync ends, the seconds until the process ends while a reader stalls, the statuses of the health service, and the
peak memory for a compressed request that is large once unpacked.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import grpc

from client import LARGEST_MESSAGE, WITH_GZIP, generate, received_bytes

FLOW_RUNS = "flow_runs"
ARTIFACTS = "artifacts"


class Connector:
    """The running executable, its log and a channel to it."""

    def __init__(self, executable: str, **variables):
        self.process = subprocess.Popen(
            [executable, "--port", "0"],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=os.environ | variables,
        )
        self.log, self.changed = [], threading.Condition()
        threading.Thread(target=self._read_log, daemon=True).start()
        first = self.wait_for("listening")
        self.port = int(first.split("port=")[1].split()[0])

    def _read_log(self) -> None:
        for line in self.process.stdout:
            with self.changed:
                self.log.append(json.loads(line)["message"])
                self.changed.notify_all()

    def wait_for(self, text: str) -> str:
        """Returns the first line of the log that contains the text, once there is one."""
        with self.changed:
            found = self.changed.wait_for(lambda: next((line for line in self.log if text in line), None), 60)
        if not found:
            raise SystemExit(f"not in the log: {text}: {self.log}")
        return found

    def channel(self, **options) -> grpc.Channel:
        options = [(f"grpc.{name}", value) for name, value in options.items()]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", [("grpc.enable_http_proxy", 0), *options])

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def main() -> None:
    executable, protos, configuration = sys.argv[1:]
    with tempfile.TemporaryDirectory() as generated:
        modules = generate(protos, generated)
        print(json.dumps(Cases(executable, modules, json.loads(configuration)).run()))


class Cases:
    def __init__(self, executable: str, modules: tuple, configuration: dict):
        self.executable = executable
        self.common, self.sdk, self.services = modules
        self.configuration = configuration
        self.log = {}

    def request(self, table: str, state=None, **answers):
        tables = [self.sdk.TableSelection(included=True, table_name=table, include_new_columns=True)]
        selection = self.sdk.Selection(without_schema=self.sdk.TablesWithNoSchema(tables=tables))
        configuration = self.configuration | answers
        return self.sdk.UpdateRequest(configuration=configuration, selection=selection, state_json=state)

    @contextlib.contextmanager
    def connector(self, **variables):
        connector = Connector(self.executable, **variables)
        try:
            yield connector
        finally:
            connector.process.kill()

    def update(self, channel: grpc.Channel, request):
        return self.services.SourceConnectorStub(channel).Update(request)

    def run(self) -> dict:
        seen = {"bytes": self.bytes()}
        self.complete()
        self.cancelled()
        seen |= self.rejected()
        self.failed()
        seen["stalled"] = self.stalled()
        seen["health"] = self.health()
        seen["inflated_request"] = self.inflated_request()
        return seen | {"log": self.log}

    def bytes(self) -> dict:
        counted = {}
        for name, variables in [("offered", {}), ("enabled", {"FIVETRAN_SOURCE_COMPRESS_RESPONSES": "true"})]:
            with self.connector(**variables) as connector:
                request = self.request(FLOW_RUNS)
                counted[name] = received_bytes(self.services, connector.port, WITH_GZIP, request)
        return counted

    def complete(self) -> None:
        with self.connector() as connector, connector.channel() as channel:
            for _ in self.update(channel, self.request(FLOW_RUNS)):
                pass
            self.log["complete"] = connector.wait_for("sync succeeded")

    def cancelled(self) -> None:
        with self.connector() as connector, connector.channel() as channel:
            call = self.update(channel, self.request(FLOW_RUNS))
            next(call)
            call.cancel()
            self.log["cancelled"] = connector.wait_for("sync cancelled")

    def rejected(self) -> dict:
        """A row that is larger than the messages that clients accept by default."""
        with self.connector() as connector, connector.channel() as channel:
            try:
                for _ in self.update(channel, self.request(ARTIFACTS)):
                    pass
                code = None
            except grpc.RpcError as error:
                code = error.code().name
            self.log["rejected"] = connector.wait_for("sync cancelled")
            return {"rejected_with": code, "large_row": connector.wait_for("the row with id")}

    def failed(self) -> None:
        with self.connector() as connector, connector.channel() as channel:
            url = self.configuration["api_url"] + "/absent"
            with contextlib.suppress(grpc.RpcError):
                for _ in self.update(channel, self.request(FLOW_RUNS, api_url=url)):
                    pass
            self.log["failed"] = connector.wait_for("sync failed:")

    def stalled(self) -> dict:
        """SIGTERM while a reader stalls; then another sync continues from the last state."""
        with self.connector() as connector:
            # With a window of fixed size the first page fills what the client buffers without reading.
            options = {"max_receive_message_length": LARGEST_MESSAGE, "http2.bdp_probe": 0}
            with connector.channel(**options) as channel:
                call = self.update(channel, self.request(FLOW_RUNS))
                received = [next(call)]
                began = time.monotonic()
                code = connector.end()
                seconds = time.monotonic() - began
                with contextlib.suppress(grpc.RpcError):
                    received.extend(call)
            self.log["stalled"] = connector.wait_for("sync ended with")
        states = [message.checkpoint.state_json for message in received if message.HasField("checkpoint")]
        with self.connector() as connector, connector.channel() as channel:
            received += self.update(channel, self.request(FLOW_RUNS, states[-1] if states else None))
        rows = {
            record.data["id"].string
            for message in received
            for record in message.records.records
            if record.table_name == FLOW_RUNS and record.type == 0
        }
        return {"seconds": seconds, "exit_code": code, "rows": len(rows)}

    def health(self) -> list:
        """The statuses that a watcher of the service's health receives until the process ends."""
        with self.connector() as connector, connector.channel() as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
            name = b"fivetran_sdk.v2.SourceConnector"
            statuses = watch(b"\x0a" + bytes([len(name)]) + name)
            seen = [next(statuses)]
            connector.process.terminate()
            with contextlib.suppress(grpc.RpcError):
                seen.extend(statuses)
        return [{b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING"}.get(status, repr(status)) for status in seen]

    def inflated_request(self) -> dict:
        """A compressed request whose state is 120 MiB of one letter."""
        with self.connector() as connector, connector.channel(max_send_message_length=LARGEST_MESSAGE) as channel:
            request = self.request(FLOW_RUNS, "x" * (120 << 20))
            stub = self.services.SourceConnectorStub(channel)
            try:
                list(stub.Update(request, compression=grpc.Compression.Gzip))
                code = None
            except grpc.RpcError as error:
                code = error.code().name
            return {"code": code, "peak_megabytes": peak_megabytes(connector.process.pid)}


def peak_megabytes(process: int) -> float:
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no peak memory in /proc")


if __name__ == "__main__":
    main()
