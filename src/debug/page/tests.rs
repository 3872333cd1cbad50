//! The page as text; what a browser makes of it is in `tests/it/report_page.rs`.

use super::*;

#[test]
fn todo() {}
