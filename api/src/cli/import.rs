//! `oms import`: orders from files, what gateways have paid out, the reference table of postal codes,
//! the Northwind company.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use entity::order::Source;
use entity::{order, order_exception};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveEnum, ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::progress::Progress;
use crate::access::Principal;
use crate::app::{App, OrderFile, SettlementFile};
use crate::capture::address::reference::places;
use crate::capture::import::northwind::{CHANNEL, Northwind};
use crate::capture::import::record::OrderFault;
use crate::capture::import::{Entry, FileError, Tally, csv, jsonl};
use crate::settlement;

/// How many places one transaction stores.
const PLACES: usize = 10_000;

/// How many unreadable rows of places are shown.
const SHOWN: usize = 20;

/// What is imported.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Take orders from a file. Repeating it changes nothing for those that are there.
    Orders(Orders),
    /// Take a file of what a gateway has paid out. Repeating it changes nothing.
    Settlement(Settlement),
    /// Fill the table of postal codes from a file of download.geonames.org/export/zip.
    PostalCodes {
        /// The unpacked file: tab-separated, twelve columns.
        file: PathBuf,
    },
    /// Bring in the Northwind sample company with its orders.
    Northwind {
        /// The directory with orders.csv and the other files.
        directory: PathBuf,
        /// Where the refusals are written as CSV.
        #[arg(long)]
        errors: Option<PathBuf>,
    },
}

/// A file of orders.
#[derive(Debug, Args)]
pub(super) struct Orders {
    /// The file.
    file: PathBuf,
    /// The code of the channel that the orders belong to.
    #[arg(long)]
    channel: String,
    /// How it is written.
    #[arg(long, value_enum)]
    format: Format,
    /// Where the refusals are written as CSV.
    #[arg(long)]
    errors: Option<PathBuf>,
    /// How many orders are under way at once, on PostgreSQL. With more than one, chance decides
    /// which of two neighbours gets the last unit.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
}

/// A file of what a gateway has paid out.
#[derive(Debug, Args)]
pub(super) struct Settlement {
    /// The file.
    file: PathBuf,
    /// Whose: `sandbox`, `stripe` …
    #[arg(long)]
    gateway: String,
    /// How it is written: `stripe`, or a name under which that was kept.
    #[arg(long)]
    format: String,
    /// A file that says how it is written, as JSON; kept under the name of the format.
    #[arg(long)]
    mapping: Option<PathBuf>,
}

/// How a file of orders is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One line of an order a row.
    Csv,
    /// One order a line, as JSON.
    Jsonl,
}

/// Runs the command.
pub(super) async fn run(app: Arc<App>, what: Import) -> Result<ExitCode, Box<dyn Error>> {
    match what {
        Import::Orders(asked) => orders(&app, &asked).await,
        Import::Settlement(asked) => settlement(&app, &asked).await,
        Import::PostalCodes { file } => postal_codes(&app, &file).await,
        Import::Northwind { directory, errors } => {
            northwind(&app, &directory, errors.as_deref()).await
        }
    }
}

async fn orders(app: &App, asked: &Orders) -> Result<ExitCode, Box<dyn Error>> {
    let open = || {
        File::open(&asked.file)
            .map(BufReader::new)
            .map_err(|error| format!("{}: {error}", asked.file.display()))
    };
    let (format, read): (_, Box<dyn Iterator<Item = Result<Entry, FileError>>>) = match asked.format
    {
        Format::Csv => ("csv", Box::new(csv::orders(open()?, &asked.channel)?)),
        Format::Jsonl => ("jsonl", Box::new(jsonl::orders(open()?, &asked.channel))),
    };
    let file = OrderFile {
        source: name(&asked.file),
        format: format.to_owned(),
        channel: asked.channel.clone(),
        parallel: asked.parallel.into(),
    };
    let mut errors = Errors::open(asked.errors.as_deref())?;
    let mut progress = Progress::start("orders", None);
    let imported = app
        .import_orders(
            &Principal::operator("import"),
            &file,
            read,
            |tally, faults| {
                progress.at(tally.processed, || so_far(tally));
                errors.write(faults);
            },
        )
        .await;
    progress.done();
    errors.close()?;
    let imported = imported.map_err(again)?;
    print_summary(app, &asked.channel, &imported.tally).await?;
    Ok(ExitCode::SUCCESS)
}

async fn settlement(app: &App, asked: &Settlement) -> Result<ExitCode, Box<dyn Error>> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mapping = asked.mapping.as_deref().map(read).transpose()?;
    let mapping = mapping.map(|text| serde_json::from_slice(&text));
    let file = SettlementFile {
        gateway: asked.gateway.clone(),
        format: asked.format.clone(),
        mapping: mapping.transpose()?,
        source: name(&asked.file),
        content: read(&asked.file)?,
    };
    let actor = Principal::operator("import").actor;
    let mut progress = Progress::start("lines", None);
    let settled = app
        .import_settlement(&actor, &file, |tally| {
            let processed = u64::try_from(tally.processed).unwrap_or(0);
            progress.at(processed, || {
                let settlement::Tally {
                    accepted,
                    replayed,
                    refused,
                    ..
                } = tally;
                format!("{accepted} new, {replayed} known, {refused} refused")
            });
        })
        .await;
    progress.done();
    let settled = settled.map_err(again)?;
    let run = &settled.run;
    println!(
        "{} lines read, {} of them new, {} known, {} refused",
        run.processed, run.accepted, run.replayed, run.refused
    );
    Ok(ExitCode::SUCCESS)
}

async fn northwind(
    app: &App,
    directory: &Path,
    errors: Option<&Path>,
) -> Result<ExitCode, Box<dyn Error>> {
    let files = Northwind::read(directory)?;
    let principal = Principal::operator("import");
    let mut errors = Errors::open(errors)?;
    let (customers, refused) = app
        .set_up_northwind(&principal, &files)
        .await
        .map_err(again)?;
    errors.write(&refused);
    println!(
        "customers: {} made, {} there already, {} refused",
        customers.accepted, customers.replayed, customers.refused
    );
    for (reference, fault) in &refused {
        let reference = reference.as_deref().unwrap_or_default();
        let problem = &fault.problem;
        println!(
            "  customers.csv row {}, {reference}: {} {}",
            fault.row,
            problem.code.as_str(),
            problem.message
        );
    }
    let mut progress = Progress::start("orders", u64::try_from(files.len()).ok());
    let imported = app
        .import_northwind(&principal, &files, |tally, faults| {
            progress.at(tally.processed, || so_far(tally));
            errors.write(faults);
        })
        .await;
    progress.done();
    errors.close()?;
    let imported = imported.map_err(again)?;
    print_summary(app, CHANNEL, &imported.tally).await?;
    Ok(ExitCode::SUCCESS)
}

async fn postal_codes(app: &App, path: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let principal = Principal::operator("import");
    let mut progress = Progress::start("places", None);
    let (mut read, mut stored, mut bad) = (0_u64, 0_u64, 0_usize);
    let mut batch = Vec::with_capacity(PLACES);
    let mut rows = places(BufReader::new(file));
    loop {
        let row = rows.next();
        let ended = row.is_none();
        match row {
            None => {}
            Some(Ok(place)) => batch.push(place),
            Some(Err(error)) => {
                bad += 1;
                if bad <= SHOWN {
                    eprintln!("{error}");
                }
            }
        }
        if batch.len() == PLACES || ended && !batch.is_empty() {
            stored += app.store_places(&principal, &batch).await?;
            read += batch.len() as u64;
            batch.clear();
            progress.at(read, || format!("{stored} new, {bad} unreadable"));
        }
        if ended {
            break;
        }
    }
    progress.done();
    app.invalidate_reference();
    println!("{read} places read, {stored} of them new; {bad} rows could not be read");
    Ok(if read == 0 && bad > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn again(failure: impl std::fmt::Display) -> String {
    format!("the import stopped: {failure}\nrepeat it to go on where it ended")
}

fn so_far(tally: &Tally) -> String {
    let Tally {
        accepted,
        replayed,
        refused,
        ..
    } = tally;
    format!("{accepted} accepted, {replayed} replayed, {refused} refused")
}

/// The refusals as a file, if one is asked for.
struct Errors {
    file: Option<::csv::Writer<File>>,
    failed: Option<::csv::Error>,
}

impl Errors {
    fn open(path: Option<&Path>) -> Result<Errors, Box<dyn Error>> {
        let mut file = match path {
            None => None,
            Some(path) => Some(
                ::csv::Writer::from_path(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?,
            ),
        };
        if let Some(file) = &mut file {
            file.write_record(["row", "external_reference", "code", "field", "message"])?;
        }
        Ok(Errors { file, failed: None })
    }

    /// A full disk stops no order: it is said at the end.
    fn write(&mut self, faults: &[OrderFault]) {
        let Some(file) = &mut self.file else { return };
        for (reference, fault) in faults {
            let written = file.write_record([
                fault.row.to_string().as_str(),
                reference.as_deref().unwrap_or_default(),
                &fault.problem.code.as_str(),
                &fault
                    .problem
                    .field
                    .as_ref()
                    .map(|path| path.join("."))
                    .unwrap_or_default(),
                &fault.problem.message,
            ]);
            if let Err(error) = written {
                self.failed.get_or_insert(error);
            }
        }
    }

    fn close(mut self) -> Result<(), Box<dyn Error>> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        match self.failed {
            Some(error) => Err(format!("the file of errors is not whole: {error}").into()),
            None => Ok(()),
        }
    }
}

fn flagged_order() -> Expr {
    Expr::col((order_exception::Entity, order_exception::Column::OrderId))
}

#[derive(FromQueryResult)]
struct Count {
    name: String,
    orders: i64,
}

/// What became of the run, and where the channel's imported orders stand now.
async fn print_summary(app: &App, channel: &str, tally: &Tally) -> Result<(), Box<dyn Error>> {
    let reference = app.reference().await?;
    let Some(channel) = reference.channel_by_code(channel) else {
        return Ok(());
    };
    let imported = order::Entity::find()
        .filter(order::Column::ChannelId.eq(channel.row.id))
        .filter(order::Column::Source.eq(Source::Import));
    let stages = imported
        .clone()
        .select_only()
        .column_as(order::Column::Stage, "name")
        .column_as(order::Column::Id.count(), "orders")
        .group_by(order::Column::Stage)
        .order_by_asc(order::Column::Stage)
        .into_model::<Count>()
        .all(&app.db.read)
        .await?;
    let flagged = order_exception::Entity::find()
        .join(
            JoinType::InnerJoin,
            order_exception::Entity::belongs_to(order::Entity)
                .from(order_exception::Column::OrderId)
                .to(order::Column::Id)
                .into(),
        )
        .filter(order::Column::ChannelId.eq(channel.row.id))
        .filter(order::Column::Source.eq(Source::Import))
        .filter(order_exception::Column::Status.is_in([
            order_exception::Status::Open.to_value(),
            order_exception::Status::Assigned.to_value(),
        ]))
        .select_only();
    let codes = flagged
        .clone()
        .column_as(order_exception::Column::Code, "name")
        .expr_as(flagged_order().count_distinct(), "orders")
        .group_by(order_exception::Column::Code)
        .order_by_asc(order_exception::Column::Code)
        .into_model::<Count>()
        .all(&app.db.read)
        .await?;
    let any: Option<i64> = flagged
        .expr_as(flagged_order().count_distinct(), "orders")
        .into_tuple()
        .one(&app.db.read)
        .await?;

    let mut table = Table::default();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    table.row("orders read", number(tally.processed));
    table.row("accepted", number(tally.accepted));
    table.row("replayed", number(tally.replayed));
    table.row("refused", number(tally.refused));
    for (code, count) in &tally.codes {
        table.part(code, number(*count));
    }
    table.head(&format!("imported orders of {} now", channel.row.code));
    table.row("flagged", any.unwrap_or(0));
    for count in codes {
        table.part(&count.name, count.orders);
    }
    table.head("by stage");
    for count in stages {
        table.part(&count.name, count.orders);
    }
    // The import is over: whoever stopped reading takes nothing away from it.
    let _ = std::io::stdout().write_all(table.0.as_bytes());
    Ok(())
}

/// Names with their counts, for people.
#[derive(Default)]
struct Table(String);

impl Table {
    fn head(&mut self, text: &str) {
        self.0 += &format!("{text}\n");
    }

    fn row(&mut self, name: &str, count: i64) {
        self.0 += &format!("{name:<30} {count:>8}\n");
    }

    fn part(&mut self, name: &str, count: i64) {
        self.0 += &format!("  {name:<28} {count:>8}\n");
    }
}
