//! What parcels are packed in: the kinds of cartons, and which of them for what.
//!
//! The choice is by volume, weight and the longest edges: a carton may be filled to 85 % of its
//! volume, no item may be longer than it in any of its three sorted edges, and it may weigh no more
//! full than it bears. It is not a plan of where each item lies: what fits by these figures may not
//! fit by its shape, so the packer's word stands above it. Items without measures count by weight
//! alone.

use entity::{CartonId, LineId, carton};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use crate::catalogue::changed;
use crate::checks::{Checks, expect_version};
use crate::events::Changes;
use crate::failure::{Failure, Problem};
use crate::tx::Tx;

/// How much of a carton's volume is used, in percent: things do not lie without gaps.
const FILL_PERCENT: i64 = 85;

/// The longest edge of a carton, in millimetres.
const LONGEST_MM: i64 = 10_000;

/// The most that a carton bears, in grams.
const HEAVIEST_GRAMS: i64 = 2_000_000;

/// Units of a line that are to be packed.
#[derive(Clone, Debug)]
pub struct Item {
    /// The line.
    pub line: LineId,
    /// How many units.
    pub units: i64,
    /// Weight of one, in grams.
    pub grams: i64,
    /// The edges of one, in millimetres; none = not measured.
    pub edges: Option<[i64; 3]>,
}

/// A carton with what goes into it.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The carton; none = no carton takes even one of these.
    pub carton: Option<carton::Model>,
    /// Units of each line.
    pub units: Vec<(LineId, i64)>,
    /// What the contents and the carton weigh, in grams.
    pub grams: i64,
}

/// The cartons that are packed in, smallest first.
pub async fn active(db: &impl ConnectionTrait) -> Result<Vec<carton::Model>, DbErr> {
    let mut cartons = carton::Entity::find()
        .filter(carton::Column::Active.eq(true))
        .order_by_asc(carton::Column::Code)
        .all(db)
        .await?;
    cartons.sort_by_key(volume);
    Ok(cartons)
}

fn volume(carton: &carton::Model) -> i64 {
    i64::from(carton.length_mm) * i64::from(carton.width_mm) * i64::from(carton.height_mm)
}

fn sorted(mut edges: [i64; 3]) -> [i64; 3] {
    edges.sort_unstable();
    edges
}

/// Whether units fit together with what is in a carton already.
fn fits(
    carton: &carton::Model,
    volume_used: i64,
    grams_used: i64,
    item: &Item,
    units: i64,
) -> bool {
    let grams = carton.tare_grams + grams_used + item.grams.saturating_mul(units);
    if grams > carton.max_grams {
        return false;
    }
    let Some(edges) = item.edges else {
        return true;
    };
    let inner = sorted([
        i64::from(carton.length_mm),
        i64::from(carton.width_mm),
        i64::from(carton.height_mm),
    ]);
    let long = sorted(edges).iter().zip(inner).any(|(own, its)| *own > its);
    let one: i64 = edges.iter().product();
    let used = volume_used.saturating_add(one.saturating_mul(units));
    !long && used.saturating_mul(100) <= volume(carton).saturating_mul(FILL_PERCENT)
}

/// How many units of an item still fit.
fn room(carton: &carton::Model, volume_used: i64, grams_used: i64, item: &Item) -> i64 {
    let (mut least, mut most) = (0, item.units);
    while least < most {
        let middle = least + (most - least + 1) / 2;
        match fits(carton, volume_used, grams_used, item, middle) {
            true => least = middle,
            false => most = middle - 1,
        }
    }
    least
}

/// Chooses cartons, which come smallest first: the smallest that takes everything; where none does,
/// the largest is filled, the biggest items first, and the rest is looked at again. What no carton
/// takes goes without one, together.
pub fn plan(items: &[Item], cartons: &[carton::Model]) -> Vec<Filled> {
    let mut left: Vec<Item> = items
        .iter()
        .filter(|item| item.units > 0)
        .cloned()
        .collect();
    left.sort_by_key(|item| {
        let volume = item.edges.map_or(0, |edges| edges.iter().product());
        std::cmp::Reverse((volume, item.grams))
    });
    let mut filled = Vec::new();
    while !left.is_empty() {
        let whole = cartons
            .iter()
            .map(|carton| (carton, fill(carton, &left)))
            .find(|(_, units)| {
                left.iter()
                    .zip(units)
                    .all(|(item, units)| item.units == *units)
            });
        let best = whole.or_else(|| {
            let largest = cartons.iter().rev();
            largest
                .map(|carton| (carton, fill(carton, &left)))
                .find(|(_, units)| units.iter().any(|units| *units > 0))
        });
        let (carton, units) = match best {
            Some((carton, units)) => (Some(carton.clone()), units),
            None => (None, left.iter().map(|item| item.units).collect()),
        };
        let grams = left
            .iter()
            .zip(&units)
            .map(|(item, units)| item.grams * units)
            .sum::<i64>();
        filled.push(Filled {
            grams: grams + carton.as_ref().map_or(0, |carton| carton.tare_grams),
            carton,
            units: left
                .iter()
                .zip(&units)
                .filter(|(_, units)| **units > 0)
                .map(|(item, units)| (item.line, *units))
                .collect(),
        });
        for (item, units) in left.iter_mut().zip(units) {
            item.units -= units;
        }
        left.retain(|item| item.units > 0);
    }
    filled
}

/// How many units of each item go into a carton, in the order of the items.
fn fill(carton: &carton::Model, items: &[Item]) -> Vec<i64> {
    let (mut volume_used, mut grams_used) = (0_i64, 0_i64);
    items
        .iter()
        .map(|item| {
            let units = room(carton, volume_used, grams_used, item);
            let one = item.edges.map_or(0, |edges| edges.iter().product::<i64>());
            volume_used = volume_used.saturating_add(one.saturating_mul(units));
            grams_used = grams_used.saturating_add(item.grams.saturating_mul(units));
            units
        })
        .collect()
}

/// What [`save`] needs.
#[derive(Clone, Debug)]
pub struct Save {
    /// Which one; none = a new one.
    pub id: Option<CartonId>,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// Inner length, in millimetres.
    pub length_mm: i32,
    /// Inner width, in millimetres.
    pub width_mm: i32,
    /// Inner height, in millimetres.
    pub height_mm: i32,
    /// What it weighs empty, in grams.
    pub tare_grams: i64,
    /// What it may weigh full, in grams.
    pub max_grams: i64,
    /// Whether it is packed in.
    pub active: bool,
}

/// Makes or changes a kind of carton.
pub async fn save(tx: &Tx, cmd: Save) -> Result<carton::Model, Failure> {
    let mut checks = Checks::new();
    for (field, edge) in [
        ("input.lengthMm", cmd.length_mm),
        ("input.widthMm", cmd.width_mm),
        ("input.heightMm", cmd.height_mm),
    ] {
        checks.count(field, i64::from(edge), 1, LONGEST_MM);
    }
    checks.count("input.tareGrams", cmd.tare_grams, 0, HEAVIEST_GRAMS);
    let least = cmd.tare_grams.clamp(0, HEAVIEST_GRAMS - 1) + 1;
    checks.count("input.maxGrams", cmd.max_grams, least, HEAVIEST_GRAMS);
    let row = carton::Model {
        id: cmd.id.unwrap_or_else(|| tx.id()),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        length_mm: cmd.length_mm,
        width_mm: cmd.width_mm,
        height_mm: cmd.height_mm,
        tare_grams: cmd.tare_grams,
        max_grams: cmd.max_grams,
        active: cmd.active,
        version: 1,
    };
    checks.done()?;
    let mut before = None;
    let saved = match cmd.id {
        None => carton::Entity::insert(sea_orm::IntoActiveModel::into_active_model(row.clone()))
            .exec_without_returning(tx.db())
            .await
            .map(|_| row.clone()),
        Some(id) => {
            let mut query = carton::Entity::find_by_id(id);
            if tx.locks_rows() {
                query = sea_orm::QuerySelect::lock_exclusive(query);
            }
            let held = query
                .one(tx.db())
                .await?
                .ok_or_else(|| Problem::not_found("carton").at("input.id"))?;
            expect_version("carton", held.version, cmd.expected_version)?;
            let row = carton::Model {
                version: held.version + 1,
                ..row.clone()
            };
            before = Some(held);
            let whole: carton::ActiveModel = row.clone().into();
            carton::Entity::update(sea_orm::ActiveModelTrait::reset_all(whole))
                .exec(tx.db())
                .await
        }
    };
    let row = saved.map_err(|error| {
        let failure = Failure::from(error);
        match failure.unique_violation() {
            Some(_) => Problem::new(
                crate::failure::Code::CodeTaken,
                format!("{} is taken", row.code),
            )
            .at("input.code")
            .into(),
            None => failure,
        }
    })?;
    let changes = Changes::between(before.as_ref(), &row);
    changed(tx, "carton", row.id, row.version, &row.code, changes);
    Ok(row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn carton(code: &str, edges: [i32; 3], max_grams: i64) -> carton::Model {
        carton::Model {
            id: CartonId(Uuid::nil()),
            code: code.to_owned(),
            name: code.to_owned(),
            length_mm: edges[0],
            width_mm: edges[1],
            height_mm: edges[2],
            tare_grams: 100,
            max_grams,
            active: true,
            version: 1,
        }
    }

    fn item(n: u128, units: i64, grams: i64, edges: Option<[i64; 3]>) -> Item {
        Item {
            line: LineId(Uuid::from_u128(n)),
            units,
            grams,
            edges,
        }
    }

    fn codes(filled: &[Filled]) -> Vec<String> {
        let code = |one: &Filled| one.carton.as_ref().map_or("-".into(), |c| c.code.clone());
        filled.iter().map(code).collect()
    }

    #[test]
    fn the_smallest_that_takes_everything_is_chosen_and_else_the_largest_is_filled() {
        let cartons = [
            carton("S", [200, 150, 100], 2_000),
            carton("L", [400, 300, 200], 10_000),
        ];
        let small = item(1, 2, 300, Some([100, 100, 50]));
        assert_eq!(codes(&plan(&[small], &cartons)), ["S"]);
        // Too long for the small one, though there is room.
        let long = item(1, 1, 300, Some([350, 20, 20]));
        assert_eq!(codes(&plan(&[long], &cartons)), ["L"]);
        // Too heavy for one large one: a large one is filled, and what is left finds its own.
        let heavy = item(1, 12, 1_000, Some([50, 50, 50]));
        assert_eq!(codes(&plan(&[heavy], &cartons)), ["L", "L"]);
        // Nothing takes it.
        let huge = item(1, 1, 300, Some([900, 900, 900]));
        let light = item(2, 1, 100, None);
        assert_eq!(codes(&plan(&[huge, light], &cartons)), ["L", "-"]);
    }

    proptest! {
        #[test]
        fn every_unit_is_in_one_parcel_and_no_carton_is_overfull(
            items in prop::collection::vec((0i64..20, 1i64..4_000, prop::option::of((1i64..400, 1i64..400, 1i64..400))), 1..8),
        ) {
            let cartons = [
                carton("S", [200, 150, 100], 2_000),
                carton("M", [300, 200, 200], 5_000),
                carton("L", [400, 300, 200], 10_000),
            ];
            let items: Vec<Item> = (1u128..).zip(items).map(|(n, (units, grams, edges))| {
                item(n, units, grams, edges.map(|(a, b, c)| [a, b, c]))
            }).collect();
            let filled = plan(&items, &cartons);
            for item in &items {
                let packed: i64 = filled.iter().flat_map(|one| &one.units)
                    .filter(|(line, _)| *line == item.line).map(|(_, units)| units).sum();
                prop_assert_eq!(packed, item.units);
            }
            for one in &filled {
                prop_assert!(!one.units.is_empty());
                if let Some(carton) = &one.carton {
                    prop_assert!(one.grams <= carton.max_grams);
                }
            }
        }
    }
}
