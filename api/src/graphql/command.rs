//! From an input to a payload: what every mutation does around its command.

use async_graphql::Context;

use super::errors::{UserError, outcome};
use super::{actor, app};
use crate::failure::{Failure, Problem};
use crate::tx::Tx;

/// What a command came to: the value, or the refusals.
pub type Outcome<T> = (Option<T>, Vec<UserError>);

/// Runs a command in a transaction of its own, unless its input was refused before.
pub async fn run<C: Clone, T>(
    ctx: &Context<'_>,
    cmd: Result<C, Problem>,
    case: impl AsyncFn(&Tx, C) -> Result<T, Failure> + Copy,
) -> async_graphql::Result<Outcome<T>> {
    let actor = actor(ctx)?;
    outcome(match cmd {
        Err(problem) => Err(problem.into()),
        Ok(cmd) => {
            app(ctx)
                .write(&actor, move |tx| {
                    let cmd = cmd.clone();
                    async move { case(&tx, cmd).await }
                })
                .await
        }
    })
}

/// The same for what is kept in memory for every order: it is read again afterwards.
pub async fn run_on_reference<C: Clone, T>(
    ctx: &Context<'_>,
    cmd: Result<C, Problem>,
    case: impl AsyncFn(&Tx, C) -> Result<T, Failure> + Copy,
) -> async_graphql::Result<Outcome<T>> {
    let outcome = run(ctx, cmd, case).await;
    // Whatever came of it: a commit whose answer was lost is a commit all the same.
    app(ctx).invalidate_reference();
    outcome
}

/// Declares the payloads of mutations: a node that is there unless the command was refused, and
/// the refusals.
macro_rules! payloads {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident { $(#[doc = $of_field:literal])+ $field:ident: $node:ty }
    )*) => {$(
        $(#[doc = $doc])+
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $(#[doc = $of_field])+
            pub $field: Option<$node>,
            /// Why nothing was done; empty if it was.
            pub user_errors: Vec<$crate::graphql::errors::UserError>,
        }

        impl<R: Into<$node>> From<$crate::graphql::command::Outcome<R>> for $name {
            fn from((done, user_errors): $crate::graphql::command::Outcome<R>) -> Self {
                $name {
                    $field: done.map(Into::into),
                    user_errors,
                }
            }
        }
    )*};
}
pub(crate) use payloads;
