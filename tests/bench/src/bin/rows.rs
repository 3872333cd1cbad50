//! Flattening and encoding in one thread, beside the cost of scanning the same bytes.

use std::{hint::black_box, time::Instant};

use fivetran_source::{
    fivetran::Encoder,
    rows::{Context, PageReader},
    sync::{Op, SelectedTable, Selection},
    tables,
};
use serde::{Deserialize, de::IgnoredAny};

/// The best of so many.
const TIMES: usize = 25;
const ROWS: usize = 200;

fn best(mut work: impl FnMut()) -> f64 {
    (0..TIMES)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    for table in tables::ALL {
        let sample = table.samples[0];
        let page = format!("[{}]", vec![sample; ROWS].join(","));
        let selection = Selection {
            tables: vec![SelectedTable::all(table)],
        };
        let reader = PageReader::new(table, &Context::default());
        let scan = best(|| {
            let mut json = serde_json::Deserializer::from_str(&page);
            black_box(IgnoredAny::deserialize(&mut json).unwrap());
        });
        let spans = best(|| {
            black_box(reader.read(page.clone()).unwrap());
        });
        let mut encoder = Encoder::new(&selection);
        let all = best(|| {
            let rows = reader.read(page.clone()).unwrap().rows;
            let ops = rows
                .into_iter()
                .map(|row| Op::Upsert {
                    table: table.name,
                    row,
                })
                .collect();
            black_box(encoder.messages(ops));
        });
        let hashed = best(|| {
            for row in reader.read(page.clone()).unwrap().rows {
                black_box(fivetran_source::rows::fingerprint(&row));
            }
        });
        let per = |seconds: f64| seconds / ROWS as f64 * 1e6;
        println!(
            "{:<12} {} B/row: scan {:.2} us, spans {:.2}, spans+encode {:.2} = {:.0} rows/s, {:.2} x scan; spans+fingerprint {:.2}",
            table.name,
            sample.len(),
            per(scan),
            per(spans),
            per(all),
            ROWS as f64 / all,
            all / scan,
            per(hashed),
        );
    }
}
