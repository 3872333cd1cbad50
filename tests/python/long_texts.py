"""A connector that sends rows with long random texts, with a checkpoint after every 50 rows.

    long_texts.py PROTO_FOLDER PORT ROWS BYTES
"""

import base64
import concurrent.futures
import os
import sys
import tempfile

import grpc

from client import generate

CHECKPOINT_ROWS = 50


def main() -> None:
    protos, port, rows, size = sys.argv[1:]
    with tempfile.TemporaryDirectory() as generated:
        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)]
        )
        serve(server, generate(protos, generated), int(rows), int(size))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        server.wait_for_termination()


def serve(server: grpc.Server, modules: tuple, rows: int, size: int) -> None:
    common, sdk, services = modules

    class Connector(services.SourceConnectorServicer):
        def ConfigurationForm(self, request, context):
            return common.ConfigurationFormResponse(schema_selection_supported=True, table_selection_supported=True)

        def Test(self, request, context):
            return common.TestResponse(success=True)

        def Schema(self, request, context):
            key = common.Column(name="id", type=common.LONG, primary_key=True)
            text = common.Column(name="text", type=common.STRING)
            table = common.Table(name="texts", columns=[key, text])
            return sdk.SchemaResponse(without_schema=common.TableList(tables=[table]))

        def Update(self, request, context):
            for row in range(1, rows + 1):
                text = base64.b64encode(os.urandom(size * 3 // 4)).decode()
                data = {"id": common.ValueType(long=row), "text": common.ValueType(string=text)}
                record = sdk.Record(table_name="texts", type=common.UPSERT, data=data)
                yield sdk.UpdateResponse(record=record)
                if row % CHECKPOINT_ROWS == 0:
                    yield sdk.UpdateResponse(checkpoint=sdk.Checkpoint(state_json=f'{{"rows": {row}}}'))

    services.add_SourceConnectorServicer_to_server(Connector(), server)


if __name__ == "__main__":
    main()
