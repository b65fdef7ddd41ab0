//! Two days of the demo merchant's work, so that the first look is at a shop that is open.
//!
//! Everything happens through the commands that people and programs use, at the times when it would
//! have happened: nothing is written past them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Duration, SubsecRound, Utc};
use entity::order::{PaymentMethod, Source};
use entity::shipment::{self, Status, TrackingStatus};
use entity::wave::Grouping;
use entity::{
    OrderId, PackageId, PickListId, ShipmentId, VariantId, WarehouseId, bin, package, package_line,
    pick_task, variant, warehouse,
};
use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::access::Principal;
use crate::app::App;
use crate::capture::Submission;
use crate::capture::submission::{
    SubmittedAddress, SubmittedCustomer, SubmittedLine, SubmittedPayment,
};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::fulfillment::scans::Read;
use crate::fulfillment::{dispatch, packing, picking, tracking, waves};
use crate::notifications::mailer::{Answer, Mail, Mailer};
use crate::orders;
use crate::payments::gateway::Sandbox;
use crate::shipping::messages::Report;
use crate::shipping::port::Sighting;
use crate::tx::Actor;
use crate::workers;

/// Who buys in the web shop: name, street, postal code, place, country.
const GUESTS: &[(&str, &str, &str, &str, &str)] = &[
    ("Anna Leitner", "Ringstraße 1", "1010", "Wien", "AT"),
    ("Jonas Weber", "Kantstraße 24", "10623", "Berlin", "DE"),
    (
        "Lucía Ferrer",
        "Calle de Alcalá 42",
        "28014",
        "Madrid",
        "ES",
    ),
    ("Émile Laurent", "12 Rue Oberkampf", "75011", "Paris", "FR"),
    ("Maja Nowak", "Piękna 18", "00-549", "Warszawa", "PL"),
    (
        "Sanne de Groot",
        "Prinsengracht 263",
        "1016 GV",
        "Amsterdam",
        "NL",
    ),
    ("Matteo Ricci", "Via Torino 51", "20123", "Milano", "IT"),
    ("Freja Holm", "Vesterbrogade 96", "1620", "København", "DK"),
    ("Karl Steiner", "Linzer Gasse 7", "5020", "Salzburg", "AT"),
    (
        "Elin Sandberg",
        "Drottninggatan 71",
        "111 36",
        "Stockholm",
        "SE",
    ),
    ("Noor Peeters", "Vlaanderenstraat 30", "9000", "Gent", "BE"),
    ("Theo Brandt", "Schanzenstraße 12", "20357", "Hamburg", "DE"),
];

/// What is bought together.
const BASKETS: &[&[(&str, i64)]] = &[
    &[("ESP-250", 2), ("MUG-WHITE", 1)],
    &[("FIL-ETH", 1), ("FILT-02", 2)],
    &[("TEA-BLK-EARL", 2), ("TIN-S", 1)],
    &[("MOKA-3", 1), ("ESP-250-GROUND", 1)],
    &[("DRIP-01", 1), ("FIL-KEN", 1), ("FILT-01", 1)],
    &[("CUP-ESP-WHITE", 1)],
    &[("ESP-KG-BEAN", 1), ("SYRUP-VAN", 1)],
    &[("PRESS-350", 1), ("FIL-COL", 2)],
    &[("TEA-GRN-SENCHA", 1), ("TEAPOT-GLASS", 1)],
    &[("GIFT-COFFEE", 1)],
    &[("GLASS-M", 2), ("SYRUP-CAR", 1)],
];

/// A clock that stands where it is put.
struct Past(AtomicI64);

impl Past {
    fn stand_at(&self, at: DateTime<Utc>) {
        self.0.store(at.timestamp_micros(), Ordering::Relaxed);
    }
}

impl Clock for Past {
    fn now(&self) -> DateTime<Utc> {
        let at = DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed));
        at.unwrap_or_default().trunc_subsecs(6)
    }
}

/// Takes what is sent and lets it fall: nobody waits for the mail of two days ago.
struct Nobody;

#[async_trait]
impl Mailer for Nobody {
    async fn send(&self, _: &Mail) -> Answer {
        Answer::accepted("the demo sends no mail")
    }
}

/// The shop as it was.
struct Shop {
    app: Arc<App>,
    clock: Arc<Past>,
    now: DateTime<Utc>,
    warehouses: Vec<WarehouseId>,
    skus: BTreeMap<VariantId, String>,
    taken: usize,
}

/// Fills a database without channels with the demo merchant and its last two days; returns whether
/// it did. `app` is who serves it afterwards.
pub async fn open(app: &App) -> Result<bool, Failure> {
    let now = app.clock.now();
    let clock = Arc::new(Past(AtomicI64::new(0)));
    clock.stand_at(now - Duration::hours(52));
    let past = App::new(
        app.db.clone(),
        clock.clone(),
        app.config.clone(),
        Arc::new(Sandbox),
        Arc::new(Nobody),
    );
    if !super::seed(&past).await? {
        return Ok(false);
    }
    let warehouses = warehouse::Entity::find()
        .order_by_desc(warehouse::Column::Code)
        .all(&past.db.read)
        .await?;
    let variants = variant::Entity::find().all(&past.db.read).await?;
    let mut shop = Shop {
        app: past,
        clock,
        now,
        warehouses: warehouses.into_iter().map(|row| row.id).collect(),
        skus: variants.into_iter().map(|row| (row.id, row.sku)).collect(),
        taken: 0,
    };
    shop.first_day().await?;
    shop.second_day().await?;
    shop.today().await?;
    app.invalidate_reference();
    Ok(true)
}

impl Shop {
    /// Fourteen orders that went out, most of them delivered.
    async fn first_day(&mut self) -> Result<(), Failure> {
        // Its capture will be refused when the carrier has it.
        let mut refused = self.usual();
        refused.payment.token = Some("tok_capture_decline".to_owned());
        self.order(51 * 60, refused).await?;
        for minutes in (0..14).map(|place| 50 * 60 - place * 41) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        let sent = self.send_out(38 * 60, 3, usize::MAX).await?;
        // One parcel is never seen by its carrier.
        let seen = &sent[..sent.len().saturating_sub(1)];
        self.seen(34 * 60, seen, TrackingStatus::CarrierPickedUp, "PU", "Wien")
            .await?;
        self.seen(26 * 60, seen, TrackingStatus::InTransit, "IT", "Linz")
            .await?;
        let arrived = &seen[..seen.len().saturating_sub(3)];
        self.seen(12 * 60, arrived, TrackingStatus::Delivered, "OK", "")
            .await
    }

    /// Twelve orders that went out, and what stays with people.
    async fn second_day(&mut self) -> Result<(), Failure> {
        for minutes in (0..12).map(|place| 29 * 60 - place * 37) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        let mut trade = self.usual();
        trade.channel = "b2b".to_owned();
        trade.customer = known("B-2004");
        trade.lines = lines(&[("ESP-KG-BEAN", 24), ("FIL-KG-ETH", 12)]);
        trade.payment = paid(PaymentMethod::Account, None);
        self.order(27 * 60, trade).await?;
        let mut small = self.usual();
        small.channel = "b2b".to_owned();
        small.customer = known("B-2001");
        small.payment = paid(PaymentMethod::Account, None);
        self.order(28 * 60, small).await?;
        for (minutes, reason) in [
            (25 * 60, "the customer is away until Thursday"),
            (23 * 60, "a wish for another colour"),
        ] {
            let order = self.usual();
            self.hold(minutes, order, reason).await?;
        }
        let mut waiting = self.usual();
        waiting.channel = "b2b".to_owned();
        waiting.customer = known("B-2001");
        waiting.lines = lines(&[("GLASS-L", 120)]);
        waiting.payment = paid(PaymentMethod::Account, None);
        self.order(25 * 60, waiting).await?;
        let sent = self.send_out(18 * 60, 3, usize::MAX).await?;
        self.seen(
            15 * 60,
            &sent,
            TrackingStatus::CarrierPickedUp,
            "PU",
            "Wien",
        )
        .await?;
        let near = &sent[..sent.len() / 2];
        self.seen(4 * 60, near, TrackingStatus::OutForDelivery, "OD", "Graz")
            .await
    }

    /// What came in since: some of it left, some is in every hand of the house, some waits for
    /// somebody to decide.
    async fn today(&mut self) -> Result<(), Failure> {
        for minutes in (0..6).map(|place| 9 * 60 - place * 17) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        let sent = self.send_out(6 * 60, 2, usize::MAX).await?;
        self.seen(100, &sent, TrackingStatus::CarrierPickedUp, "PU", "Wien")
            .await?;
        for minutes in (0..8).map(|place| 5 * 60 - place * 11) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        self.undecided().await?;
        self.send_out(150, 0, 3).await?;
        for minutes in (0..5).map(|place| 110 - place * 13) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        self.start_picking(52).await?;
        for minutes in (0..5).map(|place| 45 - place * 8) {
            let order = self.usual();
            self.order(minutes, order).await?;
        }
        // Not longer ago than an order without money is kept.
        let mut declined = self.usual();
        declined.channel = "marketplace".to_owned();
        declined.payment.token = Some("tok_decline".to_owned());
        self.order(4, declined).await?;
        self.at(1);
        workers::settle(&self.app).await
    }

    /// Orders with something that a person must look at.
    async fn undecided(&mut self) -> Result<(), Failure> {
        let mut dear = self.usual();
        dear.lines = lines(&[("MACH-ONE", 1), ("GRIND-E-BLACK", 1)]);
        self.order(235, dear).await?;
        let mut silent = self.usual();
        silent.payment.token = Some("tok_silent".to_owned());
        self.order(205, silent).await?;
        let mut cheap = self.usual();
        cheap.channel = "marketplace".to_owned();
        cheap.lines = lines(&[("MOKA-6", 1)]);
        cheap.lines[0].unit_price = Some(Decimal::new(2490, 2));
        cheap.payment = paid(PaymentMethod::External, None);
        self.order(190, cheap).await?;
        let mut unknown = self.usual();
        unknown.channel = "marketplace".to_owned();
        unknown.lines = lines(&[("ESP-250", 1), ("ESP-500", 1)]);
        unknown.lines[1].unit_price = Some(Decimal::new(1590, 2));
        unknown.payment = paid(PaymentMethod::External, None);
        self.order(180, unknown).await?;
        let mut astray = self.usual();
        astray.channel = "marketplace".to_owned();
        astray.shipping_address.postal_code = Some("101".to_owned());
        astray.shipping_address.country = "AT".to_owned();
        astray.payment = paid(PaymentMethod::External, None);
        self.order(170, astray).await?;
        let mut abroad = self.usual();
        abroad.billing_address = Some(SubmittedAddress {
            line1: "Bahnhofstrasse 3".to_owned(),
            city: "Graz".to_owned(),
            postal_code: Some("8020".to_owned()),
            country: "AT".to_owned(),
            ..SubmittedAddress::default()
        });
        abroad.shipping_address = address(1);
        self.order(160, abroad).await?;
        Ok(())
    }

    /// The next order that has nothing wrong with it.
    fn usual(&mut self) -> Submission {
        let place = self.taken;
        self.taken += 1;
        let (name, ..) = GUESTS[place % GUESTS.len()];
        Submission {
            channel: "web".to_owned(),
            external_reference: Some(format!("W-{}", 70_001 + place)),
            placed_at: None,
            currency: None,
            customer: SubmittedCustomer {
                name: Some(name.to_owned()),
                email: Some(format!("guest{place}@mail.example")),
                ..SubmittedCustomer::default()
            },
            shipping_address: address(place),
            billing_address: None,
            lines: lines(BASKETS[place % BASKETS.len()]),
            promotion_codes: Vec::new(),
            service_level: None,
            shipping_charge: None,
            total: None,
            payment: paid(PaymentMethod::Card, Some("tok_approve")),
            metadata: None,
        }
    }

    /// Goes to so many minutes before now.
    fn at(&self, minutes: i64) {
        self.clock.stand_at(self.now - Duration::minutes(minutes));
    }

    /// Takes an order, so many minutes before now.
    async fn order(
        &self,
        minutes: i64,
        submission: Submission,
    ) -> Result<Option<OrderId>, Failure> {
        self.at(minutes);
        let shop = Actor {
            name: "webshop".to_owned(),
            correlation_id: String::new(),
            origin: None,
        };
        let principal = Principal::operator("demo");
        let taken = self
            .app
            .submit_order(&principal, &shop, &submission, Source::Api, None)
            .await;
        match taken {
            Ok(taken) => Ok(Some(taken.order_id)),
            // What the shop's own rules refuse is no reason to have no demo.
            Err(Failure::Refused(problems)) => {
                tracing::debug!(?problems, "the demo's order was refused");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Takes an order that somebody stops right away.
    async fn hold(
        &self,
        minutes: i64,
        submission: Submission,
        reason: &str,
    ) -> Result<(), Failure> {
        let Some(order_id) = self.order(minutes, submission).await? else {
            return Ok(());
        };
        let cmd = orders::Hold {
            order_id,
            expected_version: None,
            reason: reason.to_owned(),
        };
        let cmd = &cmd;
        self.app
            .write(&person("Lena"), move |tx| async move {
                orders::hold(&tx, cmd).await
            })
            .await?;
        Ok(())
    }

    /// Puts open work of every warehouse into a wave; the lists of its release.
    async fn wave(&self, most: u64) -> Result<Vec<PickListId>, Failure> {
        workers::settle(&self.app).await?;
        let mut lists = Vec::new();
        for warehouse_id in self.warehouses.iter().copied() {
            let cmd = waves::Create {
                warehouse_id,
                criteria: waves::Criteria::default(),
                grouping: Grouping::OneList,
                most,
            };
            let (planner, cmd) = (person("Nina"), &cmd);
            let made = self
                .app
                .write(
                    &planner,
                    move |tx| async move { waves::create(&tx, cmd).await },
                )
                .await;
            match made {
                Ok(wave) => {
                    let released = self.app.write(&planner, move |tx| async move {
                        waves::release(&tx, wave.id).await
                    });
                    lists.extend(released.await?.1.lists);
                }
                // There was nothing to pick.
                Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(lists)
    }

    /// Picks open work, packs it and sends it out, beginning so many minutes before now and taking
    /// so many hours; all but the first `packed` stay where they are. The shipments that left.
    async fn send_out(
        &self,
        minutes: i64,
        hours: i64,
        packed: usize,
    ) -> Result<Vec<ShipmentId>, Failure> {
        self.at(minutes);
        for list in self.wave(40).await? {
            self.pick(list, usize::MAX).await?;
        }
        self.at(minutes - hours * 20);
        let picked = self.shipments(Status::Picked).await?;
        for id in picked.iter().take(packed) {
            self.pack(*id).await?;
        }
        if hours == 0 {
            return Ok(Vec::new());
        }
        self.at(minutes - hours * 60);
        let ready = self.shipments(Status::Labeled).await?;
        let reference = self.app.reference().await?;
        let reference = &reference;
        for id in ready.iter().copied() {
            let left = self
                .app
                .write(&person("Nina"), move |tx| async move {
                    dispatch::dispatch(&tx, reference, id).await
                })
                .await?;
            self.app.ask_gateways(left.effects).await?;
        }
        workers::settle(&self.app).await?;
        Ok(ready)
    }

    /// Begins to pick, and stops in the middle.
    async fn start_picking(&self, minutes: i64) -> Result<(), Failure> {
        self.at(minutes);
        for list in self.wave(4).await? {
            self.pick(list, 3).await?;
        }
        Ok(())
    }

    async fn shipments(&self, status: Status) -> Result<Vec<ShipmentId>, Failure> {
        let rows = shipment::Entity::find()
            .filter(shipment::Column::Status.eq(status))
            .order_by_asc(shipment::Column::Id)
            .all(&self.app.db.read)
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Scans the first rows of a list.
    async fn pick(&self, list_id: PickListId, rows: usize) -> Result<(), Failure> {
        let picker = person("Tomasz");
        let tasks = pick_task::Entity::find()
            .filter(pick_task::Column::PickListId.eq(list_id))
            .order_by_asc(pick_task::Column::Position)
            .all(&self.app.db.read)
            .await?;
        let bins = bin::Entity::find().all(&self.app.db.read).await?;
        self.app
            .write(&picker, move |tx| async move {
                picking::claim(&tx, list_id).await
            })
            .await?;
        for task in tasks.into_iter().take(rows) {
            let at = bins.iter().find(|bin| bin.id == task.bin_id);
            let cmd = picking::ScanPick {
                list_id,
                bin: at.map(|bin| bin.code.clone()),
                read: self.read(task.variant_id, task.quantity),
            };
            let cmd = &cmd;
            self.app
                .write(
                    &picker,
                    move |tx| async move { picking::scan(&tx, cmd).await },
                )
                .await?;
        }
        Ok(())
    }

    /// Packs a shipment into as many parcels as it needs, and buys their labels.
    async fn pack(&self, shipment_id: ShipmentId) -> Result<(), Failure> {
        let packer = person("Lena");
        loop {
            let open = packing::Open {
                shipment_id,
                carton: None,
                lines: None,
            };
            let open = &open;
            let opened = self
                .app
                .write(
                    &packer,
                    move |tx| async move { packing::open(&tx, open).await },
                )
                .await;
            match opened {
                Ok(package) => self.fill(&packer, package).await?,
                // Everything is packed.
                Err(Failure::Refused(_)) => break,
                Err(failure) => return Err(failure),
            }
        }
        self.app.label_shipment(&packer, shipment_id).await?;
        Ok(())
    }

    async fn fill(&self, packer: &Actor, package_id: PackageId) -> Result<(), Failure> {
        let rows = package_line::Entity::find()
            .filter(package_line::Column::PackageId.eq(package_id))
            .all(&self.app.db.read)
            .await?;
        for row in rows {
            let cmd = packing::ScanPack {
                package_id,
                read: self.read(row.variant_id, row.expected),
            };
            let cmd = &cmd;
            self.app
                .write(
                    packer,
                    move |tx| async move { packing::scan(&tx, cmd).await },
                )
                .await?;
        }
        let cmd = packing::Close {
            package_id,
            weight_grams: None,
            accept_weight: false,
        };
        let cmd = &cmd;
        self.app
            .write(
                packer,
                move |tx| async move { packing::close(&tx, cmd).await },
            )
            .await?;
        Ok(())
    }

    /// What a scanner says of units.
    fn read(&self, variant: VariantId, quantity: i64) -> Read {
        Read {
            code: self.skus.get(&variant).cloned().unwrap_or_default(),
            quantity,
            device: None,
        }
    }

    /// Has the carriers say something of the parcels of shipments.
    async fn seen(
        &self,
        minutes: i64,
        shipments: &[ShipmentId],
        status: TrackingStatus,
        code: &str,
        place: &str,
    ) -> Result<(), Failure> {
        self.at(minutes);
        let rows = shipment::Entity::find()
            .filter(shipment::Column::Id.is_in(shipments.iter().copied()))
            .all(&self.app.db.read)
            .await?;
        for row in rows {
            let packages = package::Entity::find()
                .filter(package::Column::ShipmentId.eq(row.id))
                .all(&self.app.db.read)
                .await?;
            let Some(carrier) = &row.carrier else {
                continue;
            };
            let reports: Vec<Report> = packages
                .into_iter()
                .filter_map(|package| package.tracking_number)
                .map(|tracking_number| Report {
                    tracking_number,
                    sighting: Sighting {
                        status,
                        code: code.to_owned(),
                        place: (!place.is_empty()).then(|| place.to_owned()),
                        occurred_at: self.clock.now(),
                    },
                })
                .collect();
            let reports = &reports;
            let heard = self
                .app
                .write(&Actor::worker("carriers"), move |tx| async move {
                    tracking::receive(&tx, carrier, reports).await
                })
                .await?;
            self.app.ask_gateways(heard.effects).await?;
        }
        workers::settle(&self.app).await
    }
}

fn person(name: &str) -> Actor {
    Actor {
        name: name.to_owned(),
        correlation_id: String::new(),
        origin: None,
    }
}

fn known(code: &str) -> SubmittedCustomer {
    SubmittedCustomer {
        code: Some(code.to_owned()),
        ..SubmittedCustomer::default()
    }
}

fn paid(method: PaymentMethod, token: Option<&str>) -> SubmittedPayment {
    SubmittedPayment {
        method,
        token: token.map(str::to_owned),
    }
}

fn address(place: usize) -> SubmittedAddress {
    let (_, line1, postal_code, city, country) = GUESTS[place % GUESTS.len()];
    SubmittedAddress {
        line1: line1.to_owned(),
        city: city.to_owned(),
        postal_code: Some(postal_code.to_owned()),
        country: country.to_owned(),
        ..SubmittedAddress::default()
    }
}

fn lines(basket: &[(&str, i64)]) -> Vec<SubmittedLine> {
    basket
        .iter()
        .map(|(sku, quantity)| SubmittedLine {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            unit_price: None,
            discount: None,
            title: None,
        })
        .collect()
}
