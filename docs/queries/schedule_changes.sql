-- question: Which schedules were made, changed or removed lately?
-- columns: changed_at, change, flow, deployment, deployment_paused, schedule, active, schedule_id, workspace_id
-- deleted: kept, because a deletion is a change; its time is that of the sync that detected it
-- needs: flows, deployments, deployment_schedules
--
-- The last change of each schedule, newest first. `prefect deploy` on Prefect 3 may replace schedules: then an old one is
-- deleted and a new one created. A change of `updated` alone sends no row, so it can be later than shown. Prefect sets
-- `updated` some microseconds after `created`: a schedule counts as updated only from a second on.
select
    case
        when s._fivetran_deleted then s._fivetran_synced
        else greatest(s.created, s.updated)
    end as changed_at,
    case
        when s._fivetran_deleted then 'deleted'
        when s.updated > s.created + interval '1' second then 'updated'
        else 'created'
    end as change,
    f.name as flow,
    d.name as deployment,
    d.paused as deployment_paused,
    coalesce(
        s.schedule ->> 'cron',
        s.schedule ->> 'rrule',
        'every ' || (s.schedule ->> 'interval') || ' s') as schedule,
    s.active,
    s.id as schedule_id,
    s.workspace_id
from tester.deployment_schedules as s
left join tester.deployments as d on d.id = s.deployment_id
left join tester.flows as f on f.id = d.flow_id
order by changed_at desc, schedule_id
