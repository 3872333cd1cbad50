-- question: How fresh is each table?
-- columns: table_name, live_rows, deleted_rows, last_landed, hours_since_landed, last_updated
-- deleted: deleted rows are counted apart; their landing counts
-- needs: flows, deployments, deployment_schedules, work_pools, work_queues, workers, flow_runs, task_runs, task_run_dependencies, artifacts, variables, automations, concurrency_limits, global_concurrency_limits, block_types, block_schemas, block_documents, server_info
--
-- last_landed is when the last row came, last_updated when Prefect last changed one. A sync sends nothing where
-- nothing changed: flow_runs that are hours old in a busy workspace are a warning, old variables are not. An empty
-- table has no times.
with all_rows as (
    select 'flows' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.flows
    union all
    select 'deployments' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.deployments
    union all
    select 'deployment_schedules' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.deployment_schedules
    union all
    select 'work_pools' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.work_pools
    union all
    select 'work_queues' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.work_queues
    union all
    select 'workers' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.workers
    union all
    select 'flow_runs' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.flow_runs
    union all
    select 'task_runs' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.task_runs
    union all
    select 'task_run_dependencies' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, cast(null as timestamp with time zone) as updated from tester.task_run_dependencies
    union all
    select 'artifacts' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.artifacts
    union all
    select 'variables' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.variables
    union all
    select 'automations' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.automations
    union all
    select 'concurrency_limits' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.concurrency_limits
    union all
    select 'global_concurrency_limits' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.global_concurrency_limits
    union all
    select 'block_types' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.block_types
    union all
    select 'block_schemas' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.block_schemas
    union all
    select 'block_documents' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, updated from tester.block_documents
    union all
    select 'server_info' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted, cast(null as timestamp with time zone) as updated from tester.server_info
),
names as (
    select 'flows' as table_name
    union all
    select 'deployments' as table_name
    union all
    select 'deployment_schedules' as table_name
    union all
    select 'work_pools' as table_name
    union all
    select 'work_queues' as table_name
    union all
    select 'workers' as table_name
    union all
    select 'flow_runs' as table_name
    union all
    select 'task_runs' as table_name
    union all
    select 'task_run_dependencies' as table_name
    union all
    select 'artifacts' as table_name
    union all
    select 'variables' as table_name
    union all
    select 'automations' as table_name
    union all
    select 'concurrency_limits' as table_name
    union all
    select 'global_concurrency_limits' as table_name
    union all
    select 'block_types' as table_name
    union all
    select 'block_schemas' as table_name
    union all
    select 'block_documents' as table_name
    union all
    select 'server_info' as table_name
)
select
    n.table_name,
    sum(case when not a.deleted then 1 else 0 end) as live_rows,
    sum(case when a.deleted then 1 else 0 end) as deleted_rows,
    max(a.synced) as last_landed,
    round((extract(epoch from current_timestamp) - extract(epoch from max(a.synced))) / 3600, 1) as hours_since_landed,
    max(a.updated) as last_updated
from names as n
left join all_rows as a on a.table_name = n.table_name
group by n.table_name
order by hours_since_landed desc, n.table_name
