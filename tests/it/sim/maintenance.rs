//! Random changes of flows and deployments, and of everything that is removed with them.

use prefect_fake::{
    Collection, NewDeployment,
    model::{Json, Rule, Schedule},
};
use rand::Rng;

use super::world::World;

impl World {
    pub(super) fn new_flow(&mut self) {
        let name = self.name("flow");
        let (id, _) = self.store.create_flow(&name, &[], Json::object());
        self.note(Collection::Flows, id, "created");
    }

    pub(super) fn tag_flow(&mut self) {
        let Some(id) = self.pick_flow() else { return };
        let tag = self.name("tag");
        self.store.set_flow_tags(id, vec![tag]).expect("is there");
        self.note(Collection::Flows, id, "tagged");
    }

    pub(super) fn delete_flow(&mut self) {
        let Some(id) = self.pick_flow() else { return };
        self.store.delete_flow(id).expect("is there");
        self.bury("with its flow", false);
    }

    /// Creates a deployment, sometimes with the name of an existing one, which it replaces.
    pub(super) fn new_deployment(&mut self) {
        let Some(flow) = self.pick_flow() else { return };
        let mut name = self.name("deployment");
        if self.rng.random_bool(0.3)
            && let Some(old) = self.store.deployments().find(|old| old.flow_id == flow)
        {
            name.clone_from(&old.name);
        }
        let mut new = NewDeployment::new(flow, &name);
        new.schedules = vec![self.schedule()];
        new.version = Some(self.name("version"));
        let (id, _) = self.store.create_deployment(new).expect("has its flow");
        self.note(Collection::Deployments, id, "deployed");
        self.bury("with the old deployment", false);
    }

    fn schedule(&mut self) -> Schedule {
        let now = self.store.now();
        Schedule {
            id: self.store.new_id(),
            created: now,
            updated: now,
            rule: Rule::Cron {
                cron: format!("{} 0 * * *", self.rng.random_range(0..60)),
                timezone: "UTC".to_owned(),
            },
            active: true,
            parameters: Json::object(),
            slug: None,
        }
    }

    pub(super) fn edit_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        let text = self.name("described");
        self.store
            .edit_deployment(id, |deployment| deployment.description = Some(text))
            .expect("is there");
        self.note(Collection::Deployments, id, "edited");
    }

    pub(super) fn edit_schedules(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        let new = self.schedule();
        self.store
            .edit_schedules(id, |schedules| {
                schedules.truncate(1);
                schedules.insert(0, new);
            })
            .expect("is there");
        self.note(Collection::Deployments, id, "another schedule");
        self.bury("with its schedule", false);
    }

    pub(super) fn pause_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        let paused = self.rng.random_bool(0.5);
        self.store.set_paused(id, paused).expect("is there");
        self.note(Collection::Deployments, id, "paused or resumed");
        self.bury("with the pause", false);
    }

    pub(super) fn poll_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        self.store.poll_deployment(id).expect("is there");
        self.note(Collection::Deployments, id, "polled");
    }

    pub(super) fn delete_deployment(&mut self) {
        let Some(id) = self.pick_deployment() else {
            return;
        };
        self.store.delete_deployment(id).expect("is there");
        self.bury("with its deployment", false);
    }
}
