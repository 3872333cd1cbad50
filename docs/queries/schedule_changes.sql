-- question: Which schedules were made, changed or removed lately?
-- columns: changed_at, change, flow, deployment, deployment_paused, schedule, active, schedule_id, workspace_id
-- deleted: kept, they are the answer: a deleted schedule is a change, told at the time of the sync that found it gone
-- needs: flows, deployments, deployment_schedules
--
-- The last change of each schedule, newest first. `prefect deploy` on Prefect 3 may make schedules anew: then an old
-- one is deleted and a new one created. A change of `updated` alone sends no row, so it can be later than shown.
select
    case
        when s._fivetran_deleted then s._fivetran_synced
        else greatest(s.created, s.updated)
    end as changed_at,
    case
        when s._fivetran_deleted then 'deleted'
        when s.updated > s.created then 'updated'
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
