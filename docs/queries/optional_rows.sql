-- question: What do logs, events and the history of states cost, month by month?
-- columns: month, table_name, active_rows, of_them_deletes
-- deleted: counted; these tables have no deletes
-- needs: flow_run_state_history, events, logs
-- optional: flow_run_state_history, events, logs
--
-- As active_rows_by_month. Take out the table that you have not chosen.
with all_rows as (
    select 'flow_run_state_history' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.flow_run_state_history
    union all
    select 'events' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.events
    union all
    select 'logs' as table_name, _fivetran_synced as synced, _fivetran_deleted as deleted from tester.logs
)
select
    cast(date_trunc('month', synced) as date) as month,
    table_name,
    count(*) as active_rows,
    sum(case when deleted then 1 else 0 end) as of_them_deletes
from all_rows
group by cast(date_trunc('month', synced) as date), table_name
order by month desc, active_rows desc, table_name
