//! The state that all requests of an account share across syncs, because Prefect Cloud counts requests per
//! account.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use super::{
    adaptive_concurrency::AdaptiveConcurrency, rate_limit::RequestRateLimit,
    retry_after_gate::RetryAfterGate,
};
use crate::config::{Credentials, Settings};

/// The limits of one account.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) retry_after_gate: RetryAfterGate,
    pub(super) rate_limit: RequestRateLimit,
    pub(super) concurrency: AdaptiveConcurrency,
    rejections: Rejections,
}

impl Account {
    /// Returns a token that is cancelled when the server rejects the credentials of these settings.
    pub(super) fn rejection(&self, settings: &Settings) -> CancellationToken {
        self.rejections.token_for(settings)
    }
}

/// Records which credentials in use the server has rejected. After a rejection no running sync sends another
/// request with those credentials; a sync that begins later tries them again.
#[derive(Debug, Default)]
struct Rejections {
    hasher: RandomState,
    known: Mutex<HashMap<u64, CancellationToken>>,
}

impl Rejections {
    fn token_for(&self, settings: &Settings) -> CancellationToken {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.entry(self.key(settings)).or_default();
        if token.is_cancelled() {
            *token = CancellationToken::new();
        }
        token.clone()
    }

    /// Returns a hash of everything on which the server bases its decision. The secrets themselves are not stored.
    fn key(&self, settings: &Settings) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        if settings.api_url.cloud_ids().is_none() {
            // One origin may host several servers, at different paths.
            settings.api_url.to_string().hash(&mut hasher);
        }
        match &settings.credentials {
            Credentials::None => {}
            Credentials::Bearer(key) => ("Bearer", key.expose_secret()).hash(&mut hasher),
            Credentials::Basic(auth) => ("Basic", auth.expose_secret()).hash(&mut hasher),
        }
        for (name, value) in settings.extra_headers.iter() {
            (name, value.expose_secret()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The accounts that this process has used.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Arc<Mutex<HashMap<String, Arc<Account>>>>);

impl Accounts {
    /// Returns the account of a configuration.
    pub(super) fn account_for(&self, settings: &Settings) -> Arc<Account> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(settings.account()).or_default())
    }
}
