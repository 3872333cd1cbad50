// A small source connector, built from proto/ and gRPC alone: node connector.js PROTO_FOLDER PORT [FAULT].
//
// The connector sends one table in batches with a checkpoint after each, and honours a selection. It behaves
// correctly unless a fault is named.
'use strict';

const path = require('node:path');

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [folder, port, fault = 'none'] = process.argv.slice(2);
const ROWS = 250;
const BATCH = fault === 'batch' ? 101 : 50;
const COLUMNS = { id: 'LONG', name: 'STRING', score: 'DOUBLE', tags: 'JSON' };

function log(level, message) {
  console.log(JSON.stringify({ level, message, 'message-origin': 'sdk_connector' }));
}

function row(at, wanted) {
  const data = {
    id: { long: at },
    name: { string: `item ${at}` },
    score: { double: at / 3 },
    tags: { json: JSON.stringify(['a', at]) },
  };
  if (fault === 'type' && at === 7) data.score = { string: 'many' };
  for (const name of Object.keys(data)) {
    if (name !== 'id' && !wanted(name)) delete data[name];
  }
  return { table_name: 'items', type: 'UPSERT', data };
}

// Returns a filter of the columns of the only table, or null if that table must not be sent.
function wantedColumns(selection) {
  const tables = selection && selection.without_schema;
  if (!tables) return () => true;
  const choice = tables.tables.find((table) => table.table_name === 'items');
  if (!choice) return tables.include_new_tables ? () => true : null;
  if (!choice.included) return null;
  return (name) => (name in choice.columns ? choice.columns[name] : choice.include_new_columns);
}

const calls = {
  ConfigurationForm(call, answer) {
    answer(null, { schema_selection_supported: true, table_selection_supported: true });
  },
  Test(call, answer) {
    answer(null, { success: true });
  },
  Schema(call, answer) {
    const columns = Object.entries(COLUMNS).map(([name, type]) => ({ name, type, primary_key: name === 'id' }));
    const tables = [{ name: 'items', columns }];
    answer(null, { without_schema: { tables }, selection_not_supported: false });
  },
  Update(call) {
    const state = JSON.parse(call.request.state_json || '{}');
    const wanted = wantedColumns(call.request.selection);
    let done = state.done || 0;
    while (wanted && done < ROWS) {
      const next = Math.min(done + BATCH, ROWS);
      const records = [];
      for (let at = done; at < next; at += 1) records.push(row(at, wanted));
      call.write({ records: { records } });
      done = next;
      // With the fault `ahead`, the checkpoint covers the batch that is sent next.
      const stands = fault === 'ahead' ? done + BATCH : done;
      call.write({ checkpoint: { state_json: JSON.stringify({ done: stands }) } });
    }
    if (fault === 'log') console.log('synced');
    log('INFO', 'synced');
    call.end();
  },
};

const definition = loader.loadSync(path.join(folder, 'connector_sdk.proto'), {
  keepCase: true,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [folder],
});
const server = new grpc.Server();
server.addService(grpc.loadPackageDefinition(definition).fivetran_sdk.v2.SourceConnector.service, calls);
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  log('INFO', `listening on ${port}`);
});
process.on('SIGTERM', () => server.tryShutdown(() => process.exit(0)));
