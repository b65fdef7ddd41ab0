//! What is known about a submission before it is judged. A handful of reads, however many lines.

use std::collections::{BTreeMap, BTreeSet};

use entity::{customer, promotion};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::Submission;
use super::address::{self, PostalAddress};
use crate::catalogue::{self, ChannelPolicy, Offered, Reference};
use crate::orders::archive::{self, Taken};

/// What is known about a submission.
pub struct Facts {
    /// The order that already has its reference.
    pub existing: Option<Taken>,
    /// The customer, if it names one that there is.
    pub customer: Option<customer::Model>,
    /// The variants behind its SKUs, by `catalogue::code_key`.
    pub offered: BTreeMap<String, Offered>,
    /// The promotions behind its codes, and the automatic ones.
    pub promotions: Vec<promotion::Model>,
    /// What the reference table knows of where it goes.
    pub shipping_place: address::Reference,
    /// What the reference table knows of where the bill goes.
    pub billing_place: address::Reference,
}

/// Reads what is known about a submission.
pub async fn gather(
    db: &impl ConnectionTrait,
    reference: &Reference,
    channel: &ChannelPolicy,
    submission: &Submission,
    shipping: Option<&PostalAddress>,
    billing: Option<&PostalAddress>,
) -> Result<Facts, DbErr> {
    let existing = match &submission.external_reference {
        Some(reference) => archive::taken(db, channel.row.id, reference.trim()).await?,
        None => None,
    };
    let customer = catalogue::find_customer(db, None, submission.customer.code.as_deref()).await?;
    let keys: BTreeSet<String> = submission
        .lines
        .iter()
        .map(|line| catalogue::code_key(&line.sku))
        .collect();
    let offered = catalogue::find_offered(db, channel.row.id, &keys).await?;
    let mut promotions = reference.automatic_promotions().to_vec();
    let codes: BTreeSet<String> = submission
        .promotion_codes
        .iter()
        .map(|code| code.trim().to_uppercase())
        .filter(|code| !code.is_empty())
        .collect();
    let limited = reference.has_limited_promotions();
    if limited || !codes.is_empty() {
        let by_code = promotion::Column::Code.is_in(codes);
        let automatic = Condition::all()
            .add(promotion::Column::Code.is_null())
            .add(promotion::Column::Active.eq(true))
            .add(promotion::Column::UsageLimit.is_not_null());
        let wanted = Condition::any()
            .add(by_code)
            .add_option(limited.then_some(automatic));
        promotions.extend(promotion::Entity::find().filter(wanted).all(db).await?);
    }
    Ok(Facts {
        existing,
        customer,
        offered,
        promotions,
        shipping_place: place(db, reference, shipping).await,
        billing_place: place(db, reference, billing).await,
    })
}

async fn place(
    db: &impl ConnectionTrait,
    reference: &Reference,
    address: Option<&PostalAddress>,
) -> address::Reference {
    match address {
        Some(address) => {
            let covered = reference.covers(address.country.code());
            address::store::look_up(db, covered, address).await
        }
        None => address::Reference::NotCovered,
    }
}
