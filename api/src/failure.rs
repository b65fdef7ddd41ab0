//! How a command says no.
//!
//! A refusal is something the client can act on: it carries a [`Code`], a path into the input and
//! the facts. Everything else is a fault: it is logged with its request and shown to nobody.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident),* $(,)?) => {
        /// Every code that a refusal can carry. Clients branch on these; values may be added.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, async_graphql::Enum,
        )]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[graphql(name = "ErrorCode")]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }
    };
}

codes! {
    /// The postal address breaks a rule of its country or the reference data.
    AddressInvalid,
    /// The amount is malformed, negative or finer than the currency's minor unit.
    AmountInvalid,
    /// What is set aside for an order runs out before all of it can be captured.
    AuthorizationExpiring,
    /// The gateway did not give what is due for a shipment that has left; `details` has the amount
    /// and its reason.
    CaptureFailed,
    /// The channel takes no orders at present.
    ChannelInactive,
    /// A customer takes captured money back through a bank; `details` has the amount and the reason.
    Chargeback,
    /// No such channel.
    ChannelNotFound,
    /// The feed's time lies in the future by more than clocks may differ.
    ClockSkew,
    /// A code, SKU or name is taken by something else.
    CodeTaken,
    /// The order would exceed the customer's credit limit.
    CreditLimitExceeded,
    /// The customer has no account to buy on.
    CreditNotGranted,
    /// The order's currency is not the channel's.
    CurrencyMismatch,
    /// More is to be taken back than is left of the invoice; `details` has both.
    CreditExceedsInvoice,
    /// No ISO 4217 currency has this code.
    CurrencyUnknown,
    /// Something of the customer is not over yet; see the details.
    CustomerNotErasable,
    /// No such customer.
    CustomerNotFound,
    /// The difference is settled already.
    DifferenceNotOpen,
    /// The document cannot be printed; the message says why.
    DocumentUnprintable,
    /// The document is no longer in force.
    DocumentVoided,
    /// The e-mail address is malformed.
    EmailInvalid,
    /// The exception is settled already.
    ExceptionNotOpen,
    /// The exception is not settled, or was opened again already.
    ExceptionNotSettled,
    /// Somebody else has taken the exception; `details` has who, and since when.
    ExceptionTaken,
    /// The channel's reference belongs to an order with other contents.
    ExternalReferenceTaken,
    /// The work is in a state that does not allow this; `details` has which.
    FulfillmentStateInvalid,
    /// The hold is lifted already.
    HoldNotActive,
    /// The idempotency key was used with another input.
    IdempotencyKeyReused,
    /// A request with this idempotency key is still under way; try again.
    InProgress,
    /// Not enough stock, and the SKU may not be backordered; `details` has what is available.
    InsufficientStock,
    /// A fault of ours; it is in our log.
    Internal,
    /// The input is malformed; the message says how.
    InvalidInput,
    /// What was issued is corrected by a credit note alone.
    InvoiceFinal,
    /// The package has a label, or one is being bought; `details` has its number.
    LabelExists,
    /// A package of the shipment has no label.
    LabelMissing,
    /// The label is not bought, or was given back already.
    LabelNotVoidable,
    /// The order has no lines.
    LinesMissing,
    /// The message is on its way still, or will be tried again by itself.
    MessagePending,
    /// The name is blank, too long or has control characters.
    NameInvalid,
    /// A shipment has left, and its carrier has not scanned it in time.
    NoPickupScan,
    /// No such thing, or none that you may see.
    NotFound,
    /// It is somebody else's, who alone may change it.
    NotOwner,
    /// More units are to come back than have left and are not on a return; `details` has both.
    NothingToReturn,
    /// The operation has ended already.
    OperationNotRunning,
    /// The order was put away; `orderReopen` opens it again.
    OrderArchived,
    /// The order cannot be cancelled in its present state.
    OrderNotCancellable,
    /// The order cannot be edited in its present state.
    OrderNotEditable,
    /// The order cannot be held in its present state.
    OrderNotHoldable,
    /// The order cannot be rejected in its present state.
    OrderNotRejectable,
    /// The order is in a state that does not allow this.
    OrderStateInvalid,
    /// The package does not hold what it should; `details` has what is missing.
    PackageIncomplete,
    /// The weight is too far from what the contents should weigh; `details` has both.
    PackageWeightImplausible,
    /// The payment was declined.
    PaymentDeclined,
    /// More was paid than is owed; `details` has both.
    PaymentExceedsOwed,
    /// The authorisation ran out before the order could be released.
    PaymentExpired,
    /// The payment instrument is missing or malformed.
    PaymentInvalid,
    /// The reference belongs to another payment of the customer.
    PaymentReferenceTaken,
    /// A gateway has given no definite answer for so long that a person should look; `details` has what
    /// was asked.
    PaymentUnknown,
    /// The telephone number is impossible for its country.
    PhoneInvalid,
    /// Somebody else has the pick list; `details` has who.
    PickListTaken,
    /// Units that are held for the order are in no bin that can be picked from; `details` has where
    /// they are.
    PickUnavailable,
    /// The submitted unit price is not ours.
    PriceMismatch,
    /// No price list that fits the order has this SKU.
    PriceMissing,
    /// The promotion's usage limit is reached.
    PromotionLimitReached,
    /// The promotion code cannot be used; the message says why.
    PromotionRejected,
    /// The quantity is not between 1 and 1,000,000.
    QuantityInvalid,
    /// What was captured is disputed at the customer's bank, or was taken back by it.
    RefundDisputed,
    /// More is to be given back than is left of what was captured; `details` has both.
    RefundExceedsCaptured,
    /// The gateway did not give money back that is owed; `details` has the amount and the reason.
    RefundFailed,
    /// What became of units of the return that came is not known yet; `details` has how many.
    ReturnNotInspected,
    /// The return is in a state that does not allow this; `details` has the state.
    ReturnStateInvalid,
    /// The time in which the goods could be returned is over; `details` has the day.
    ReturnWindowClosed,
    /// The warehouse does not have the units, or does not serve the channel.
    RouteUnavailable,
    /// A rule could not be evaluated for the order; `details` has the reason.
    RuleFailed,
    /// The rule's expression does not fit; `details` has `line`, `column`, `offset` and `reason`.
    RuleInvalid,
    /// A rule's expression is true of the order; `details` has it and the values that it saw.
    RuleMatched,
    /// The unit was not scanned at its bin yet.
    ScanNotPicked,
    /// Nothing here wants this item.
    ScanNotWanted,
    /// The item belongs to another order; `details` has which.
    ScanOtherOrder,
    /// More units than are wanted; `details` has how many are.
    ScanOver,
    /// Who picked it may not pack it.
    ScanSamePerson,
    /// No item has this barcode.
    ScanUnknown,
    /// The item is to be taken from another bin; `details` has which.
    ScanWrongBin,
    /// What a gateway has settled is not what we know; `details` has both amounts.
    SettlementDifference,
    /// A line of this name was read before, and said something else.
    SettlementLineChanged,
    /// The shipment cannot leave; the message says why.
    ShipmentNotDispatchable,
    /// The submitted shipping charge is not ours.
    ShippingMismatch,
    /// No shipping rate covers the destination, weight and service. A submitted charge does not
    /// change that, unless no rates are kept for the channel and its currency at all.
    ShippingUnavailable,
    /// The SKU is no longer sold.
    SkuDiscontinued,
    /// The SKU is not sold in this channel.
    SkuNotListed,
    /// No such SKU.
    SkuUnknown,
    /// The thing has changed since you read it; `details` has the present version.
    StaleVersion,
    /// The correction would take stock below what is held for orders.
    StockBelowReserved,
    /// The figure is older than the one that is held, or another one of the same moment.
    StockFigureOutdated,
    /// The template cannot be filled in; `details` has `line` and `reason`.
    TemplateInvalid,
    /// The submitted title is not ours.
    TitleMismatch,
    /// More lines or rows than one request may have.
    TooMany,
    /// The submitted total is not ours; `details` has both breakdowns.
    TotalMismatch,
    /// The database is busy or away; try again.
    Unavailable,
    /// The gateway refused to give authorised money back; `details` has the amount and its reason.
    VoidDeclined,
    /// The source does not speak for this warehouse.
    WarehouseForeign,
    /// Another stock source speaks for this warehouse; `details` has which.
    WarehouseTaken,
    /// Nothing that can be picked fits.
    WaveEmpty,
}

impl Code {
    /// The code as it is written in the API and in logs.
    pub fn as_str(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether the same request may succeed later without a change.
    pub fn retryable(self) -> bool {
        matches!(self, Code::InProgress | Code::Unavailable)
    }

    /// Whether the refusal came of the state of the business, and not of the request's form or of
    /// how things are set up: only such an answer is kept for repetitions of the request.
    pub fn is_decided_by_state(self) -> bool {
        use Code::*;
        matches!(
            self,
            CreditLimitExceeded
                | CreditNotGranted
                | CreditExceedsInvoice
                | DifferenceNotOpen
                | DocumentVoided
                | ExceptionNotOpen
                | ExceptionNotSettled
                | ExceptionTaken
                | ExternalReferenceTaken
                | FulfillmentStateInvalid
                | HoldNotActive
                | InsufficientStock
                | InvoiceFinal
                | LabelExists
                | LabelMissing
                | LabelNotVoidable
                | MessagePending
                | OperationNotRunning
                | OrderArchived
                | OrderNotCancellable
                | OrderNotEditable
                | OrderNotHoldable
                | OrderNotRejectable
                | OrderStateInvalid
                | PackageIncomplete
                | PackageWeightImplausible
                | PaymentDeclined
                | PaymentExpired
                | PickListTaken
                | PickUnavailable
                | PriceMismatch
                | NothingToReturn
                | PromotionLimitReached
                | PromotionRejected
                | RefundDisputed
                | RefundExceedsCaptured
                | ReturnNotInspected
                | ReturnStateInvalid
                | ReturnWindowClosed
                | RouteUnavailable
                | ScanNotPicked
                | ScanNotWanted
                | ScanOtherOrder
                | ScanOver
                | ScanSamePerson
                | ScanUnknown
                | ScanWrongBin
                | ShipmentNotDispatchable
                | ShippingMismatch
                | SkuDiscontinued
                | SkuNotListed
                | StaleVersion
                | StockBelowReserved
                | TotalMismatch
                | VoidDeclined
                | WaveEmpty
        )
    }
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong, for programs.
    pub code: Code,
    /// Where in the input, as a path with indexes: `["input", "lines", "3", "quantity"]`.
    pub field: Option<Vec<String>>,
    /// What is wrong, for people.
    pub message: String,
    /// The facts: both values, who holds what.
    pub details: Option<Json>,
}

impl Problem {
    /// A refusal that is not about one field.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            field: None,
            message: message.into(),
            details: None,
        }
    }

    /// The same, about the field at `path` (dots between its parts).
    pub fn at(mut self, path: &str) -> Self {
        self.field = Some(path.split('.').map(str::to_owned).collect());
        self
    }

    /// The same, with facts.
    pub fn with(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// The order was put away, and is not changed unless it is opened again.
    pub fn archived() -> Self {
        let message = "the order was put away; orderReopen opens it again";
        Problem::new(Code::OrderArchived, message)
    }

    /// Nothing of this kind has this id, or none that the caller may see: the two look alike.
    pub fn not_found(kind: &str) -> Self {
        Problem::new(Code::NotFound, format!("no such {kind}"))
    }
}

/// Why a command did nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The client can act on it.
    #[error("refused: {}", .0.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Problem>),
    /// The database said no for a reason that is not the client's.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// Something that must not happen did.
    #[error("{0}")]
    Internal(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Refused(vec![problem])
    }
}

impl Failure {
    /// The refusals, if that is what it is.
    pub fn problems(&self) -> Option<&[Problem]> {
        match self {
            Failure::Refused(problems) => Some(problems),
            Failure::Database(_) | Failure::Internal(_) => None,
        }
    }

    /// The name of the constraint or the text of the unique violation behind it, if one is.
    pub fn unique_violation(&self) -> Option<String> {
        match self {
            Failure::Database(error) => match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the transaction lost against another one and may simply be run again:
    /// a deadlock or a serialisation failure on PostgreSQL.
    pub fn lost_a_race(&self) -> bool {
        matches!(self.sql_state().as_deref(), Some("40P01" | "40001"))
    }

    /// Whether the database was too busy or away, so that the client may try again:
    /// lock and statement time-outs, a full pool, a lost connection.
    pub fn unavailable(&self) -> bool {
        match self {
            Failure::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            Failure::Database(_) => match self.sql_state().as_deref() {
                // lock_not_available, query_canceled, the 57P shutdown codes, SQLITE_BUSY.
                Some("55P03" | "57014" | "57P01" | "57P02" | "57P03" | "5") => true,
                Some(_) => false,
                None => self.to_string().contains("Io("),
            },
            Failure::Refused(_) | Failure::Internal(_) => false,
        }
    }

    fn sql_state(&self) -> Option<String> {
        let Failure::Database(
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)),
        ) = self
        else {
            return None;
        };
        error
            .as_database_error()?
            .code()
            .map(|code| code.into_owned())
    }
}
