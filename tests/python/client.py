"""An independent client of the connector: Google's gRPC, with code generated from proto/.

    client.py EXECUTABLE PROTO_FOLDER CONFIGURATION_JSON

Starts the executable, makes the calls that Fivetran makes, and prints the results as one JSON object on
standard output. The client checks nothing: tests/it/python_client.rs does.
"""

import importlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

import grpc
from grpc_tools import protoc

LARGEST_MESSAGE = 128 * 1024 * 1024
UNSELECTED_TABLE = "deployments"
UNSELECTED_COLUMN = ("flow_runs", "parameters")
# Bits of grpc.compression_enabled_algorithms_bitset: 0 identity, 1 deflate, 2 gzip.
IDENTITY_ONLY, WITH_GZIP = 0b001, 0b101


def main() -> None:
    executable, protos, configuration = sys.argv[1:]
    configuration = json.loads(configuration)
    with tempfile.TemporaryDirectory() as generated:
        common, sdk, services = generate(protos, generated)
        server, port, first_line = start(executable)
        try:
            seen = drive(common, sdk, services, port, configuration)
        finally:
            server.terminate()
            log, _ = server.communicate()
        seen["exit_code"] = server.returncode
        seen["log_lines"] = (first_line + log.decode()).splitlines()
    print(json.dumps(seen))


def generate(protos: str, into: str) -> tuple:
    files = [path.name for path in sorted(pathlib.Path(protos).glob("*.proto"))]
    includes = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{protos}", f"-I{includes}"]
    if protoc.main(arguments + [f"--python_out={into}", f"--grpc_python_out={into}", *files]) != 0:
        raise SystemExit("protoc refuses the protocol files")
    sys.path.insert(0, into)
    names = ("common_pb2", "connector_sdk_pb2", "connector_sdk_pb2_grpc")
    return tuple(importlib.import_module(name) for name in names)


def start(executable: str) -> tuple:
    """Starts the executable, and returns its process, its port, and the log line with the port."""
    # The system chooses the port: a free port chosen in advance might be taken in between.
    server = subprocess.Popen(
        [executable, "--port", "0"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    first = server.stdout.readline().decode()
    port = re.search(r"port=(\d+)", json.loads(first)["message"] if first else "")
    if not port:
        server.kill()
        raise SystemExit(f"the executable does not say where it listens: {first}")
    return server, int(port.group(1)), first


def drive(common, sdk, services, port, configuration) -> dict:
    with connect(port, WITH_GZIP) as channel:
        stub = services.SourceConnectorStub(channel)
        form = stub.ConfigurationForm(common.ConfigurationFormRequest())
        schema = stub.Schema(sdk.SchemaRequest(configuration=configuration))
        tables = schema.without_schema.tables
        wrong = dict(configuration, api_url="http://127.0.0.1:9/api")
        seen = {
            "form": {
                "fields": [field.name for field in form.fields],
                "tests": [test.name for test in form.tests],
                "table_selection_supported": form.table_selection_supported,
            },
            "tests": {test.name: run_test(stub, common, test.name, configuration) for test in form.tests},
            "tests_of_a_wrong_url": {test.name: run_test(stub, common, test.name, wrong) for test in form.tests},
            "schema": {table.name: described(common, table) for table in tables},
            "selection_not_supported": schema.selection_not_supported,
        }
        everything = sdk.UpdateRequest(configuration=configuration)
        seen["everything"] = Update(stub, seen["schema"]).run(everything)
        selected = sdk.UpdateRequest(configuration=configuration, selection=selection(sdk, tables))
        seen["selected"] = Update(stub, seen["schema"]).run(selected)
        state = seen["everything"]["last_state"]
        again = sdk.UpdateRequest(configuration=configuration, state_json=state)
        seen["again"] = Update(stub, seen["schema"]).run(again)
    seen["bytes"] = {
        "plain": received_bytes(services, port, IDENTITY_ONLY, everything),
        "gzip": received_bytes(services, port, WITH_GZIP, everything),
    }
    return seen


def connect(port: int, compression: int) -> grpc.Channel:
    options = [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.compression_enabled_algorithms_bitset", compression),
        ("grpc.enable_http_proxy", 0),
    ]
    # Requests are compressed, too, so the connector must accept that.
    asked = grpc.Compression.Gzip if compression == WITH_GZIP else grpc.Compression.NoCompression
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options, compression=asked)
    grpc.channel_ready_future(channel).result(timeout=60)
    return channel


def run_test(stub, common, name: str, configuration: dict):
    answer = stub.Test(common.TestRequest(name=name, configuration=configuration))
    return answer.failure if answer.WhichOneof("response") == "failure" else answer.success


def described(common, table) -> dict:
    return {
        "columns": {column.name: common.DataType.Name(column.type) for column in table.columns},
        "key": [column.name for column in table.columns if column.primary_key],
    }


def selection(sdk, tables):
    chosen = []
    for table in tables:
        columns = {
            column.name: (table.name, column.name) != UNSELECTED_COLUMN for column in table.columns
        }
        chosen.append(
            sdk.TableSelection(
                included=table.name != UNSELECTED_TABLE,
                table_name=table.name,
                columns=columns,
                include_new_columns=True,
            )
        )
    return sdk.Selection(
        without_schema=sdk.TablesWithNoSchema(tables=chosen, include_new_tables=True)
    )


class Update:
    """Runs one sync and records its messages."""

    def __init__(self, stub, schema: dict):
        self.stub, self.schema = stub, schema
        self.seen = {
            "records": {},
            "columns": {},
            "largest_batch": 0,
            "checkpoints": 0,
            "checkpoints_not_json": [],
            "records_after_last_checkpoint": 0,
            "last_state": None,
            "wrong_types": [],
            "warnings": [],
            "tasks": [],
        }

    def run(self, request) -> dict:
        for message in self.stub.Update(request):
            kind = message.WhichOneof("operation")
            getattr(self, kind)(getattr(message, kind))
        self.seen["columns"] = {table: sorted(names) for table, names in self.seen["columns"].items()}
        return self.seen

    def records(self, batch) -> None:
        self.seen["largest_batch"] = max(self.seen["largest_batch"], len(batch.records))
        for record in batch.records:
            self.record(record)

    def record(self, record) -> None:
        table = record.table_name
        # 0 upsert, 1 update, 2 delete, 3 truncate
        counts = self.seen["records"].setdefault(table, [0, 0, 0, 0])
        counts[record.type] += 1
        self.seen["records_after_last_checkpoint"] += 1
        if record.type != 0:
            return
        names = self.seen["columns"].setdefault(table, set(record.data))
        if names != set(record.data):
            self.seen["wrong_types"].append(f"{table}: not every row has the same columns")
        declared = self.schema[table]["columns"]
        for name, value in record.data.items():
            inner = value.WhichOneof("inner")
            wanted = {"BOOLEAN": "bool"}.get(declared.get(name, "?"), declared.get(name, "?").lower())
            if inner not in (wanted, "null"):
                self.seen["wrong_types"].append(f"{table}.{name}: {inner} instead of {wanted}")

    def checkpoint(self, checkpoint) -> None:
        self.seen["checkpoints"] += 1
        self.seen["records_after_last_checkpoint"] = 0
        self.seen["last_state"] = checkpoint.state_json
        try:
            if not isinstance(json.loads(checkpoint.state_json), dict):
                raise ValueError("not an object")
        except ValueError:
            self.seen["checkpoints_not_json"].append(checkpoint.state_json[:200])

    def schema_change(self, _) -> None:
        self.seen["warnings"].append("a schema change")

    def warning(self, warning) -> None:
        self.seen["warnings"].append(warning.message)

    def task(self, task) -> None:
        self.seen["tasks"].append(task.message)


def received_bytes(services, port: int, compression: int, request) -> int:
    """Returns the number of bytes that one sync sends to the client, counted on the wire.

    gRPC's Python API does not report whether a response was compressed.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    counted = [0]
    threading.Thread(target=relay, args=(listener, port, counted), daemon=True).start()
    with connect(listener.getsockname()[1], compression) as channel:
        for _ in services.SourceConnectorStub(channel).Update(request):
            pass
    listener.close()
    return counted[0]


def relay(listener: socket.socket, port: int, counted: list) -> None:
    client, _ = listener.accept()
    upstream = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=pump, args=(client, upstream, [0]), daemon=True).start()
    pump(upstream, client, counted)


def pump(source: socket.socket, sink: socket.socket, counted: list) -> None:
    try:
        while data := source.recv(65536):
            counted[0] += len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


if __name__ == "__main__":
    main()
