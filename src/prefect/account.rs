//! What all requests with one account share, whichever sync they belong to: Prefect Cloud counts
//! requests per account.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{budget::Budget, pause::Pause, throttle::Throttle};
use crate::config::Settings;

/// One account's limits.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) pause: Pause,
    pub(super) budget: Budget,
    pub(super) throttle: Throttle,
}

/// The accounts that this process has read with.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Arc<Mutex<HashMap<String, Arc<Account>>>>);

impl Accounts {
    /// The account of a configuration.
    pub(super) fn of(&self, settings: &Settings) -> Arc<Account> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(settings.account()).or_default())
    }
}
