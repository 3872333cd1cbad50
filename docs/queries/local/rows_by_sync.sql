-- question: What does a sync cost: how many rows did each send, by table?
-- columns: sync, began, outcome, table_name, rows_sent, upserts, unchanged, updates, deletes, schema_name
-- deleted: counted: a delete is a row, too; a truncate is not, since it is one operation on a table
--
-- From the log of the local run: the counts are those of the reports, also of rows that a later sync sent again.
-- rows_sent are the upserts, updates and deletes; unchanged are those upserts whose values the warehouse already had.
-- Tables without such an operation are left out. A sync that was killed, or is running, has no counts by table: it is
-- one row with its sums and without a name of a table.
with counted as (
    select
        l.sync,
        l.began,
        l.outcome,
        l.schema_name,
        t.name,
        case when t.name is null then l.upserts else cast(l.tables -> t.name ->> 'upserts' as bigint) end as upserts,
        case when t.name is null then l.unchanged else cast(l.tables -> t.name ->> 'unchanged' as bigint) end as unchanged,
        case when t.name is null then l.updates else cast(l.tables -> t.name ->> 'updates' as bigint) end as updates,
        case when t.name is null then l.deletes else cast(l.tables -> t.name ->> 'deletes' as bigint) end as deletes
    from _local_run.sync_log as l
    left join lateral (select unnest(json_keys(l.tables)) as name) as t on true
)
select
    sync,
    began,
    outcome,
    substr(name, strpos(name, '.') + 1) as table_name,
    upserts + updates + deletes as rows_sent,
    upserts,
    unchanged,
    updates,
    deletes,
    schema_name
from counted
where upserts + updates + deletes > 0
order by sync desc, rows_sent desc, table_name
