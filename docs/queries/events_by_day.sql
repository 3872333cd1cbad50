-- question: What happened in the workspace, day by day?
-- columns: day, event, events, resources, workspace_id
-- deleted: nothing is left out; events have no deletes
-- needs: events
-- optional: events
select
    cast(occurred as date) as day,
    event,
    count(*) as events,
    count(distinct resource_id) as resources,
    workspace_id
from tester.events
group by cast(occurred as date), event, workspace_id
order by day desc, events desc, event
