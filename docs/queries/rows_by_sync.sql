-- question: What does a sync cost: how many rows did each land, by table?
-- columns: sync, first_row, last_row, table_name, rows_landed, of_them_deletes
-- deleted: counted: marking a row as deleted lands it, too
-- needs: flows, deployments, deployment_schedules, work_pools, work_queues, workers, flow_runs, task_runs, task_run_dependencies, artifacts, variables, automations, concurrency_limits, global_concurrency_limits, block_types, block_schemas, block_documents, server_info
--
-- Rows that landed less than ten minutes after others belong to the same sync (the warehouse does not number them).
-- A row stands only once, at its last landing, so an earlier sync shows what no later one sent again. A sync that
-- found nothing new landed nothing and is not here. optional_rows has logs, events and the history of states.
with all_rows as (
    select 'flows' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.flows
    union all
    select 'deployments' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.deployments
    union all
    select 'deployment_schedules' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.deployment_schedules
    union all
    select 'work_pools' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.work_pools
    union all
    select 'work_queues' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.work_queues
    union all
    select 'workers' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.workers
    union all
    select 'flow_runs' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.flow_runs
    union all
    select 'task_runs' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.task_runs
    union all
    select 'task_run_dependencies' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.task_run_dependencies
    union all
    select 'artifacts' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.artifacts
    union all
    select 'variables' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.variables
    union all
    select 'automations' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.automations
    union all
    select 'concurrency_limits' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.concurrency_limits
    union all
    select 'global_concurrency_limits' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.global_concurrency_limits
    union all
    select 'block_types' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.block_types
    union all
    select 'block_schemas' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.block_schemas
    union all
    select 'block_documents' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.block_documents
    union all
    select 'server_info' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.server_info
),
landed as (
    select table_name, deleted, synced, date_trunc('minute', synced) as synced_minute
    from all_rows
),
minutes as (
    select
        synced_minute,
        case
            when synced_minute - lag(synced_minute) over (order by synced_minute) <= interval '10' minute then 0
            else 1
        end as is_first
    from (select distinct synced_minute from landed) as distinct_minutes
),
syncs as (
    select synced_minute, sum(is_first) over (order by synced_minute rows unbounded preceding) as sync
    from minutes
)
select
    s.sync,
    min(l.synced) as first_row,
    max(l.synced) as last_row,
    l.table_name,
    count(*) as rows_landed,
    sum(case when l.deleted then 1 else 0 end) as of_them_deletes
from landed as l
inner join syncs as s on s.synced_minute = l.synced_minute
group by s.sync, l.table_name
order by s.sync desc, rows_landed desc, l.table_name
