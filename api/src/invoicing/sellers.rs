//! Who sells: what stands on invoices about the merchant, in which channels, and in which series its
//! documents are numbered.

use entity::invoice::Kind;
use entity::{
    ChannelId, LegalEntityId, channel, invoice_series, legal_entity, legal_entity_channel,
};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect, Set,
};

use super::tax;
use crate::catalogue;
use crate::checks::{Checks, expect_version};
use crate::documents::Party;
use crate::events::Changes;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many characters may stand before a number.
const LONGEST_PREFIX: usize = 20;

/// What [`save`] needs.
#[derive(Clone, Debug)]
pub struct Save {
    /// Its name in settings: whoever has it is changed, else made.
    pub code: String,
    /// What stands on invoices.
    pub party: Party,
    /// What stands before the numbers of invoices.
    pub invoice_prefix: String,
    /// What stands before the numbers of credit notes.
    pub credit_note_prefix: String,
    /// The channels that it sells in; taken from whoever had them.
    pub channels: Vec<ChannelId>,
    /// The version that the caller decided on; 0 = there was none.
    pub expected_version: Option<i64>,
}

/// Makes or changes who sells. What was issued stays as it is, and numbers go on.
pub async fn save(tx: &Tx, cmd: Save) -> Result<legal_entity::Model, Failure> {
    let mut checks = Checks::new();
    let code = checks.code("input.code", &cmd.code);
    let given = cmd.party;
    let mut rows = legal_entity::Entity::find().filter(legal_entity::Column::Code.eq(&code));
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    let before = rows.one(tx.db()).await?;
    let version = before.as_ref().map_or(0, |row| row.version);
    let row = legal_entity::Model {
        id: before.as_ref().map_or_else(|| tx.id(), |row| row.id),
        name: checks.name("input.name", &given.name),
        line1: checks.name("input.line1", &given.line1),
        line2: checks.text("input.line2", given.line2.as_deref()),
        city: checks.name("input.city", &given.city),
        region: checks.text("input.region", given.region.as_deref()),
        postal_code: checks.text("input.postalCode", given.postal_code.as_deref()),
        country: checks.country("input.country", &given.country),
        vat_id: read(&mut checks, "input.vatId", given.vat_id, tax::vat_id),
        tax_number: checks.text("input.taxNumber", given.tax_number.as_deref()),
        registration: checks.text("input.registration", given.registration.as_deref()),
        email: checks.text("input.email", given.email.as_deref()),
        phone: checks.text("input.phone", given.phone.as_deref()),
        iban: read(&mut checks, "input.iban", given.iban, iban),
        bic: checks.text("input.bic", given.bic.as_deref()),
        version: version + 1,
        created_at: before.as_ref().map_or(tx.now, |row| row.created_at),
        updated_at: tx.now,
        code,
    };
    let told = row.vat_id.is_some() || row.tax_number.is_some() && row.registration.is_some();
    let message = "an invoice needs the seller's VAT id, or its tax number and registration";
    checks.hold(told, Code::InvalidInput, "input.vatId", message);
    let series = [
        (Kind::Invoice, "input.invoicePrefix", cmd.invoice_prefix),
        (
            Kind::CreditNote,
            "input.creditNotePrefix",
            cmd.credit_note_prefix,
        ),
    ];
    for (_, field, prefix) in &series {
        let plain = |char: char| char.is_ascii_graphic();
        let fits = (1..=LONGEST_PREFIX).contains(&prefix.len()) && prefix.chars().all(plain);
        let message = "a prefix has 1 to 20 characters of ASCII and no blanks";
        checks.hold(fits, Code::InvalidInput, field, message);
    }
    for (place, id) in cmd.channels.iter().enumerate() {
        let known = channel::Entity::find_by_id(*id)
            .one(tx.db())
            .await?
            .is_some();
        let field = format!("input.channelIds.{place}");
        checks.hold(known, Code::NotFound, &field, "no such Channel");
    }
    checks.done()?;
    expect_version("legal entity", version, cmd.expected_version)?;
    let changes = Changes::between(before.as_ref(), &row);
    let written = row.clone().into_active_model();
    match before {
        None => {
            let inserted = legal_entity::Entity::insert(written);
            let inserted = inserted.exec_without_returning(tx.db()).await;
            inserted.map_err(|error| taken(error, "input.code"))?;
        }
        Some(_) => {
            written.reset_all().update(tx.db()).await?;
        }
    }
    for (kind, field, prefix) in series {
        number_with(tx, row.id, kind, prefix)
            .await
            .map_err(|error| taken(error, field))?;
    }
    sell_in(tx, row.id, &cmd.channels).await?;
    catalogue::changed(tx, "legal_entity", row.id, row.version, &row.code, changes);
    Ok(row)
}

/// A number that may be missing, in its one form.
fn read(
    checks: &mut Checks,
    field: &str,
    given: Option<String>,
    form: fn(&str) -> Option<String>,
) -> Option<String> {
    let given = checks.text(field, given.as_deref())?;
    let read = form(&given);
    checks.hold(
        read.is_some(),
        Code::InvalidInput,
        field,
        "no number of its kind",
    );
    read
}

/// An account's number in its one form, if its check digits are right.
fn iban(text: &str) -> Option<String> {
    let dense: String = text.chars().filter(|char| *char != ' ').collect();
    let iban = dense.to_ascii_uppercase();
    let fits = (15..=34).contains(&iban.len()) && iban.bytes().all(|b| b.is_ascii_alphanumeric());
    let (country, rest) = iban.get(..4).zip(iban.get(4..)).filter(|_| fits)?;
    let remainder = rest.chars().chain(country.chars()).fold(0, |sum, char| {
        let digit = char.to_digit(36).unwrap_or_default();
        (sum * if digit > 9 { 100 } else { 10 } + digit) % 97
    });
    (remainder == 1).then_some(iban)
}

fn taken(error: DbErr, field: &str) -> Failure {
    let failure = Failure::from(error);
    match failure.unique_violation() {
        Some(_) => Problem::new(Code::CodeTaken, "it is taken")
            .at(field)
            .into(),
        None => failure,
    }
}

/// Sets what stands before the numbers of a series; where they stand stays.
async fn number_with(
    tx: &Tx,
    seller: LegalEntityId,
    kind: Kind,
    prefix: String,
) -> Result<(), DbErr> {
    use invoice_series::{Column, Entity};
    let row = invoice_series::ActiveModel {
        legal_entity_id: Set(seller),
        kind: Set(kind),
        prefix: Set(prefix),
        next_number: Set(1),
    };
    let known = OnConflict::columns([Column::LegalEntityId, Column::Kind])
        .update_column(Column::Prefix)
        .to_owned();
    Entity::insert(row)
        .on_conflict(known)
        .exec_without_returning(tx.db())
        .await?;
    Ok(())
}

async fn sell_in(tx: &Tx, seller: LegalEntityId, channels: &[ChannelId]) -> Result<(), DbErr> {
    use legal_entity_channel::{Column, Entity};
    Entity::delete_many()
        .filter(Column::LegalEntityId.eq(seller))
        .filter(Column::ChannelId.is_not_in(channels.iter().copied()))
        .exec(tx.db())
        .await?;
    for channel in channels {
        let row = legal_entity_channel::ActiveModel {
            channel_id: Set(*channel),
            legal_entity_id: Set(seller),
        };
        let other = OnConflict::column(Column::ChannelId)
            .update_column(Column::LegalEntityId)
            .to_owned();
        Entity::insert(row)
            .on_conflict(other)
            .exec_without_returning(tx.db())
            .await?;
    }
    Ok(())
}

/// Who sells in a channel, if anybody does.
pub async fn of_channel(
    db: &impl ConnectionTrait,
    channel: ChannelId,
) -> Result<Option<legal_entity::Model>, DbErr> {
    let sells = legal_entity_channel::Entity::find_by_id(channel)
        .one(db)
        .await?;
    match sells {
        Some(sells) => {
            legal_entity::Entity::find_by_id(sells.legal_entity_id)
                .one(db)
                .await
        }
        None => Ok(None),
    }
}

/// What an invoice says about who sells.
pub fn party(row: &legal_entity::Model) -> Party {
    Party {
        name: row.name.clone(),
        organisation: None,
        line1: row.line1.clone(),
        line2: row.line2.clone(),
        city: row.city.clone(),
        region: row.region.clone(),
        postal_code: row.postal_code.clone(),
        country: row.country.clone(),
        vat_id: row.vat_id.clone(),
        tax_number: row.tax_number.clone(),
        registration: row.registration.clone(),
        email: row.email.clone(),
        phone: row.phone.clone(),
        iban: row.iban.clone(),
        bic: row.bic.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_taken_by_its_check_digits() {
        let right = Some("AT611904300234573201".to_owned());
        assert_eq!(iban("at61 1904 3002 3457 3201"), right);
        for wrong in ["", "AT611904300234573202", "AT61", "Ä1611904300234573201"] {
            assert_eq!(iban(wrong), None, "{wrong}");
        }
    }
}
