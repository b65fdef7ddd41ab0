//! Customers, their groups and their addresses on the wire.

use async_graphql::{
    Context, Enum, ID, InputObject, MaybeUndefined, Object, OneofObject, Result, SimpleObject,
};
use chrono::{DateTime, Utc};
use entity::{CustomerId, address, customer, customer_group};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder};

use super::command::{payloads, run};
use super::errors::fault;
use super::filters::{DateTimeFilter, IdFilter, StringFilter, condition, filter};
use super::ids::{from_global, to_global};
use super::loaders::{AddressesOf, load};
use super::orders::queries::SortDirection;
use super::pagination::{Rows, Sort, cost, page};
use super::scalars::{Money, MoneyInput, money};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::capture::address::{self as postal, PostalAddress, Reason, parse_country};
use crate::capture::contact::{ContactError, Email, PersonName, Phone};
use crate::catalogue::customers;
use crate::erasure;
use crate::failure::{Code, Problem};

/// What the verification of an address found. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "address::Verdict")]
pub enum AddressVerdict {
    /// The address is right as it stands.
    Valid,
    /// The address is wrong in a way with one repair: see the suggestion.
    Corrected,
    /// Several addresses could be meant.
    Ambiguous,
    /// A rule of the country or the reference data is broken.
    Invalid,
    /// Nothing is known against it, and nothing for it.
    Unverified,
}

/// The part of an address that a reason is about. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "postal::AddressField")]
pub enum AddressField {
    /// The person.
    Name,
    /// The company.
    Organisation,
    /// The first street line.
    Line1,
    /// The second street line.
    Line2,
    /// City, post town or locality.
    City,
    /// State, province or county.
    Region,
    /// Postal code.
    PostalCode,
    /// Country.
    Country,
    /// Telephone number.
    Phone,
}

/// Why an address is not simply valid. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "postal::ReasonCode")]
pub enum AddressReasonCode {
    /// The country requires the field.
    Missing,
    /// The field is longer than we keep.
    TooLong,
    /// The field holds a control character, a line break or a tab.
    ControlCharacter,
    /// The postal code does not have the country's shape.
    MalformedPostalCode,
    /// A prefix that is no part of the postal code stands before it; repaired.
    PostalCodePrefix,
    /// The postal code has lost its leading zero; repaired.
    PostalCodeLeadingZero,
    /// The country has no such region.
    UnknownRegion,
    /// The postal code lies in another region.
    PostalCodeRegionMismatch,
    /// The postal code belongs to another city.
    PostalCodeCityMismatch,
    /// The reference table has no such postal code.
    UnknownPostalCode,
    /// The reference table has no such city.
    UnknownCity,
    /// The city is nearly spelled like the one that the postal code belongs to; repaired.
    CitySpelling,
    /// The reference table has no data for the country.
    NotCovered,
    /// The reference table could not be asked.
    VerifierUnavailable,
}

/// One thing to say about one field of an address.
#[derive(SimpleObject)]
pub struct AddressReason {
    /// What it is about.
    pub field: AddressField,
    /// What it says, for programs.
    pub code: AddressReasonCode,
    /// What it says, for people: an English sentence that may quote the address.
    pub message: String,
}

impl From<Reason> for AddressReason {
    fn from(reason: Reason) -> Self {
        AddressReason {
            field: reason.field.into(),
            code: reason.code.into(),
            message: reason.message,
        }
    }
}

/// What we would write instead of an address.
#[derive(SimpleObject)]
pub struct AddressSuggestion {
    /// The person it goes to; may be blank where an organisation is named.
    pub name: String,
    /// The company it goes to.
    pub organisation: Option<String>,
    /// Street and house number, or the post-office box.
    pub line1: String,
    /// Whatever did not fit into the first line.
    pub line2: Option<String>,
    /// City, post town or locality.
    pub city: String,
    /// State, province, prefecture or county.
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

impl From<PostalAddress> for AddressSuggestion {
    fn from(address: PostalAddress) -> Self {
        AddressSuggestion {
            name: address.name,
            organisation: address.organisation,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country.code().to_owned(),
        }
    }
}

/// A postal address as it was given, with the verdict of its verification beside it.
pub struct Address(pub address::Model);

/// A postal address as it was given, with the verdict of its verification beside it.
#[Object]
impl Address {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Who receives.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The company, if any.
    async fn organisation(&self) -> Option<&str> {
        self.0.organisation.as_deref()
    }

    /// Street and number.
    async fn line1(&self) -> &str {
        &self.0.line1
    }

    /// Floor, flat, building.
    async fn line2(&self) -> Option<&str> {
        self.0.line2.as_deref()
    }

    /// The place.
    async fn city(&self) -> &str {
        &self.0.city
    }

    /// State, province or county, as given.
    async fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// The postal code, as given.
    async fn postal_code(&self) -> Option<&str> {
        self.0.postal_code.as_deref()
    }

    /// ISO 3166-1 alpha-2.
    async fn country(&self) -> &str {
        &self.0.country
    }

    /// The telephone number that the carrier may call, E.164.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// What the verification found.
    async fn verdict(&self) -> AddressVerdict {
        self.0.verdict.into()
    }

    /// Why, per field, faults first; empty only when VALID.
    async fn reasons(&self) -> Vec<AddressReason> {
        let reasons: Vec<Reason> =
            serde_json::from_value(self.0.reasons.clone()).unwrap_or_default();
        reasons.into_iter().map(AddressReason::from).collect()
    }

    /// The repaired address, when there is exactly one.
    async fn suggestion(&self) -> Option<AddressSuggestion> {
        let suggestion: PostalAddress = serde_json::from_value(self.0.suggestion.clone()?).ok()?;
        Some(suggestion.into())
    }

    /// Whether it is a post-office box, which some carriers refuse.
    async fn po_box(&self) -> bool {
        self.0.po_box
    }

    /// When it was taken.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A group of customers that gets prices of its own.
pub struct CustomerGroup(pub customer_group::Model);

impl From<customer_group::Model> for CustomerGroup {
    fn from(row: customer_group::Model) -> Self {
        CustomerGroup(row)
    }
}

/// A group of customers that gets prices of its own.
#[Object]
impl CustomerGroup {
    /// Its name in price lists; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// A customer with its terms. Orders of guests have none.
pub struct Customer(pub customer::Model);

impl From<customer::Model> for Customer {
    fn from(row: customer::Model) -> Self {
        Customer(row)
    }
}

impl Customer {
    fn money(&self, minor: Option<i64>) -> Option<Money> {
        Some(money(minor?, self.0.credit_currency?))
    }
}

/// A customer with its terms. Orders of guests have none.
#[Object]
impl Customer {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds and imports; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// A person's or company's name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where notices go; null without the scope PERSONAL_DATA_READ.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(self.0.email.as_deref().filter(|_| may))
    }

    /// The telephone number, E.164; null without the scope PERSONAL_DATA_READ.
    async fn phone(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(self.0.phone.as_deref().filter(|_| may))
    }

    /// The code of the group whose prices it gets; null = none.
    async fn group_code(&self) -> Option<&str> {
        self.0.group_code.as_deref()
    }

    /// Whether it is charged no tax.
    async fn tax_exempt(&self) -> bool {
        self.0.tax_exempt
    }

    /// Days that it has to pay an invoice; null = it pays at once.
    async fn terms_days(&self) -> Option<i32> {
        self.0.terms_days
    }

    /// How much it may owe; null = it has no account.
    async fn credit_limit(&self) -> Option<Money> {
        self.money(self.0.credit_limit_minor)
    }

    /// What its open orders on account come to; null = it has no account.
    async fn credit_used(&self) -> Option<Money> {
        self.money(Some(self.0.credit_used_minor))
    }

    /// What it may still order on account: limit less used, and nothing if that is negative; null
    /// = it has no account.
    async fn credit_available(&self) -> Option<Money> {
        let left = self.0.credit_limit_minor? - self.0.credit_used_minor;
        self.money(Some(std::cmp::max(left, 0)))
    }

    /// Its address book; null without the scope PERSONAL_DATA_READ.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn addresses(&self, ctx: &Context<'_>) -> Result<Option<Vec<Address>>> {
        if !principal(ctx)?.may(Scope::PersonalDataRead) {
            return Ok(None);
        }
        let rows = load(ctx, AddressesOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Address).collect()))
    }

    /// +1 with every change, but not with its orders; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// Which customers. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct CustomerWhere {
    /// By identifier.
    pub id: Option<IdFilter>,
    /// By code.
    pub code: Option<StringFilter>,
    /// By name.
    pub name: Option<StringFilter>,
    /// By e-mail address.
    pub email: Option<StringFilter>,
    /// By the code of the group whose prices it gets.
    pub group_code: Option<StringFilter>,
    /// By whether it is charged no tax.
    pub tax_exempt: Option<bool>,
    /// By when it was made.
    pub created_at: Option<DateTimeFilter>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<CustomerWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<CustomerWhere>>,
    /// This must not match.
    pub not: Option<Box<CustomerWhere>>,
}

filter!(CustomerWhere, |it| [
    it.id
        .as_ref()
        .map(|f| f.on::<CustomerId>(customer::Column::Id)),
    it.code.as_ref().map(|f| f.on(customer::Column::Code)),
    it.name.as_ref().map(|f| f.on(customer::Column::Name)),
    it.email.as_ref().map(|f| f.on(customer::Column::Email)),
    it.group_code
        .as_ref()
        .map(|f| f.on(customer::Column::GroupCode)),
    it.tax_exempt.map(|yes| customer::Column::TaxExempt.eq(yes)),
    it.created_at
        .as_ref()
        .map(|f| f.on(customer::Column::CreatedAt)),
    it.updated_at
        .as_ref()
        .map(|f| f.on(customer::Column::UpdatedAt)),
]);

/// What customers are sorted by; the identifier breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum CustomerSortField {
    /// The code.
    Code,
    /// The name.
    Name,
    /// When it was made.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

/// The order of a list of customers.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct CustomerSort {
    /// What is sorted by.
    pub field: CustomerSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// How one customer is named: exactly one of these.
#[derive(Clone, Debug, OneofObject)]
pub enum CustomerIdentity {
    /// By identifier.
    Id(ID),
    /// By code.
    Code(String),
}

/// Reads of customers.
#[derive(Default)]
pub struct CustomerQuery;

/// Reads of customers.
#[Object]
impl CustomerQuery {
    /// The customers, by code unless told. Needs the scope CUSTOMERS_READ.
    #[graphql(
        guard = "Allowed(Scope::CustomersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<CustomerWhere>,
        #[graphql(desc = "In which order.")] order_by: Option<CustomerSort>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Customer>> {
        use customer::{Column, Model};
        let rows = customer::Entity::find().filter(condition(filter.as_ref())?);
        let (field, order) = order_by.map_or((CustomerSortField::Code, Order::Asc), |sort| {
            (sort.field, sort.direction.into())
        });
        let (app, id) = (app(ctx), Column::Id);
        macro_rules! by {
            ($column:ident, $field:ident) => {{
                let key = |row: &Model| (row.$field.clone(), row.id.0);
                let column = Column::$column;
                let sort = Sort {
                    column,
                    id,
                    order,
                    key,
                };
                page(app, rows, sort, first, after, Customer).await
            }};
        }
        match field {
            CustomerSortField::Code => by!(Code, code),
            CustomerSortField::Name => by!(Name, name),
            CustomerSortField::CreatedAt => by!(CreatedAt, created_at),
            CustomerSortField::UpdatedAt => by!(UpdatedAt, updated_at),
        }
    }

    /// A customer; null if there is none. Needs the scope CUSTOMERS_READ.
    #[graphql(guard = "Allowed(Scope::CustomersRead)")]
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which: by id or by code.")] by: CustomerIdentity,
    ) -> Result<Option<Customer>> {
        let which = match by {
            CustomerIdentity::Id(id) => match from_global::<CustomerId>(&id, "by.id") {
                Ok(id) => Condition::all().add(customer::Column::Id.eq(id)),
                Err(_) => return Ok(None),
            },
            CustomerIdentity::Code(code) => {
                Condition::all().add(customer::Column::Code.eq(code.trim()))
            }
        };
        let row = customer::Entity::find()
            .filter(which)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(row.map(Customer))
    }

    /// Every group of customers, by code. Needs the scope CUSTOMERS_READ.
    #[graphql(
        guard = "Allowed(Scope::CustomersRead)",
        complexity = "1 + 20 * child_complexity"
    )]
    async fn customer_groups(&self, ctx: &Context<'_>) -> Result<Vec<CustomerGroup>> {
        let rows = customer_group::Entity::find()
            .order_by_asc(customer_group::Column::Code)
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(rows.into_iter().map(CustomerGroup).collect())
    }
}

fn name(text: &str) -> Result<String, Problem> {
    let parsed = PersonName::parse(text).map(String::from);
    parsed.map_err(|error| refusal(Code::NameInvalid, error, "input.name"))
}

fn email(text: &str) -> Result<String, Problem> {
    let parsed = Email::parse(text).map(String::from);
    parsed.map_err(|error| refusal(Code::EmailInvalid, error, "input.email"))
}

fn phone(text: &str, country: Option<&str>) -> Result<String, Problem> {
    let country = match country {
        None => None,
        Some(text) => Some(parse_country(text).ok_or_else(|| {
            Problem::new(Code::InvalidInput, format!("{text:?} is no country"))
                .at("input.phoneCountry")
        })?),
    };
    let parsed = Phone::parse(text, country).map(String::from);
    parsed.map_err(|error| refusal(Code::PhoneInvalid, error, "input.phone"))
}

fn refusal(code: Code, error: ContactError, field: &str) -> Problem {
    Problem::new(code, error.to_string())
        .at(field)
        .with(serde_json::json!({ "reason": error.code() }))
}

/// Parses what may be left out or removed.
fn changed<T, R>(
    value: MaybeUndefined<T>,
    parse: impl FnOnce(T) -> Result<R, Problem>,
) -> Result<Option<Option<R>>, Problem> {
    Ok(match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(parse(value)?)),
    })
}

/// What `customerGroupCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerGroupCreateInput {
    /// Its name in price lists: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
}

/// What `customerCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerCreateInput {
    /// Its name in feeds and imports: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// A person's or company's name, 1 to 300 characters in any script (NAME_INVALID).
    pub name: String,
    /// Where notices go (EMAIL_INVALID).
    pub email: Option<String>,
    /// A telephone number, international or national to `phoneCountry`; kept as E.164
    /// (PHONE_INVALID).
    pub phone: Option<String>,
    /// The country of a national telephone number: ISO 3166-1 alpha-2, or its English name.
    pub phone_country: Option<String>,
    /// The code of the group whose prices it gets (NOT_FOUND).
    pub group_code: Option<String>,
    /// Whether it is charged no tax.
    #[graphql(default)]
    pub tax_exempt: bool,
    /// Days that it has to pay an invoice, 0 to 365; it pays at once if not given.
    pub terms_days: Option<i32>,
    /// How much it may owe; it has no account if not given (AMOUNT_INVALID).
    pub credit_limit: Option<MoneyInput>,
}

impl CustomerCreateInput {
    fn command(self) -> Result<customers::Create, Problem> {
        let country = self.phone_country.as_deref();
        Ok(customers::Create {
            code: self.code,
            name: name(&self.name)?,
            email: self.email.as_deref().map(email).transpose()?,
            phone: self
                .phone
                .as_deref()
                .map(|text| phone(text, country))
                .transpose()?,
            group_code: self.group_code,
            tax_exempt: self.tax_exempt,
            terms_days: self.terms_days,
            credit_limit: self
                .credit_limit
                .map(|limit| limit.read("input.creditLimit"))
                .transpose()?,
        })
    }
}

/// What `customerUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerUpdateInput {
    /// Which customer (CUSTOMER_NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// A person's or company's name, 1 to 300 characters in any script (NAME_INVALID).
    pub name: Option<String>,
    /// Where notices go (EMAIL_INVALID); null removes it.
    pub email: MaybeUndefined<String>,
    /// A telephone number, international or national to `phoneCountry` (PHONE_INVALID); null
    /// removes it.
    pub phone: MaybeUndefined<String>,
    /// The country of a national telephone number: ISO 3166-1 alpha-2, or its English name.
    pub phone_country: Option<String>,
    /// The code of the group whose prices it gets (NOT_FOUND); null takes it out of its group.
    pub group_code: MaybeUndefined<String>,
    /// Whether it is charged no tax.
    pub tax_exempt: Option<bool>,
    /// Days that it has to pay an invoice, 0 to 365; null = it pays at once.
    pub terms_days: MaybeUndefined<i32>,
}

impl CustomerUpdateInput {
    fn command(self) -> Result<customers::Update, Problem> {
        let country = self.phone_country.as_deref();
        Ok(customers::Update {
            id: customer_id(&self.id)?,
            expected_version: self.expected_version,
            name: self.name.as_deref().map(name).transpose()?,
            email: changed(self.email, |text| email(&text))?,
            phone: changed(self.phone, |text| phone(&text, country))?,
            group_code: self.group_code.into(),
            tax_exempt: self.tax_exempt,
            terms_days: self.terms_days.into(),
        })
    }
}

/// What `customerSetCredit` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerSetCreditInput {
    /// Which customer (CUSTOMER_NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// How much it may owe (AMOUNT_INVALID); null closes its account.
    pub credit_limit: Option<MoneyInput>,
}

impl CustomerSetCreditInput {
    fn command(self) -> Result<customers::SetCredit, Problem> {
        Ok(customers::SetCredit {
            id: customer_id(&self.id)?,
            expected_version: self.expected_version,
            limit: self
                .credit_limit
                .map(|limit| limit.read("input.creditLimit"))
                .transpose()?,
        })
    }
}

/// What `customerErase` needs: exactly one of `id` and `guestEmail`.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerEraseInput {
    /// Which customer (CUSTOMER_NOT_FOUND). What was ordered as a guest under its e-mail address is
    /// erased with it, unless another customer has the same address.
    pub id: Option<ID>,
    /// The e-mail address of somebody who ordered as a guest only (CUSTOMER_NOT_FOUND).
    pub guest_email: Option<String>,
    /// Why, 1 to 300 characters. It stays in the log.
    pub reason: String,
}

impl CustomerEraseInput {
    fn command(self) -> Result<erasure::Erase, Problem> {
        let who = match (self.id, self.guest_email) {
            (Some(id), None) => erasure::Who::Customer(customer_id(&id)?),
            (None, Some(email)) => erasure::Who::Guest(email.trim().to_owned()),
            _ => {
                let message = "either a customer or a guest's e-mail address is named";
                return Err(Problem::new(Code::InvalidInput, message).at("input"));
            }
        };
        Ok(erasure::Erase {
            who,
            reason: self.reason,
        })
    }
}

/// An erasure that was done.
#[derive(SimpleObject)]
pub struct Erasure {
    /// The customer as it is now; null for a guest.
    pub customer: Option<Customer>,
    /// How many orders are nobody's now.
    pub orders: i64,
    /// How many exports are gone with it: they may have held the data.
    pub exports: i64,
}

impl From<erasure::Erased> for Erasure {
    fn from(done: erasure::Erased) -> Self {
        Erasure {
            customer: done.customer.map(Customer),
            orders: done.orders as i64,
            exports: done.exports as i64,
        }
    }
}

fn customer_id(id: &ID) -> Result<CustomerId, Problem> {
    from_global(id, "input.id")
        .map_err(|_| Problem::new(Code::CustomerNotFound, "no such customer").at("input.id"))
}

payloads! {
    /// What `customerGroupCreate` came to.
    CustomerGroupCreatePayload {
        /// The new group; null if it was refused.
        customer_group: CustomerGroup
    }
    /// What `customerCreate` came to.
    CustomerCreatePayload {
        /// The new customer; null if it was refused.
        customer: Customer
    }
    /// What `customerUpdate` came to.
    CustomerUpdatePayload {
        /// The customer after the change; null if it was refused.
        customer: Customer
    }
    /// What `customerSetCredit` came to.
    CustomerSetCreditPayload {
        /// The customer after the change; null if it was refused.
        customer: Customer
    }
    /// What `customerErase` came to.
    CustomerErasePayload {
        /// What was done; null if it was refused.
        erasure: Erasure
    }
}

/// Changes of customers.
#[derive(Default)]
pub struct CustomerMutation;

/// Changes of customers.
#[Object]
impl CustomerMutation {
    /// Makes a group of customers. Refusals: CODE_TAKEN, NAME_INVALID, INVALID_INPUT.
    /// Needs the scope CUSTOMERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::CustomersManage)")]
    async fn customer_group_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the group is to be.")] input: CustomerGroupCreateInput,
    ) -> Result<CustomerGroupCreatePayload> {
        let cmd = Ok(customers::CreateGroup {
            code: input.code,
            name: input.name,
        });
        Ok(run(ctx, cmd, customers::create_group).await?.into())
    }

    /// Makes a customer. Refusals: CODE_TAKEN, NAME_INVALID, EMAIL_INVALID, PHONE_INVALID,
    /// NOT_FOUND, AMOUNT_INVALID, QUANTITY_INVALID, INVALID_INPUT.
    /// Needs the scope CUSTOMERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::CustomersManage)")]
    async fn customer_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who the customer is, and its terms.")] input: CustomerCreateInput,
    ) -> Result<CustomerCreatePayload> {
        Ok(run(ctx, input.command(), customers::create).await?.into())
    }

    /// Changes a customer. Orders that were taken before keep what they were taken under.
    /// Refusals: CUSTOMER_NOT_FOUND, STALE_VERSION, NAME_INVALID, EMAIL_INVALID, PHONE_INVALID,
    /// NOT_FOUND, QUANTITY_INVALID, INVALID_INPUT. Needs the scope CUSTOMERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::CustomersManage)")]
    async fn customer_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: CustomerUpdateInput,
    ) -> Result<CustomerUpdatePayload> {
        Ok(run(ctx, input.command(), customers::update).await?.into())
    }

    /// Sets how much a customer may owe. A limit below what it owes already stops new orders on
    /// account and leaves the others. Refusals: CUSTOMER_NOT_FOUND, STALE_VERSION,
    /// AMOUNT_INVALID, INVALID_INPUT (an account in use can neither be closed nor change its
    /// currency). Needs the scope CUSTOMERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::CustomersManage)")]
    async fn customer_set_credit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which customer, and its limit.")] input: CustomerSetCreditInput,
    ) -> Result<CustomerSetCreditPayload> {
        Ok(run(ctx, input.command(), customers::set_credit)
            .await?
            .into())
    }

    /// Forgets who a customer was: names, contacts, addresses and whatever was written about its
    /// orders, in every table; numbers, dates and figures stay. Stored documents of its orders, and
    /// all pick lists, manifests and exports, are dropped. It cannot be taken back. Refusals:
    /// CUSTOMER_NOT_FOUND, CUSTOMER_NOT_ERASABLE (its details say what is not over yet),
    /// INVALID_INPUT. Needs the scope CUSTOMERS_ERASE.
    #[graphql(guard = "Allowed(Scope::CustomersErase)")]
    async fn customer_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and why.")] input: CustomerEraseInput,
    ) -> Result<CustomerErasePayload> {
        Ok(run(ctx, input.command(), erasure::erase).await?.into())
    }
}
