//! What printing costs: each document again and again in one thread, and what a label or a packing
//! slip may cost.

use std::time::{Duration, Instant};

use api::documents::{self, Rendered, samples};

/// What a label or a packing slip may cost, in milliseconds of CPU.
const BUDGET: f64 = 50.0;

pub fn measure(span: Duration) {
    println!(
        "{:<26} {:>5} {:>7} {:>8} {:>8} {:>8} {:>8}",
        "document", "pages", "KiB", "CPU ms", "p50 ms", "p99 ms", "budget"
    );
    let label = samples::label();
    row("label, PDF", span, || documents::label(&label).unwrap());
    row("label, ZPL", span, || documents::label_zpl(&label).unwrap());
    for lines in [5, 20, 500] {
        let slip = samples::packing_slip(lines);
        let name = format!("packing slip, {lines} lines");
        row(&name, span, || documents::packing_slip(&slip).unwrap());
    }
    let list = samples::pick_sheet(100);
    row("pick list, 100 stops", span, || {
        documents::pick_sheet(&list).unwrap()
    });
    let manifest = samples::manifest(300);
    row("manifest, 300 parcels", span, || {
        documents::manifest(&manifest).unwrap()
    });
}

fn row(name: &str, span: Duration, print: impl Fn() -> Rendered) {
    // The first reads the typeface.
    let printed = print();
    let (began, before) = (Instant::now(), super::cpu_of(std::process::id()));
    let mut taken = Vec::new();
    while began.elapsed() < span {
        let one = Instant::now();
        std::hint::black_box(print());
        taken.push(one.elapsed());
    }
    let cpu = (super::cpu_of(std::process::id()) - before) / taken.len() as f64;
    taken.sort();
    let at = |part: usize| taken[(taken.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!(
        "{name:<26} {:>5} {:>7.1} {cpu:>8.2} {:>8.2} {:>8.2} {:>7.0}%",
        printed.pages,
        printed.bytes.len() as f64 / 1024.0,
        at(50),
        at(99),
        cpu / BUDGET * 100.0,
    );
}
