//! Background work that no journey of its own shows.

use api::workers::{ANSWERS_AT_ONCE, forget_answers};
use chrono::Duration;
use entity::idempotency;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::json;
use support::merchant::basket_with;
use support::{TestApp, both_backends};

both_backends!(answers_that_are_old_are_forgotten_some_at_a_time,);

async fn answers_that_are_old_are_forgotten_some_at_a_time(app: &TestApp) {
    app.open_shop().await;
    let submit = async |key: &str| {
        let payload = app
            .submit(basket_with(json!({ "idempotencyKey": key })))
            .await;
        assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
        (
            payload["order"]["number"].clone(),
            payload["replayed"] == true,
        )
    };
    let (old, _) = submit("old").await;
    // As many as are forgotten at once, and so one more in all.
    let db = &app.app.db.write;
    let mut answers = (0..ANSWERS_AT_ONCE).map(|number| idempotency::ActiveModel {
        actor: Set("key:of-a-test".to_owned()),
        key: Set(number.to_string()),
        operation: Set("orderSubmit".to_owned()),
        fingerprint: Set(String::new()),
        response: Set(json!({})),
        created_at: Set(app.app.clock.now()),
    });
    loop {
        let some: Vec<_> = answers.by_ref().take(1_000).collect();
        if some.is_empty() {
            break;
        }
        let insert = idempotency::Entity::insert_many(some);
        insert.exec_without_returning(db).await.unwrap();
    }
    let left = async || idempotency::Entity::find().count(db).await.unwrap();
    assert_eq!(left().await, ANSWERS_AT_ONCE + 1);

    // They are kept for 72 hours to the moment.
    app.clock.advance(Duration::hours(72));
    let (new, _) = submit("new").await;
    assert_eq!(forget_answers(&app.app).await.unwrap(), 0);
    assert_eq!(submit("old").await, (old.clone(), true));
    app.clock.advance(Duration::milliseconds(1));
    assert_eq!(forget_answers(&app.app).await.unwrap(), ANSWERS_AT_ONCE);
    assert_eq!(left().await, 2);
    assert_eq!(forget_answers(&app.app).await.unwrap(), 1);
    assert_eq!(forget_answers(&app.app).await.unwrap(), 0);
    let kept = idempotency::Entity::find().filter(idempotency::Column::Key.eq("new"));
    assert_eq!(kept.count(db).await.unwrap(), 1);
    assert_eq!(submit("new").await, (new, true));
    let (again, replayed) = submit("old").await;
    assert!(!replayed && again != old, "{again}");
}
