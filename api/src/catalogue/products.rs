//! Products and their variants, the codes that variants are found by, and the channels that sell
//! them.

use std::collections::{BTreeMap, BTreeSet};

use entity::variant::Status;
use entity::variant_code::Kind;
use entity::{ChannelId, ProductId, VariantId, channel, listing, product, variant, variant_code};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::{Value as Json, json};

use super::{code_key, rows};
use crate::checks::{Checks, expect_version};
use crate::failure::{Code, Failure, Problem};
use crate::inventory;
use crate::tx::Tx;

/// The longest text that a scanner may send as a barcode or as its own name, in characters.
pub const LONGEST_BARCODE: usize = 128;

/// The most codes that a variant has besides its SKU.
const MOST_CODES: usize = 100;

/// The most units in a case.
const MOST_UNITS: i64 = 1_000_000;

/// The heaviest unit, in grams.
const HEAVIEST: i64 = 1_000_000_000;

/// The longest side of a unit, in millimetres.
const LONGEST_SIDE: i64 = 1_000_000;

/// A code that a variant is found by, besides its SKU.
#[derive(Clone, Debug)]
pub struct NewCode {
    /// The code as it is written.
    pub code: String,
    /// What it is; not SKU.
    pub kind: Kind,
    /// How many units a scan of it is worth: more than 1 for a case, 1 for the others.
    pub units: i64,
}

/// A variant that is to be.
#[derive(Clone, Debug)]
pub struct NewVariant {
    /// Its stock-keeping unit.
    pub sku: String,
    /// Its name on orders.
    pub title: String,
    /// Whether it may be ordered while there is none.
    pub backorderable: bool,
    /// How it is taxed: `STANDARD` …
    pub tax_category: String,
    /// Weight of a unit, in grams.
    pub weight_grams: i64,
    /// Whether it is dangerous goods.
    pub dangerous_goods: bool,
    /// Length of a unit, in millimetres.
    pub length_mm: Option<i32>,
    /// Width of a unit, in millimetres.
    pub width_mm: Option<i32>,
    /// Height of a unit, in millimetres.
    pub height_mm: Option<i32>,
    /// The codes that it is found by, besides the SKU.
    pub codes: Vec<NewCode>,
    /// The channels that sell it.
    pub channels: Vec<ChannelId>,
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub title: String,
    /// What it is.
    pub description: Option<String>,
    /// Key-values that everyone sees; of two with the same key, the last.
    pub metadata: Vec<(String, String)>,
    /// Its variants.
    pub variants: Vec<NewVariant>,
}

/// A product with the variants that were made with it.
#[derive(Clone, Debug)]
pub struct Created {
    /// The product.
    pub product: product::Model,
    /// Its variants, in the order that was asked for.
    pub variants: Vec<variant::Model>,
}

/// Makes a product with its variants.
pub async fn create(tx: &Tx, cmd: Create) -> Result<Created, Failure> {
    let mut checks = Checks::new();
    let product = product::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        title: checks.name("input.title", &cmd.title),
        description: checks.text("input.description", cmd.description.as_deref()),
        metadata: check_metadata(&mut checks, &cmd.metadata),
        version: 1,
        created_at: tx.now,
        updated_at: tx.now,
    };
    let drafts: Vec<Draft> = cmd
        .variants
        .iter()
        .enumerate()
        .map(|(place, new)| {
            let path = format!("input.variants.{place}.");
            Draft::check(tx, &mut checks, product.id, new, path)
        })
        .collect();
    check_channels(tx, &mut checks, &drafts).await?;
    check_codes(tx, &mut checks, &drafts, None).await?;
    checks.done()?;
    let changes = rows::insert(tx, product.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &product.code))?;
    rows::changed(
        tx,
        "product",
        product.id,
        product.version,
        &product.code,
        changes,
    );
    let variants = write(tx, drafts).await?;
    Ok(Created { product, variants })
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which product.
    pub id: ProductId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on screens.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<Option<String>>,
    /// All its key-values; of two with the same key, the last.
    pub metadata: Option<Vec<(String, String)>>,
}

/// Changes a product.
pub async fn update(tx: &Tx, cmd: Update) -> Result<product::Model, Failure> {
    let mut row = rows::lock(tx, product::Entity::find_by_id(cmd.id))
        .await?
        .ok_or_else(|| Problem::not_found("product").at("input.id"))?;
    expect_version("product", row.version, cmd.expected_version)?;
    let mut checks = Checks::new();
    if let Some(title) = cmd.title {
        row.title = checks.name("input.title", &title);
    }
    if let Some(description) = cmd.description {
        row.description = checks.text("input.description", description.as_deref());
    }
    if let Some(metadata) = cmd.metadata {
        row.metadata = check_metadata(&mut checks, &metadata);
    }
    checks.done()?;
    row.version += 1;
    row.updated_at = tx.now;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed(tx, "product", row.id, row.version, &row.code, changes);
    Ok(row)
}

/// What [`create_variant`] needs.
#[derive(Clone, Debug)]
pub struct CreateVariant {
    /// The product that it is of.
    pub product_id: ProductId,
    /// What it is to be.
    pub variant: NewVariant,
}

/// Makes a variant of a product.
pub async fn create_variant(tx: &Tx, cmd: CreateVariant) -> Result<variant::Model, Failure> {
    let mut checks = Checks::new();
    if !rows::exists::<product::Entity>(tx, cmd.product_id).await? {
        checks.refuse(Problem::not_found("product").at("input.productId"));
    }
    let path = "input.variant.".to_owned();
    let drafts = vec![Draft::check(
        tx,
        &mut checks,
        cmd.product_id,
        &cmd.variant,
        path,
    )];
    check_channels(tx, &mut checks, &drafts).await?;
    check_codes(tx, &mut checks, &drafts, None).await?;
    checks.done()?;
    let mut made = write(tx, drafts).await?;
    made.pop()
        .ok_or_else(|| Failure::Internal("no variant was made".to_owned()))
}

/// What [`update_variant`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateVariant {
    /// Which variant.
    pub id: VariantId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on orders.
    pub title: Option<String>,
    /// Whether it may be ordered while there is none.
    pub backorderable: Option<bool>,
    /// How it is taxed.
    pub tax_category: Option<String>,
    /// Weight of a unit, in grams.
    pub weight_grams: Option<i64>,
    /// Whether it is dangerous goods.
    pub dangerous_goods: Option<bool>,
    /// Length of a unit, in millimetres.
    pub length_mm: Option<Option<i32>>,
    /// Width of a unit, in millimetres.
    pub width_mm: Option<Option<i32>>,
    /// Height of a unit, in millimetres.
    pub height_mm: Option<Option<i32>>,
}

/// Changes a variant. Its SKU stays: orders and papers carry it. Orders that were taken before
/// keep what they were taken under.
pub async fn update_variant(tx: &Tx, cmd: UpdateVariant) -> Result<variant::Model, Failure> {
    let mut row = lock_variant(tx, cmd.id, "input.id", cmd.expected_version).await?;
    let mut checks = Checks::new();
    if let Some(title) = cmd.title {
        row.title = checks.name("input.title", &title);
    }
    if let Some(category) = cmd.tax_category {
        row.tax_category = tax_category(&mut checks, "input.taxCategory", &category);
    }
    row.backorderable = cmd.backorderable.unwrap_or(row.backorderable);
    row.weight_grams = cmd.weight_grams.unwrap_or(row.weight_grams);
    row.dangerous_goods = cmd.dangerous_goods.unwrap_or(row.dangerous_goods);
    row.length_mm = cmd.length_mm.unwrap_or(row.length_mm);
    row.width_mm = cmd.width_mm.unwrap_or(row.width_mm);
    row.height_mm = cmd.height_mm.unwrap_or(row.height_mm);
    check_size(&mut checks, &row, "input.");
    checks.done()?;
    touch(tx, row).await
}

/// What [`discontinue`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Discontinue {
    /// Which variant.
    pub id: VariantId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Ends the sale of a variant. Its orders and its stock stay. Doing it twice changes nothing.
pub async fn discontinue(tx: &Tx, cmd: Discontinue) -> Result<variant::Model, Failure> {
    let mut row = lock_variant(tx, cmd.id, "input.id", cmd.expected_version).await?;
    if row.status == Status::Discontinued {
        return Ok(row);
    }
    row.status = Status::Discontinued;
    touch(tx, row).await
}

/// What [`set_codes`] needs.
#[derive(Clone, Debug)]
pub struct SetCodes {
    /// Which variant.
    pub variant_id: VariantId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// All the codes that it is found by, besides its SKU.
    pub codes: Vec<NewCode>,
}

/// Replaces the codes of a variant; its SKU stays one of them.
pub async fn set_codes(tx: &Tx, cmd: SetCodes) -> Result<variant::Model, Failure> {
    let row = lock_variant(tx, cmd.variant_id, "input.variantId", cmd.expected_version).await?;
    let mut checks = Checks::new();
    let draft = Draft {
        codes: code_rows(&mut checks, row.id, &row.sku, &cmd.codes, "input."),
        variant: row,
        channels: Vec::new(),
        path: "input.".to_owned(),
    };
    let own = draft.variant.id;
    check_codes(tx, &mut checks, std::slice::from_ref(&draft), Some(own)).await?;
    checks.done()?;
    variant_code::Entity::delete_many()
        .filter(variant_code::Column::VariantId.eq(own))
        .exec(tx.db())
        .await?;
    write_codes(tx, &draft.codes).await?;
    touch(tx, draft.variant).await
}

/// What a SKU, an alias or a barcode stands for: the variant, and how many units a scan of it is
/// worth.
pub async fn identify(tx: &Tx, code: &str) -> Result<Option<(variant::Model, i64)>, DbErr> {
    if code.chars().count() > LONGEST_BARCODE {
        return Ok(None);
    }
    let found = variant_code::Entity::find_by_id(code_key(code))
        .find_also_related(variant::Entity)
        .one(tx.db())
        .await?;
    Ok(found.and_then(|(code, variant)| Some((variant?, code.units))))
}

/// What [`set_listings`] needs.
#[derive(Clone, Debug)]
pub struct SetListings {
    /// Which variant.
    pub variant_id: VariantId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// The channels that sell it.
    pub channels: Vec<ChannelId>,
    /// The channels that the caller may say this of; none = all. The others stay as they are.
    pub within: Option<BTreeSet<ChannelId>>,
}

/// Says which channels sell a variant.
pub async fn set_listings(tx: &Tx, cmd: SetListings) -> Result<variant::Model, Failure> {
    let row = lock_variant(tx, cmd.variant_id, "input.variantId", cmd.expected_version).await?;
    let mut checks = Checks::new();
    let drafts = [Draft {
        variant: row,
        codes: Vec::new(),
        channels: cmd.channels,
        path: "input.".to_owned(),
    }];
    check_channels(tx, &mut checks, &drafts).await?;
    checks.done()?;
    let [draft] = drafts;
    let mut old =
        listing::Entity::delete_many().filter(listing::Column::VariantId.eq(draft.variant.id));
    if let Some(within) = cmd.within {
        old = old.filter(listing::Column::ChannelId.is_in(within));
    }
    old.exec(tx.db()).await?;
    write_listings(tx, draft.variant.id, &draft.channels).await?;
    touch(tx, draft.variant).await
}

/// A variant that was checked but for what others have.
struct Draft {
    variant: variant::Model,
    codes: Vec<variant_code::Model>,
    channels: Vec<ChannelId>,
    /// Where it stands in the input, with a dot at the end.
    path: String,
}

impl Draft {
    fn check(
        tx: &Tx,
        checks: &mut Checks,
        product_id: ProductId,
        new: &NewVariant,
        path: String,
    ) -> Draft {
        let variant = variant::Model {
            id: tx.id(),
            product_id,
            sku: checks.code(&format!("{path}sku"), &new.sku),
            title: checks.name(&format!("{path}title"), &new.title),
            status: Status::Active,
            backorderable: new.backorderable,
            tax_category: tax_category(checks, &format!("{path}taxCategory"), &new.tax_category),
            weight_grams: new.weight_grams,
            dangerous_goods: new.dangerous_goods,
            length_mm: new.length_mm,
            width_mm: new.width_mm,
            height_mm: new.height_mm,
            version: 1,
            created_at: tx.now,
            updated_at: tx.now,
        };
        check_size(checks, &variant, &path);
        Draft {
            codes: code_rows(checks, variant.id, &variant.sku, &new.codes, &path),
            variant,
            channels: new.channels.clone(),
            path,
        }
    }
}

/// Every code of a variant as it is stored, its SKU first.
fn code_rows(
    checks: &mut Checks,
    variant: VariantId,
    sku: &str,
    codes: &[NewCode],
    path: &str,
) -> Vec<variant_code::Model> {
    checks.hold(
        codes.len() <= MOST_CODES,
        Code::TooMany,
        &format!("{path}codes"),
        "a variant has at most 100 codes besides its SKU",
    );
    let row = |code: &str, kind, units| variant_code::Model {
        code_key: code_key(code),
        code: code.to_owned(),
        variant_id: variant,
        kind,
        units,
    };
    let mut found = vec![row(sku, Kind::Sku, 1)];
    for (place, new) in codes.iter().enumerate() {
        let field = format!("{path}codes.{place}");
        let code = checks.code(&format!("{field}.code"), &new.code);
        checks.hold(
            new.kind != Kind::Sku,
            Code::InvalidInput,
            &format!("{field}.kind"),
            "the SKU is a code of its variant already",
        );
        let (least, most) = match new.kind {
            Kind::Case => (2, MOST_UNITS),
            Kind::Sku | Kind::Alias | Kind::Gtin => (1, 1),
        };
        checks.count(&format!("{field}.units"), new.units, least, most);
        found.push(row(&code, new.kind, new.units));
    }
    found
}

/// Codes are unique among all variants, however they are written.
async fn check_codes(
    tx: &Tx,
    checks: &mut Checks,
    drafts: &[Draft],
    own: Option<VariantId>,
) -> Result<(), Failure> {
    let keys: BTreeSet<&str> = drafts
        .iter()
        .flat_map(|draft| &draft.codes)
        .map(|code| code.code_key.as_str())
        .collect();
    let held: BTreeMap<String, VariantId> = variant_code::Entity::find()
        .filter(variant_code::Column::CodeKey.is_in(keys))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| (row.code_key, row.variant_id))
        .collect();
    let mut seen = BTreeSet::new();
    for draft in drafts {
        for (place, row) in draft.codes.iter().enumerate() {
            let field = match place.checked_sub(1) {
                None => format!("{}sku", draft.path),
                Some(place) => format!("{}codes.{place}.code", draft.path),
            };
            checks.hold(
                !row.code_key.is_empty(),
                Code::InvalidInput,
                &field,
                "a code has a letter or a digit",
            );
            match held.get(&row.code_key) {
                Some(holder) if Some(*holder) != own => {
                    let details = json!({ "code": row.code, "variantId": holder });
                    checks.refuse(rows::name_taken(&field, &row.code).with(details));
                }
                _ if !seen.insert(row.code_key.as_str()) => {
                    checks.refuse(rows::name_taken(&field, &row.code));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Each channel must exist and be named once.
async fn check_channels(tx: &Tx, checks: &mut Checks, drafts: &[Draft]) -> Result<(), Failure> {
    let asked: BTreeSet<ChannelId> = drafts
        .iter()
        .flat_map(|draft| draft.channels.iter().copied())
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<ChannelId> = channel::Entity::find()
        .filter(channel::Column::Id.is_in(asked))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    for draft in drafts {
        let mut seen = BTreeSet::new();
        for (place, id) in draft.channels.iter().enumerate() {
            let field = format!("{}channelIds.{place}", draft.path);
            if !known.contains(id) {
                checks.refuse(Problem::not_found("channel").at(&field));
            } else if !seen.insert(*id) {
                let twice = Problem::new(Code::InvalidInput, "the channel is named twice");
                checks.refuse(twice.at(&field));
            }
        }
    }
    Ok(())
}

fn check_size(checks: &mut Checks, row: &variant::Model, path: &str) {
    checks.count(&format!("{path}weightGrams"), row.weight_grams, 0, HEAVIEST);
    let sides = [
        ("lengthMm", row.length_mm),
        ("widthMm", row.width_mm),
        ("heightMm", row.height_mm),
    ];
    for (name, side) in sides {
        if let Some(side) = side {
            checks.count(&format!("{path}{name}"), side.into(), 1, LONGEST_SIDE);
        }
    }
}

/// Tax categories are compared as they are written, so they are written in one way.
pub(super) fn tax_category(checks: &mut Checks, field: &str, category: &str) -> String {
    checks.code(field, category).to_uppercase()
}

/// The most key-values on one thing.
const MOST_METADATA: usize = 100;

fn check_metadata(checks: &mut Checks, metadata: &[(String, String)]) -> Json {
    checks.hold(
        metadata.len() <= MOST_METADATA,
        Code::TooMany,
        "input.metadata",
        "at most 100 key-values",
    );
    for (place, (key, value)) in metadata.iter().enumerate() {
        checks.code(&format!("input.metadata.{place}.key"), key);
        checks.text(&format!("input.metadata.{place}.value"), Some(value));
    }
    let entries = metadata.iter();
    entries
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

/// Writes new variants with their codes, listings and stock rows.
async fn write(tx: &Tx, drafts: Vec<Draft>) -> Result<Vec<variant::Model>, Failure> {
    let mut made = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let sku = format!("{}sku", draft.path);
        let changes = rows::insert(tx, draft.variant.clone())
            .await
            .map_err(|failure| rows::taken(failure, &sku, &draft.variant.sku))?;
        write_codes(tx, &draft.codes)
            .await
            .map_err(|failure| rows::taken(failure, &sku, &draft.variant.sku))?;
        write_listings(tx, draft.variant.id, &draft.channels).await?;
        let variant = draft.variant;
        rows::changed(
            tx,
            "variant",
            variant.id,
            variant.version,
            &variant.sku,
            changes,
        );
        made.push(variant);
    }
    let ids: Vec<VariantId> = made.iter().map(|variant| variant.id).collect();
    inventory::open_for_variants(tx, &ids).await?;
    Ok(made)
}

async fn write_codes(tx: &Tx, codes: &[variant_code::Model]) -> Result<(), Failure> {
    let rows = codes
        .iter()
        .map(|row| variant_code::ActiveModel::from(row.clone()));
    variant_code::Entity::insert_many(rows)
        .exec_without_returning(tx.db())
        .await
        .map_err(Failure::from)
        .map_err(|failure| rows::taken(failure, "input.codes", "one of the codes"))?;
    Ok(())
}

async fn write_listings(
    tx: &Tx,
    variant: VariantId,
    channels: &[ChannelId],
) -> Result<(), Failure> {
    if channels.is_empty() {
        return Ok(());
    }
    let rows = channels.iter().map(|channel| {
        listing::ActiveModel::from(listing::Model {
            channel_id: *channel,
            variant_id: variant,
        })
    });
    listing::Entity::insert_many(rows)
        .exec_without_returning(tx.db())
        .await?;
    Ok(())
}

async fn lock_variant(
    tx: &Tx,
    id: VariantId,
    field: &str,
    expected: Option<i64>,
) -> Result<variant::Model, Failure> {
    let row = rows::lock(tx, variant::Entity::find_by_id(id))
        .await?
        .ok_or_else(|| Problem::not_found("variant").at(field))?;
    expect_version("variant", row.version, expected)?;
    Ok(row)
}

/// Writes a variant's next version.
async fn touch(tx: &Tx, mut row: variant::Model) -> Result<variant::Model, Failure> {
    row.version += 1;
    row.updated_at = tx.now;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed(tx, "variant", row.id, row.version, &row.sku, changes);
    Ok(row)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_case_is_worth_several_units_and_every_other_code_one() {
        let problems = |kind, units| {
            let mut checks = Checks::new();
            let new = NewCode {
                code: "4006381333931".to_owned(),
                kind,
                units,
            };
            let id = VariantId(Uuid::from_u128(1));
            code_rows(&mut checks, id, "PEN", &[new], "input.");
            checks.done().is_err()
        };
        assert!(!problems(Kind::Case, 12));
        assert!(problems(Kind::Case, 1));
        assert!(!problems(Kind::Gtin, 1));
        assert!(problems(Kind::Alias, 2));
        assert!(problems(Kind::Sku, 1));
    }

    #[test]
    fn the_sku_is_always_the_first_code() {
        let mut checks = Checks::new();
        let id = VariantId(Uuid::from_u128(1));
        let rows = code_rows(&mut checks, id, "Pen-1", &[], "input.");
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].code_key.as_str(), rows[0].kind),
            ("PEN1", Kind::Sku)
        );
    }
}
