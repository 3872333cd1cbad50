-- question: How many monthly active rows does each table make?
-- columns: month, table_name, active_rows, of_them_deletes
-- deleted: counted: marking a row as deleted makes it active, too
-- needs: flows, deployments, deployment_schedules, work_pools, work_queues, workers, flow_runs, task_runs, task_run_dependencies, artifacts, variables, automations, concurrency_limits, global_concurrency_limits, block_types, block_schemas, block_documents, server_info
--
-- An estimate: Fivetran counts each key once a month, however often it is sent. The month that is going on is exact
-- as far as the warehouse can tell; a month that is over lacks the rows that were sent again later. The first sync
-- of a connection counts here, whether or not it is charged. optional_rows has logs, events and states.
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
)
select
    cast(date_trunc('month', synced) as date) as month,
    table_name,
    count(*) as active_rows,
    sum(case when deleted then 1 else 0 end) as of_them_deletes
from all_rows
group by cast(date_trunc('month', synced) as date), table_name
order by month desc, active_rows desc, table_name
