#!/usr/bin/env bash
# Runs three example queries on the warehouse of `make demo`.
#
#   scripts/demo-queries.sh COMMAND...     COMMAND runs the executable
set -euo pipefail

query() {
  echo
  echo "-- $1"
  "${COMMAND[@]}" query --demo "$2"
}

COMMAND=("$@")

query "Flows with the most runs, and their failed runs" \
  "SELECT f.name AS flow, count(*) AS runs, count(*) FILTER (r.state_type = 'FAILED') AS failed
   FROM tester.flow_runs r JOIN tester.flows f ON f.id = r.flow_id
   WHERE NOT r._fivetran_deleted GROUP BY ALL ORDER BY runs DESC, flow LIMIT 5"

query "Durations of flow runs by state" \
  "SELECT state_type, count(*) AS runs, round(avg(total_run_time), 1) AS mean_seconds,
     round(quantile_cont(total_run_time, 0.95), 1) AS p95_seconds
   FROM tester.flow_runs WHERE NOT _fivetran_deleted GROUP BY ALL ORDER BY runs DESC, state_type"

query "Deployments and their schedules" \
  "SELECT d.name AS deployment, d.paused, json_array_length(d.schedules) AS schedules,
     d.schedule ->> 'cron' AS first_cron
   FROM tester.deployments d WHERE NOT d._fivetran_deleted ORDER BY schedules DESC, deployment LIMIT 5"
