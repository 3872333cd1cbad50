//! Clocks that differ: the server's clock decides, as long as its responses have a date.

use chrono::TimeDelta;
use prefect_fake::{Cloud, Options, Server, hourly_activity, population::fixed_now};
use test_support::{HttpProxy, Rule};

use super::{CloudHarness, REST, population};
use crate::support::{
    served::{Served, configuration, empty_destination, rows, warnings},
    stepping_clock::SteppingClock,
};

#[tokio::test]
async fn the_servers_clock_decides_however_far_this_machines_is_off() {
    for hours in [-26, -5, 5, 26] {
        let mut harness = CloudHarness::start(Cloud::default(), TimeDelta::hours(hours)).await;
        assert_eq!(warnings(&harness.sync().await), [""; 0], "{hours} h");
        for hour in 1..=3 {
            harness.an_hour_later(hour);
            assert!(rows(&harness.sync().await) > 0, "{hours} h");
        }
        harness.assert_equal_at_rest().await;
        harness.clock.advance(TimeDelta::minutes(5));
        assert_eq!(rows(&harness.sync().await), 0, "{hours} h");
    }
}

/// Syncs through a proxy that removes the dates; the server's clock is `ahead` of the connector's.
async fn without_dates(ahead: TimeDelta, begin_with_dates: bool) {
    let clock = SteppingClock::at(fixed_now() - ahead);
    let mut served = Served::start(clock.clone(), clock.telemetry()).await;
    // The server is self-hosted, because such servers may have a proxy in front.
    let prefect = Server::start(Options::new(population())).await.unwrap();
    let proxy = HttpProxy::start(&prefect.url()).await;
    proxy.set_rules([Rule::without_header("date")]);
    let mut destination = empty_destination();
    let rest = REST.map(TimeDelta::days);
    for turn in 0..4 + rest.len() {
        let is_busy = turn < 4;
        if is_busy && turn > 0 {
            let hour = u32::try_from(turn).unwrap();
            prefect.with_store(|store| hourly_activity::simulate_hour(store, hour));
            clock.advance(TimeDelta::hours(1));
        } else if !is_busy {
            prefect.with_store(|store| store.advance(rest[turn - 4]));
            clock.advance(rest[turn - 4]);
        }
        let dated = begin_with_dates && turn == 0;
        let url = if dated {
            prefect.url()
        } else {
            proxy.url().to_owned()
        };
        // The state takes another address for another workspace.
        let state = destination.state();
        let state = state.map(|state| state.replace(&prefect.url(), &url));
        let (operations, end) = served.update(configuration(&url, &[]), state).await;
        end.unwrap();
        let reported = warnings(&operations);
        let of_dates = reported
            .iter()
            .filter(|text| text.contains("no Date header"));
        assert_eq!(
            of_dates.count(),
            usize::from(!dated),
            "turn {turn}: {reported:?}"
        );
        assert!(rows(&operations) > 0 || !is_busy, "turn {turn}");
        destination.apply_operations(&operations);
    }
    let (operations, _) = served.update(configuration(proxy.url(), &[]), None).await;
    let mut fresh = empty_destination();
    fresh.apply_operations(&operations);
    for table in ["flows", "deployments", "flow_runs"] {
        assert_eq!(destination.differences(&fresh, table), [], "{table}");
    }
}

#[tokio::test]
async fn without_dates_this_machines_clock_is_used_and_the_user_is_told() {
    without_dates(TimeDelta::zero(), false).await;
}

#[tokio::test]
async fn missing_dates_do_not_set_the_time_back() {
    without_dates(TimeDelta::hours(5), true).await;
}
