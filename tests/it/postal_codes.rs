//! The reference table of postal codes: filled from rows, asked about one address.

use api::capture::address::reference::places;
use api::capture::address::{PostalAddress, Reference, Verdict, store, verify};
use api::tx::Actor;
use support::{TestApp, both_backends};

both_backends!(an_address_is_judged_by_the_rows_that_were_stored);

const ROWS: &str =
    "AT\t1010\tWien\tWien\t09\nAT\t1020\tWien\tWien\t09\nAT\t8010\tGraz\tSteiermark\t06\n";

async fn fill(app: &TestApp) -> u64 {
    app.app
        .write(&Actor::worker("test"), |tx| async move {
            let rows = places(ROWS.as_bytes()).filter_map(Result::ok);
            Ok(store::store(&tx, rows).await?)
        })
        .await
        .unwrap()
}

fn address(postal_code: &str, city: &str) -> PostalAddress {
    PostalAddress {
        name: "Anna Leitner".to_owned(),
        organisation: None,
        line1: "Ringstraße 1".to_owned(),
        line2: None,
        city: city.to_owned(),
        region: None,
        postal_code: Some(postal_code.to_owned()),
        country: "AT".parse().unwrap(),
        phone: None,
    }
}

async fn an_address_is_judged_by_the_rows_that_were_stored(app: &TestApp) {
    assert_eq!(fill(app).await, 3);
    // Rows that are there already stay as they are.
    assert_eq!(fill(app).await, 0);
    app.app.invalidate_reference();
    let covered = app.app.reference().await.unwrap().covers("AT");
    assert!(covered);
    for (code, city, verdict) in [
        ("1010", "WIEN", Verdict::Valid),
        ("8010", "Graz", Verdict::Valid),
        ("8011", "Graz", Verdict::Corrected),
        ("1030", "Wien", Verdict::Ambiguous),
        ("8010", "Bregenz", Verdict::Invalid),
    ] {
        let address = address(code, city);
        let known = store::look_up(&app.app.db.read, covered, &address).await;
        assert_eq!(verify(&address, &known).verdict, verdict, "{code} {city}");
    }
    let known = store::look_up(&app.app.db.read, false, &address("1010", "Wien")).await;
    assert_eq!(known, Reference::NotCovered);
}
