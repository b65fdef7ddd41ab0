//! A `begin()` that is cancelled half-way must not take the next borrower's writes with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use api::db::Db;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use support::{Backend, Place};

/// How many transactions are abandoned.
const ROUNDS: usize = 200;

/// A future that is dropped as soon as it has been pending so often.
struct Abandoned<F> {
    inner: Option<Pin<Box<F>>>,
    pendings: usize,
}

impl<F: Future> Future for Abandoned<F> {
    /// How often it was pending; none if it was quicker than that.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.inner.as_mut().expect("not polled after its end");
        if let Poll::Ready(output) = inner.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        self.pendings -= 1;
        if self.pendings == 0 {
            self.inner = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_lost_after_a_cancelled_begin() {
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let mut config = place.database();
    config.max_connections = 1;
    let db = Db::connect(&config).await.unwrap();
    let outside = support::postgres::connect(&place.url).await;

    let mut abandoned = 0;
    let mut lost = Vec::new();
    for round in 0..ROUNDS {
        // The pool pings a connection before it lends it, and then BEGIN goes out: the window
        // lies after the second or third wait, depending on what is buffered.
        let pendings = 1 + round % 4;
        let begin = Abandoned {
            inner: Some(Box::pin(db.write.begin())),
            pendings,
        };
        match begin.await {
            None => abandoned += 1,
            Some(begun) => begun.unwrap().rollback().await.unwrap(),
        }
        let name = format!("round {round}");
        let insert = format!("INSERT INTO counter (name, value) VALUES ('{name}', {pendings})");
        db.write.execute_unprepared(&insert).await.unwrap();
        let seen = outside
            .query_one_raw(Statement::from_sql_and_values(
                outside.get_database_backend(),
                "SELECT 1 FROM counter WHERE name = $1",
                [name.clone().into()],
            ))
            .await
            .unwrap();
        if seen.is_none() {
            lost.push((round, pendings));
        }
    }
    println!(
        "{abandoned} of {ROUNDS} abandoned, {} lost: {lost:?}",
        lost.len()
    );
    assert!(lost.is_empty());
    db.close().await.unwrap();
    outside.close().await.unwrap();
    place.remove().await;
}
