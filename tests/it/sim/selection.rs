//! The user's selection of tables and columns, and its later changes.

use fivetran_source::sync::SelectedTable;
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

use super::simulation_harness::SimulationHarness;
use crate::support::core_tables;

impl SimulationHarness {
    /// Deselects a random table or column, or selects it again.
    pub(super) fn choose_otherwise(&mut self, rng: &mut SmallRng) {
        let table = *core_tables().choose(rng).expect("some tables");
        if rng.random_bool(0.5) {
            self.switch_table(table.name);
        } else {
            let id = table.position("id");
            let column = rng.random_range(0..table.columns.len());
            if Some(column) != id {
                self.switch_column(table.name, column);
            }
        }
    }

    /// Deselects a table unless it is the last one, or selects it again.
    pub(super) fn switch_table(&mut self, name: &str) {
        let selected = &mut self.selection.tables;
        let at = selected
            .iter()
            .position(|selected| selected.table.name == name);
        match at {
            Some(_) if selected.len() == 1 => return,
            Some(at) => {
                let taken = selected.remove(at);
                self.left_out.push(taken);
            }
            None => {
                let at = self
                    .left_out
                    .iter()
                    .position(|left| left.table.name == name);
                let back = at.map(|at| self.left_out.remove(at));
                selected.extend(back);
                let place = |selected: &SelectedTable| {
                    core_tables()
                        .iter()
                        .position(|table| table.name == selected.table.name)
                };
                selected.sort_by_key(place);
            }
        }
        self.world()
            .log(|| format!("table {name} is taken away, or back"));
    }

    /// Deselects a column, or selects it again. In the second case its table is sent again.
    pub(super) fn switch_column(&mut self, table: &str, column: usize) {
        let mut all = self.selection.tables.iter_mut().chain(&mut self.left_out);
        if let Some(selected) = all.find(|selected| selected.table.name == table) {
            selected.columns[column] = !selected.columns[column];
            if selected.columns[column] {
                self.unsettled.insert(selected.table.name);
                self.refilled.insert(selected.table.name);
            }
        }
        self.world()
            .log(|| format!("column {column} of {table} is taken away, or back"));
    }
}
