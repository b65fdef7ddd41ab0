//! What is done on the floor: lists are taken, units scanned twice, parcels packed, labelled and
//! handed over. The answers are small: they are made for a scanner's screen.

use std::sync::{Mutex, PoisonError};

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::NaiveDate;
use entity::{BinId, PackageId, PickListId, ShipmentId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::plan::{LineUnitsInput, everybodys, named, read_named, run_once, units};
use super::{Package, PickList, Shipment};
use crate::access::Scope;
use crate::app::Answered;
use crate::failure::{Code, Failure, Problem};
use crate::fulfillment::scans::{MOST_UNITS, Read, Scanned};
use crate::fulfillment::{dispatch, lists, packing, picking};
use crate::graphql::catalogue::warehouses::Bin;
use crate::graphql::documents::Document;
use crate::graphql::errors::{UserError, fault, outcome};
use crate::graphql::ids::from_global;
use crate::graphql::loaders::load;
use crate::graphql::once::once_required;
use crate::graphql::orders::order_of;
use crate::graphql::shelf::changeable;
use crate::graphql::{Allowed, actor, app, principal};

/// The most shipments that one request hands over.
const MOST_SHIPMENTS: usize = 250;

/// What `pickListClaim` and `pickListHandBack` need.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PickListInput {
    /// Which list (NOT_FOUND).
    pub id: ID,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `pickScan` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PickScanInput {
    /// The list, which is yours (PICK_LIST_TAKEN).
    pub pick_list_id: ID,
    /// The bin's label, if it was read, too; otherwise it is the first bin of the walk that has
    /// some of it to give.
    pub bin: Option<String>,
    /// The barcode: of a unit, or of a case, which is worth several.
    pub code: String,
    /// How often it counts, for who keys in how many lie in the hand; 1 if not given. A scan stands
    /// for at most 10,000 units.
    #[graphql(default = 1)]
    pub quantity: i64,
    /// The scanner's name, at most 128 characters.
    pub device: Option<String>,
    /// The scan's own name: sent again, it counts once. Or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `packScan` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PackScanInput {
    /// The package.
    pub package_id: ID,
    /// The barcode: of a unit, or of a case, which is worth several.
    pub code: String,
    /// How often it counts; 1 if not given. A scan stands for at most 10,000 units.
    #[graphql(default = 1)]
    pub quantity: i64,
    /// The scanner's name, at most 128 characters.
    pub device: Option<String>,
    /// The scan's own name: sent again, it counts once. Or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `pickShort` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PickShortInput {
    /// The list, which is yours (PICK_LIST_TAKEN).
    pub pick_list_id: ID,
    /// The bin that has too few.
    pub bin_id: ID,
    /// What is short there.
    pub variant_id: ID,
    /// How many units lie there, apart from what was scanned already.
    pub found: i64,
    /// Why, if you know: broken, mixed up.
    pub reason: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `stockMove` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct StockMoveInput {
    /// What (NOT_FOUND).
    pub variant_id: ID,
    /// From which bin (NOT_FOUND).
    pub from_bin_id: ID,
    /// Into which bin of the same warehouse (NOT_FOUND).
    pub to_bin_id: ID,
    /// How many units.
    pub quantity: i64,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. One of the
    /// two is required (INVALID_INPUT).
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `stockMove` came to.
#[derive(SimpleObject)]
pub struct StockMovePayload {
    /// The bin that the units are in now; null if it was refused.
    pub bin: Option<Bin>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What `packageOpen` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PackageOpenInput {
    /// The shipment (NOT_FOUND).
    pub shipment_id: ID,
    /// The code of the carton (NOT_FOUND); the smallest that fits if not given.
    pub carton: Option<String>,
    /// What it is to hold; if not given, what the choice of cartons puts into the first one.
    #[graphql(validator(max_items = 5000))]
    pub lines: Option<Vec<LineUnitsInput>>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `packageClose` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PackageCloseInput {
    /// The package (NOT_FOUND).
    pub id: ID,
    /// What it was weighed at, in grams; what its contents should weigh if not given.
    pub weight_grams: Option<i64>,
    /// Whether a weight that is more than 10 % and 50 g from what it should be is right all the same
    /// (PACKAGE_WEIGHT_IMPLAUSIBLE).
    #[graphql(default)]
    pub accept_weight: bool,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `packageEmpty` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct PackageEmptyInput {
    /// The package (NOT_FOUND).
    pub id: ID,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// A parcel's name at its carrier.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct ParcelLabelInput {
    /// The package.
    pub package_id: ID,
    /// Its name at the carrier: 1 to 64 characters, no blanks.
    pub tracking_number: String,
    /// Where the customer can follow it.
    pub tracking_url: Option<String>,
}

/// What `shipmentLabelRecord` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct ShipmentLabelRecordInput {
    /// The shipment, packed (NOT_FOUND).
    pub id: ID,
    /// The carrier: 1 to 64 characters, no blanks.
    pub carrier: String,
    /// The carrier's service.
    pub service: String,
    /// A label for every package.
    #[graphql(validator(max_items = 1000))]
    pub parcels: Vec<ParcelLabelInput>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `pickListPrint` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PickListPrintInput {
    /// Which list (NOT_FOUND).
    pub id: ID,
}

/// What `shipmentPrint` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShipmentPrintInput {
    /// Which shipment (NOT_FOUND).
    pub id: ID,
}

/// What `manifestPrint` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ManifestPrintInput {
    /// The warehouse (NOT_FOUND).
    pub warehouse_id: ID,
    /// The carrier's code.
    pub carrier: String,
    /// The day, of UTC.
    pub date: NaiveDate,
}

/// What printing one document came to.
#[derive(SimpleObject)]
pub struct DocumentPayload {
    /// The document; null if it was refused.
    pub document: Option<Document>,
    /// Why nothing was printed; empty if it was.
    pub user_errors: Vec<UserError>,
}

/// What `shipmentPrint` came to.
#[derive(SimpleObject)]
pub struct ShipmentPrintPayload {
    /// The labels and packing slips of its packages.
    pub documents: Vec<Document>,
    /// Why nothing was printed; empty if it was.
    pub user_errors: Vec<UserError>,
}

async fn printed(
    ctx: &Context<'_>,
    result: Result<entity::DocumentId, Failure>,
) -> Result<DocumentPayload> {
    let (id, user_errors) = outcome(result)?;
    Ok(DocumentPayload {
        document: match id {
            Some(id) => load(ctx, id).await?.map(Document::from),
            None => None,
        },
        user_errors,
    })
}

/// What `trackingCorrect` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct TrackingCorrectInput {
    /// The package, which has left (NOT_FOUND).
    pub package_id: ID,
    /// Its right name at the carrier: 1 to 64 characters, no blanks.
    pub tracking_number: String,
    /// Where the customer can follow it.
    pub tracking_url: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `shipmentDispatch` needs.
#[derive(Clone, Debug, InputObject, Serialize)]
pub struct ShipmentDispatchInput {
    /// Which shipments: one, or a manifest of at most 250 (TOO_MANY).
    pub ids: Vec<ID>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What a change of a pick list came to.
#[derive(SimpleObject)]
pub struct PickListPayload {
    /// The list as it is now; null if it was refused.
    pub pick_list: Option<PickList>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Units that go into a slot of the cart.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub struct SlotUnits {
    /// The slot, from 1.
    pub slot: i32,
    /// How many units.
    pub units: i64,
}

/// What a scan came to.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub struct Scan {
    /// Whether it counted.
    pub accepted: bool,
    /// The SKU of what was scanned; null if it is not known.
    pub sku: Option<String>,
    /// Its title; null if it is not known.
    pub title: Option<String>,
    /// How many units it counted for.
    pub units: i64,
    /// The slots that the units go into; empty at a packing table.
    pub slots: Vec<SlotUnits>,
    /// How many units are left to scan: on the list, or for the package.
    pub left: i64,
}

/// What `pickScan` and `packScan` came to.
#[derive(SimpleObject)]
pub struct ScanPayload {
    /// What the scan came to, counted or not; null if there was nothing to scan for.
    pub scan: Option<Scan>,
    /// Why it did not count; empty if it did. A scan that did not count is written down.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What `pickShort` came to.
#[derive(SimpleObject)]
pub struct PickShortPayload {
    /// The list as it is now; null if it was refused.
    pub pick_list: Option<PickList>,
    /// How many units were not there.
    pub short: i64,
    /// How many of them are taken from other bins instead.
    pub elsewhere: i64,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What a change of a package came to.
#[derive(SimpleObject)]
pub struct PackagePayload {
    /// The package as it is now; null if it was refused.
    pub package: Option<Package>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What a change of a shipment came to.
#[derive(SimpleObject)]
pub struct ShipmentPayload {
    /// The shipment as it is now; null if it was refused.
    pub shipment: Option<Shipment>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// What `shipmentDispatch` came to.
#[derive(SimpleObject)]
pub struct ShipmentDispatchPayload {
    /// What became of each, in their order. One that is refused keeps none of the others.
    pub results: Vec<ShipmentPayload>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
}

/// A scan as it is kept for a repetition of it.
#[derive(Serialize, Deserialize)]
struct Kept {
    scan: Scan,
    problem: Option<Problem>,
}

fn kept(scanned: Scanned) -> serde_json::Value {
    json!({ "scanned": Kept {
        scan: Scan {
            accepted: scanned.refusal.is_none(),
            sku: scanned.variant.as_ref().map(|variant| variant.sku.clone()),
            title: scanned.variant.map(|variant| variant.title),
            units: scanned.units,
            slots: scanned
                .slots
                .into_iter()
                .map(|(slot, units)| SlotUnits { slot, units })
                .collect(),
            left: scanned.left,
        },
        problem: scanned.refusal,
    }})
}

fn scan_payload(done: (Option<Answered>, Vec<UserError>)) -> Result<ScanPayload> {
    let (answered, mut user_errors) = done;
    let kept: Option<Kept> = named(answered.as_ref(), "scanned")?;
    let replayed = answered.is_some_and(|answered| answered.replayed);
    let scan = kept.map(|kept| {
        user_errors.extend(kept.problem.map(UserError::from));
        kept.scan
    });
    Ok(ScanPayload {
        scan,
        user_errors,
        replayed,
    })
}

fn read(code: &str, quantity: i64, device: Option<&str>) -> Result<Read, Problem> {
    if !(1..=MOST_UNITS).contains(&quantity) {
        return Err(Problem::new(
            Code::QuantityInvalid,
            format!("the quantity must be between 1 and {MOST_UNITS}"),
        )
        .at("input.quantity"));
    }
    Ok(Read {
        code: code.to_owned(),
        quantity,
        device: device.map(str::to_owned),
    })
}

/// The shipment under an identifier, if the caller sees its order.
pub async fn shipment(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<Result<ShipmentId, Problem>> {
    let id: ShipmentId = match from_global(id, field) {
        Ok(id) => id,
        Err(problem) => return Ok(Err(problem)),
    };
    let seen = match load(ctx, id).await? {
        Some(row) => order_of(ctx, row.order_id).await?,
        None => None,
    };
    Ok(match seen {
        Some(order) => changeable(ctx, order.id, field).map(|()| id),
        None => Err(Problem::not_found("Shipment").at(field)),
    })
}

/// The package under an identifier, if the caller sees its order.
async fn package(ctx: &Context<'_>, id: &ID, field: &str) -> Result<Result<PackageId, Problem>> {
    let id: PackageId = match from_global(id, field) {
        Ok(id) => id,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut seen = None;
    if let Some(row) = load(ctx, id).await?
        && let Some(of) = load(ctx, row.shipment_id).await?
    {
        seen = order_of(ctx, of.order_id).await?;
    }
    Ok(match seen {
        Some(order) => changeable(ctx, order.id, field).map(|()| id),
        None => Err(Problem::not_found("Package").at(field)),
    })
}

async fn list_payload(
    ctx: &Context<'_>,
    (answered, user_errors): (Option<Answered>, Vec<UserError>),
) -> Result<PickListPayload> {
    Ok(PickListPayload {
        pick_list: read_named::<PickListId, _>(ctx, answered.as_ref(), "pickList").await?,
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

async fn package_payload(
    ctx: &Context<'_>,
    (answered, user_errors): (Option<Answered>, Vec<UserError>),
) -> Result<PackagePayload> {
    Ok(PackagePayload {
        package: read_named::<PackageId, _>(ctx, answered.as_ref(), "package").await?,
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

async fn shipment_payload(
    ctx: &Context<'_>,
    (answered, user_errors): (Option<Answered>, Vec<UserError>),
) -> Result<ShipmentPayload> {
    Ok(ShipmentPayload {
        shipment: read_named::<ShipmentId, _>(ctx, answered.as_ref(), "shipment").await?,
        user_errors,
        replayed: answered.is_some_and(|answered| answered.replayed),
    })
}

/// What is done on the floor.
#[derive(Default)]
pub struct FloorMutation;

/// What is done on the floor.
#[Object]
impl FloorMutation {
    /// Takes a pick list to pick it: nobody else gets it. Refusals: NOT_FOUND, PICK_LIST_TAKEN,
    /// FULFILLMENT_STATE_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pick_list_claim(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which list.")] input: PickListInput,
    ) -> Result<PickListPayload> {
        let cmd = everybodys::<PickListId>(ctx, &input.id, "input.id")?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "pickListClaim",
            &input,
            key,
            cmd,
            |tx, id| async move { Ok(json!({ "pickList": picking::claim(&tx, id).await?.id })) },
        )
        .await?;
        list_payload(ctx, done).await
    }

    /// Gives a pick list back, for somebody else to go on with. Who has the scope
    /// FULFILLMENT_MANAGE may give back another's. Refusals: NOT_FOUND, PICK_LIST_TAKEN,
    /// FULFILLMENT_STATE_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pick_list_hand_back(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which list.")] input: PickListInput,
    ) -> Result<PickListPayload> {
        let planner = principal(ctx)?.may(Scope::FulfillmentManage);
        let cmd = everybodys::<PickListId>(ctx, &input.id, "input.id")?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "pickListHandBack",
            &input,
            key,
            cmd,
            move |tx, id| async move {
                Ok(json!({ "pickList": picking::hand_back(&tx, id, planner).await?.id }))
            },
        )
        .await?;
        list_payload(ctx, done).await
    }

    /// Counts units that were scanned at their bin, and says into which slots they go. A scan that
    /// does not count changes nothing, and is written down: SCAN_UNKNOWN, SCAN_NOT_WANTED,
    /// SCAN_WRONG_BIN, SCAN_OVER, PICK_UNAVAILABLE. Refusals besides: NOT_FOUND, PICK_LIST_TAKEN,
    /// FULFILLMENT_STATE_INVALID, QUANTITY_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the
    /// scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pick_scan(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was read, for which list.")] input: PickScanInput,
    ) -> Result<ScanPayload> {
        let list = everybodys::<PickListId>(ctx, &input.pick_list_id, "input.pickListId")?;
        let cmd = list.and_then(|list_id| {
            Ok(picking::ScanPick {
                list_id,
                bin: input.bin.clone(),
                read: read(&input.code, input.quantity, input.device.as_deref())?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "pickScan", &input, key, cmd, |tx, cmd| async move {
            Ok(kept(picking::scan(&tx, &cmd).await?))
        })
        .await?;
        scan_payload(done)
    }

    /// Takes your word that a bin has fewer units than the list wants: the count is booked, and the
    /// units come from other bins if there are some. Otherwise their orders wait for stock, with an
    /// exception each. Refusals: NOT_FOUND, PICK_LIST_TAKEN, FULFILLMENT_STATE_INVALID,
    /// QUANTITY_INVALID, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pick_short(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was found, where.")] input: PickShortInput,
    ) -> Result<PickShortPayload> {
        let list = everybodys::<PickListId>(ctx, &input.pick_list_id, "input.pickListId")?;
        let cmd = list.and_then(|list_id| {
            Ok(picking::Short {
                list_id,
                bin_id: from_global(&input.bin_id, "input.binId")?,
                variant_id: from_global(&input.variant_id, "input.variantId")?,
                found: input.found,
                reason: input.reason.clone(),
            })
        });
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let key = input.idempotency_key.as_deref();
        let (answered, user_errors) = run_once(
            ctx,
            "pickShort",
            &input,
            key,
            cmd,
            move |tx, cmd| async move {
                let shortage = picking::short(&tx, reference, &cmd).await?;
                Ok(json!({
                    "pickList": cmd.list_id,
                    "short": shortage.short,
                    "elsewhere": shortage.elsewhere,
                }))
            },
        )
        .await?;
        Ok(PickShortPayload {
            short: named(answered.as_ref(), "short")?.unwrap_or_default(),
            elsewhere: named(answered.as_ref(), "elsewhere")?.unwrap_or_default(),
            pick_list: read_named::<PickListId, _>(ctx, answered.as_ref(), "pickList").await?,
            user_errors,
            replayed: answered.is_some_and(|answered| answered.replayed),
        })
    }

    /// Moves units from one bin to another of the same warehouse: replenishment, tidying up, putting
    /// away what lies at staging for nobody. What is on pick lists or waits to leave stays. Refusals:
    /// NOT_FOUND, QUANTITY_INVALID, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the
    /// scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn stock_move(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, from where, into where.")] input: StockMoveInput,
    ) -> Result<StockMovePayload> {
        let key = input.idempotency_key.as_deref();
        let claim = once_required(ctx, "stockMove", &input, key);
        let cmd = claim.and_then(|_| {
            Ok(lists::MoveUnits {
                variant_id: from_global(&input.variant_id, "input.variantId")?,
                from: from_global(&input.from_bin_id, "input.fromBinId")?,
                to: from_global(&input.to_bin_id, "input.toBinId")?,
                units: input.quantity,
            })
        });
        let (answered, user_errors) =
            run_once(ctx, "stockMove", &input, key, cmd, |tx, cmd| async move {
                lists::move_units(&tx, &cmd).await?;
                Ok(json!({ "bin": cmd.to }))
            })
            .await?;
        Ok(StockMovePayload {
            bin: read_named::<BinId, _>(ctx, answered.as_ref(), "bin").await?,
            user_errors,
            replayed: answered.is_some_and(|answered| answered.replayed),
        })
    }

    /// Opens a package for units of a shipment that are to go into none yet. Refusals: NOT_FOUND,
    /// FULFILLMENT_STATE_INVALID, QUANTITY_INVALID, LINES_MISSING, IDEMPOTENCY_KEY_REUSED,
    /// IN_PROGRESS. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn package_open(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which shipment, and for what.")] input: PackageOpenInput,
    ) -> Result<PackagePayload> {
        let of = shipment(ctx, &input.shipment_id, "input.shipmentId").await?;
        let cmd = of.and_then(|shipment_id| {
            let lines = input.lines.as_deref();
            Ok(packing::Open {
                shipment_id,
                carton: input.carton.clone(),
                lines: lines.map(|lines| units(lines, "input.lines")).transpose()?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "packageOpen", &input, key, cmd, |tx, cmd| async move {
            Ok(json!({ "package": packing::open(&tx, &cmd).await? }))
        })
        .await?;
        package_payload(ctx, done).await
    }

    /// Counts units that were scanned into a package. A scan that does not count changes nothing,
    /// and is written down: SCAN_UNKNOWN, SCAN_NOT_WANTED, SCAN_OTHER_ORDER, SCAN_OVER,
    /// SCAN_NOT_PICKED, SCAN_SAME_PERSON. Refusals besides: NOT_FOUND, FULFILLMENT_STATE_INVALID,
    /// QUANTITY_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pack_scan(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was read, for which package.")] input: PackScanInput,
    ) -> Result<ScanPayload> {
        let of = package(ctx, &input.package_id, "input.packageId").await?;
        let cmd = of.and_then(|package_id| {
            Ok(packing::ScanPack {
                package_id,
                read: read(&input.code, input.quantity, input.device.as_deref())?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "packScan", &input, key, cmd, |tx, cmd| async move {
            Ok(kept(packing::scan(&tx, &cmd).await?))
        })
        .await?;
        scan_payload(done)
    }

    /// Closes a package that holds exactly what it should, scanned at its bin and again into it.
    /// Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID, PACKAGE_INCOMPLETE,
    /// PACKAGE_WEIGHT_IMPLAUSIBLE, QUANTITY_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the
    /// scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn package_close(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which package, and its weight.")] input: PackageCloseInput,
    ) -> Result<PackagePayload> {
        let of = package(ctx, &input.id, "input.id").await?;
        let cmd = of.map(|package_id| packing::Close {
            package_id,
            weight_grams: input.weight_grams,
            accept_weight: input.accept_weight,
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "packageClose",
            &input,
            key,
            cmd,
            |tx, cmd| async move { Ok(json!({ "package": packing::close(&tx, &cmd).await? })) },
        )
        .await?;
        package_payload(ctx, done).await
    }

    /// Empties a package that has no label yet: its units are to be packed again. Refusals:
    /// NOT_FOUND, FULFILLMENT_STATE_INVALID, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn package_empty(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which package.")] input: PackageEmptyInput,
    ) -> Result<ShipmentPayload> {
        let cmd = package(ctx, &input.id, "input.id").await?;
        let key = input.idempotency_key.as_deref();
        let done = run_once(ctx, "packageEmpty", &input, key, cmd, |tx, id| async move {
            Ok(json!({ "shipment": packing::empty(&tx, id).await? }))
        })
        .await?;
        shipment_payload(ctx, done).await
    }

    /// Records labels that were bought elsewhere for a packed shipment, one for every package.
    /// Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID, LABEL_MISSING, SHIPMENT_NOT_DISPATCHABLE (a
    /// hold or an exception stops the order), INVALID_INPUT, NAME_INVALID, IDEMPOTENCY_KEY_REUSED,
    /// IN_PROGRESS. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn shipment_label_record(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The labels of which shipment.")] input: ShipmentLabelRecordInput,
    ) -> Result<ShipmentPayload> {
        let of = shipment(ctx, &input.id, "input.id").await?;
        let cmd = of.and_then(|shipment_id| {
            let parcels = input.parcels.iter().enumerate();
            Ok(dispatch::Label {
                shipment_id,
                carrier: input.carrier.clone(),
                service: input.service.clone(),
                choice: None,
                cost: None,
                promised_at: None,
                parcels: parcels
                    .map(|(place, parcel)| {
                        let field = format!("input.parcels.{place}.packageId");
                        Ok(dispatch::Tracking {
                            package_id: from_global(&parcel.package_id, &field)?,
                            number: parcel.tracking_number.clone(),
                            url: parcel.tracking_url.clone(),
                        })
                    })
                    .collect::<Result<_, Problem>>()?,
            })
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "shipmentLabelRecord",
            &input,
            key,
            cmd,
            |tx, cmd| async move {
                dispatch::label(&tx, &cmd).await?;
                Ok(json!({ "shipment": cmd.shipment_id }))
            },
        )
        .await?;
        shipment_payload(ctx, done).await
    }

    /// Prints the sheet of a pick list: what is left to pick now, in walking order. Refusals:
    /// NOT_FOUND. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn pick_list_print(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which list.")] input: PickListPrintInput,
    ) -> Result<DocumentPayload> {
        let result = match everybodys::<PickListId>(ctx, &input.id, "input.id")? {
            Ok(id) => app(ctx).print_list(&actor(ctx)?, id).await,
            Err(problem) => Err(problem.into()),
        };
        printed(ctx, result).await
    }

    /// Prints what a shipment lacks of its labels and packing slips; what was printed before stays.
    /// Who labels a shipment has them printed. Refusals: NOT_FOUND, DOCUMENT_UNPRINTABLE. Needs the
    /// scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn shipment_print(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which shipment.")] input: ShipmentPrintInput,
    ) -> Result<ShipmentPrintPayload> {
        let result = match shipment(ctx, &input.id, "input.id").await? {
            Ok(id) => app(ctx).print_shipment(&actor(ctx)?, id).await,
            Err(problem) => Err(problem.into()),
        };
        let (ids, user_errors) = outcome(result)?;
        let mut documents = Vec::new();
        for id in ids.unwrap_or_default() {
            documents.extend(load(ctx, id).await?.map(Document::from));
        }
        Ok(ShipmentPrintPayload {
            documents,
            user_errors,
        })
    }

    /// Prints what was handed over to a carrier at a warehouse on one day, for the driver to sign.
    /// Refusals: NOT_FOUND (nothing was). Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn manifest_print(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, for which carrier, and when.")] input: ManifestPrintInput,
    ) -> Result<DocumentPayload> {
        let warehouse =
            everybodys::<entity::WarehouseId>(ctx, &input.warehouse_id, "input.warehouseId")?;
        let result = match warehouse {
            Ok(id) => {
                let carrier = input.carrier.trim();
                app(ctx)
                    .print_manifest(&actor(ctx)?, id, carrier, input.date)
                    .await
            }
            Err(problem) => Err(problem.into()),
        };
        printed(ctx, result).await
    }

    /// Corrects the name at the carrier of a parcel that has left. The customer is told, by a notice
    /// of its own. Refusals: NOT_FOUND, FULFILLMENT_STATE_INVALID, INVALID_INPUT,
    /// IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn tracking_correct(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which parcel, and its right name.")] input: TrackingCorrectInput,
    ) -> Result<ShipmentPayload> {
        let of = package(ctx, &input.package_id, "input.packageId").await?;
        let cmd = of.map(|package_id| dispatch::CorrectTracking {
            package_id,
            number: input.tracking_number.clone(),
            url: input.tracking_url.clone(),
        });
        let key = input.idempotency_key.as_deref();
        let done = run_once(
            ctx,
            "trackingCorrect",
            &input,
            key,
            cmd,
            |tx, cmd| async move {
                Ok(json!({ "shipment": dispatch::correct_tracking(&tx, &cmd).await? }))
            },
        )
        .await?;
        shipment_payload(ctx, done).await
    }

    /// Hands shipments over to their carrier: what they hold becomes shipped and leaves the stock.
    /// Each by itself: one that is refused keeps none of the others. Refusals: NOT_FOUND,
    /// SHIPMENT_NOT_DISPATCHABLE (not packed, no labels, left already, cancelled, or its order is
    /// stopped), TOO_MANY, IDEMPOTENCY_KEY_REUSED, IN_PROGRESS. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn shipment_dispatch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which shipments.")] input: ShipmentDispatchInput,
    ) -> Result<ShipmentDispatchPayload> {
        if input.ids.is_empty() || input.ids.len() > MOST_SHIPMENTS {
            let problem = Problem::new(
                Code::TooMany,
                format!("1 to {MOST_SHIPMENTS} shipments are handed over at once"),
            );
            return Ok(ShipmentDispatchPayload {
                results: Vec::new(),
                user_errors: vec![problem.at("input.ids").into()],
            });
        }
        let reference = &app(ctx).reference().await.map_err(fault)?;
        let header = ctx.data::<crate::http::IdempotencyKey>().ok();
        let key = input
            .idempotency_key
            .clone()
            .or_else(|| header.map(|key| key.0.clone()));
        let mut results = Vec::with_capacity(input.ids.len());
        for (place, id) in input.ids.iter().enumerate() {
            let cmd = shipment(ctx, id, &format!("input.ids.{place}")).await?;
            // A key of its own for each, whatever its place.
            let own = key.as_ref().map(|key| {
                let key: String = key.chars().take(200).collect();
                format!("{key}/{}", id.as_str())
            });
            let owed = &Mutex::new(Vec::new());
            let done = run_once(
                ctx,
                "shipmentDispatch",
                &id.as_str(),
                own.as_deref(),
                cmd,
                move |tx, id| async move {
                    let dispatched = dispatch::dispatch(&tx, reference, id).await?;
                    // The case may run again; what it owed the first time was rolled back with it.
                    *owed.lock().unwrap_or_else(PoisonError::into_inner) = dispatched.effects;
                    Ok(json!({ "shipment": id }))
                },
            )
            .await?;
            let effects = std::mem::take(&mut *owed.lock().unwrap_or_else(PoisonError::into_inner));
            if let Err(failure) = app(ctx).ask_gateways(effects).await {
                // It has left; what is owed to the gateway is left to the reconciler.
                tracing::error!(%failure, "a gateway call will be made later");
            }
            results.push(shipment_payload(ctx, done).await?);
        }
        Ok(ShipmentDispatchPayload {
            results,
            user_errors: Vec::new(),
        })
    }
}
