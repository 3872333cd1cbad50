-- question: Which deployments make no runs by themselves any more?
-- columns: flow, deployment, why, schedules, active_schedules, last_run_expected, last_run_state, updated, deployment_id, workspace_id
-- deleted: deleted deployments, schedules and runs are left out
-- needs: flows, deployments, deployment_schedules, flow_runs
--
-- why: `paused` (the whole deployment), or `no active schedule` (it has schedules, all switched off). Deployments
-- that never had a schedule are not meant to run by themselves and are left out, unless they are paused.
with schedules as (
    select
        deployment_id,
        count(*) as schedules,
        sum(case when active then 1 else 0 end) as active_schedules
    from tester.deployment_schedules
    where not _fivetran_deleted
    group by deployment_id
),
last_runs as (
    select
        deployment_id,
        expected_start_time,
        state_type,
        row_number() over (partition by deployment_id order by start_time desc, id desc) as from_last
    from tester.flow_runs
    where not _fivetran_deleted and start_time is not null
)
select
    f.name as flow,
    d.name as deployment,
    case
        when d.paused or not coalesce(d.is_schedule_active, true) then 'paused'
        else 'no active schedule'
    end as why,
    coalesce(s.schedules, 0) as schedules,
    coalesce(s.active_schedules, 0) as active_schedules,
    r.expected_start_time as last_run_expected,
    r.state_type as last_run_state,
    d.updated,
    d.id as deployment_id,
    d.workspace_id
from tester.deployments as d
left join tester.flows as f on f.id = d.flow_id
left join schedules as s on s.deployment_id = d.id
left join last_runs as r on r.deployment_id = d.id and r.from_last = 1
where not d._fivetran_deleted
    and (
        d.paused
        or not coalesce(d.is_schedule_active, true)
        or (s.schedules > 0 and s.active_schedules = 0)
    )
order by d.updated desc, deployment_id
