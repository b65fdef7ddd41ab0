//! Bills for programs: UBL 2.1 by the European standard EN 16931. Elements stand in the order of
//! the schema; what the standard calls a term is named by its number where it is not plain.

use std::io;

use entity::document::Format;
use entity::invoice::{Kind, Payment};
use entity::invoice_line::TaxCategory;
use entity::{Currency, Money, Rate};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use rust_decimal::Decimal;

use super::bill::{Bill, BillLine, Party};
use super::{Rendered, Unprintable};

/// What the document keeps to. The standard knows two decimals; a bill in a currency of three does
/// not claim to be one of its.
const PROFILE: &str = "urn:cen.eu:en16931:2017";

/// What every element's name is short for.
const NAMES: &str = "urn:oasis:names:specification:ubl:schema:xsd";

/// Writes a bill for programs.
pub fn bill_ubl(bill: &Bill) -> Result<Rendered, Unprintable> {
    let fault = |error: io::Error| Unprintable::Document(error.to_string());
    Ok(Rendered {
        format: Format::Xml,
        bytes: written(bill).map_err(fault)?,
        pages: 1,
        missing: Vec::new(),
    })
}

/// The code of a category of tax.
fn code(category: TaxCategory) -> &'static str {
    match category {
        TaxCategory::Standard => "S",
        TaxCategory::Zero => "Z",
        TaxCategory::Exempt => "E",
        TaxCategory::IntraCommunity => "K",
        TaxCategory::Export => "G",
    }
}

/// Why no tax is charged: the code of the list VATEX, and words.
fn exemption(category: TaxCategory) -> Option<(Option<&'static str>, &'static str)> {
    match category {
        TaxCategory::Standard | TaxCategory::Zero => None,
        TaxCategory::Exempt => Some((None, "Exempt from value added tax")),
        TaxCategory::IntraCommunity => Some((Some("VATEX-EU-IC"), "Intra-community supply")),
        TaxCategory::Export => Some((Some("VATEX-EU-G"), "Export outside the European Union")),
    }
}

/// Text as XML can say it.
fn sayable(text: &str) -> String {
    let said = |char: &char| matches!(char, '\t' | '\n' | '\r') || !char.is_control();
    let said = |char: &char| said(char) && !matches!(char, '\u{fffe}' | '\u{ffff}');
    text.chars()
        .filter(said)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The document at work.
struct Pen {
    to: Writer<Vec<u8>>,
    currency: Currency,
}

impl Pen {
    /// An element with others inside.
    fn around(
        &mut self,
        name: &str,
        inside: impl FnOnce(&mut Pen) -> io::Result<()>,
    ) -> io::Result<()> {
        self.to.write_event(Event::Start(BytesStart::new(name)))?;
        inside(self)?;
        self.to.write_event(Event::End(BytesEnd::new(name)))
    }

    /// An element with an attribute and text inside.
    fn marked(&mut self, name: &str, mark: Option<(&str, &str)>, text: &str) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(mark);
        self.to.write_event(Event::Start(start))?;
        let text = sayable(text);
        self.to.write_event(Event::Text(BytesText::new(&text)))?;
        self.to.write_event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.marked(name, None, text)
    }

    /// An element that is left out if there is nothing to say.
    fn some(&mut self, name: &str, text: Option<&str>) -> io::Result<()> {
        match text.map(sayable).filter(|text| !text.is_empty()) {
            Some(text) => self.text(name, &text),
            None => Ok(()),
        }
    }

    fn amount(&mut self, name: &str, minor: i64) -> io::Result<()> {
        let amount = Money::new(minor, self.currency).to_decimal().to_string();
        let currency = self.currency;
        self.marked(name, Some(("currencyID", currency.code())), &amount)
    }

    fn tax_category(
        &mut self,
        name: &str,
        category: TaxCategory,
        rate: Rate,
        reason: bool,
    ) -> io::Result<()> {
        self.around(name, |pen| {
            pen.text("cbc:ID", code(category))?;
            let percent = (rate.0 * Decimal::ONE_HUNDRED).normalize();
            pen.text("cbc:Percent", &percent.to_string())?;
            if let (true, Some((code, words))) = (reason, exemption(category)) {
                pen.some("cbc:TaxExemptionReasonCode", code)?;
                pen.text("cbc:TaxExemptionReason", words)?;
            }
            pen.scheme("VAT")
        })
    }

    fn scheme(&mut self, scheme: &str) -> io::Result<()> {
        self.around("cac:TaxScheme", |pen| pen.text("cbc:ID", scheme))
    }

    fn address(&mut self, name: &str, party: &Party) -> io::Result<()> {
        self.around(name, |pen| {
            pen.some("cbc:StreetName", Some(&party.line1))?;
            pen.some("cbc:AdditionalStreetName", party.line2.as_deref())?;
            pen.some("cbc:CityName", Some(&party.city))?;
            pen.some("cbc:PostalZone", party.postal_code.as_deref())?;
            pen.some("cbc:CountrySubentity", party.region.as_deref())?;
            pen.around("cac:Country", |pen| {
                pen.text("cbc:IdentificationCode", &party.country)
            })
        })
    }

    fn party(&mut self, name: &str, party: &Party) -> io::Result<()> {
        let legal = party.organisation.as_ref().unwrap_or(&party.name);
        self.around(name, |pen| {
            pen.around("cac:Party", |pen| {
                pen.around("cac:PartyName", |pen| pen.text("cbc:Name", legal))?;
                pen.address("cac:PostalAddress", party)?;
                for (id, scheme) in [(&party.vat_id, "VAT"), (&party.tax_number, "FC")] {
                    if let Some(id) = id {
                        pen.around("cac:PartyTaxScheme", |pen| {
                            pen.text("cbc:CompanyID", id)?;
                            pen.scheme(scheme)
                        })?;
                    }
                }
                pen.around("cac:PartyLegalEntity", |pen| {
                    pen.text("cbc:RegistrationName", legal)?;
                    pen.some("cbc:CompanyID", party.registration.as_deref())
                })?;
                let person = party.organisation.as_ref().map(|_| party.name.as_str());
                if person.is_none() && party.phone.is_none() && party.email.is_none() {
                    return Ok(());
                }
                pen.around("cac:Contact", |pen| {
                    pen.some("cbc:Name", person)?;
                    pen.some("cbc:Telephone", party.phone.as_deref())?;
                    pen.some("cbc:ElectronicMail", party.email.as_deref())
                })
            })
        })
    }

    fn line(&mut self, kind: Kind, line: &BillLine) -> io::Result<()> {
        let (name, quantity) = match kind {
            Kind::Invoice => ("cac:InvoiceLine", "cbc:InvoicedQuantity"),
            Kind::CreditNote => ("cac:CreditNoteLine", "cbc:CreditedQuantity"),
        };
        let currency = self.currency;
        self.around(name, |pen| {
            pen.text("cbc:ID", &line.position.to_string())?;
            // Pieces.
            let unit = Some(("unitCode", "H87"));
            pen.marked(quantity, unit, &line.units().to_string())?;
            pen.amount("cbc:LineExtensionAmount", line.net_minor)?;
            if line.discount_minor > 0 {
                pen.around("cac:AllowanceCharge", |pen| {
                    pen.text("cbc:ChargeIndicator", "false")?;
                    pen.text("cbc:AllowanceChargeReason", "Discount")?;
                    pen.amount("cbc:Amount", line.discount_minor)?;
                    pen.amount("cbc:BaseAmount", line.full_minor())
                })?;
            }
            pen.around("cac:Item", |pen| {
                let named = sayable(&line.title);
                let named = if named.is_empty() { &line.sku } else { &named };
                pen.text("cbc:Name", named)?;
                if !line.sku.is_empty() {
                    pen.around("cac:SellersItemIdentification", |pen| {
                        pen.text("cbc:ID", &line.sku)
                    })?;
                }
                pen.tax_category("cac:ClassifiedTaxCategory", line.category, line.rate, false)
            })?;
            pen.around("cac:Price", |pen| {
                let price = line.unit_price(currency).to_string();
                pen.marked(
                    "cbc:PriceAmount",
                    Some(("currencyID", currency.code())),
                    &price,
                )
            })
        })
    }

    fn delivery(&mut self, bill: &Bill) -> io::Result<()> {
        self.around("cac:Delivery", |pen| {
            let day = bill.supplied_on.map(|day| day.to_string());
            pen.some("cbc:ActualDeliveryDate", day.as_deref())?;
            pen.around("cac:DeliveryLocation", |pen| {
                pen.address("cac:Address", &bill.delivered_to)
            })?;
            let to = &bill.delivered_to;
            pen.around("cac:DeliveryParty", |pen| {
                pen.around("cac:PartyName", |pen| {
                    pen.text("cbc:Name", to.organisation.as_ref().unwrap_or(&to.name))
                })
            })
        })
    }

    fn payment(&mut self, bill: &Bill) -> io::Result<()> {
        let iban = bill.seller.iban.as_deref();
        self.around("cac:PaymentMeans", |pen| {
            let code = match (bill.payment, iban) {
                // A card; a transfer; by agreement.
                (Payment::Card, _) => "48",
                (Payment::Account, Some(_)) => "30",
                _ => "1",
            };
            pen.text("cbc:PaymentMeansCode", code)?;
            let due = bill.due_on.filter(|_| bill.kind == Kind::CreditNote);
            pen.some(
                "cbc:PaymentDueDate",
                due.map(|day| day.to_string()).as_deref(),
            )?;
            match (bill.payment, iban) {
                (Payment::Account, Some(iban)) => {
                    pen.text("cbc:PaymentID", &bill.name)?;
                    pen.around("cac:PayeeFinancialAccount", |pen| {
                        pen.text("cbc:ID", iban)?;
                        pen.text("cbc:Name", &bill.seller.name)?;
                        match &bill.seller.bic {
                            Some(bic) => pen.around("cac:FinancialInstitutionBranch", |pen| {
                                pen.text("cbc:ID", bic)
                            }),
                            None => Ok(()),
                        }
                    })
                }
                _ => Ok(()),
            }
        })?;
        if bill.is_paid() {
            return Ok(());
        }
        let terms = match bill.due_on {
            Some(day) => format!("Payable by {day}"),
            None => "Payable at once".to_owned(),
        };
        self.around("cac:PaymentTerms", |pen| pen.text("cbc:Note", &terms))
    }

    fn totals(&mut self, bill: &Bill) -> io::Result<()> {
        let taxes = bill.taxes();
        self.around("cac:TaxTotal", |pen| {
            pen.amount("cbc:TaxAmount", bill.tax_minor())?;
            for group in &taxes {
                pen.around("cac:TaxSubtotal", |pen| {
                    pen.amount("cbc:TaxableAmount", group.taxable_minor)?;
                    pen.amount("cbc:TaxAmount", group.tax_minor)?;
                    pen.tax_category("cac:TaxCategory", group.category, group.rate, true)
                })?;
            }
            Ok(())
        })?;
        self.around("cac:LegalMonetaryTotal", |pen| {
            let (net, tax) = (bill.net_minor(), bill.tax_minor());
            pen.amount("cbc:LineExtensionAmount", bill.items_minor())?;
            pen.amount("cbc:TaxExclusiveAmount", net)?;
            pen.amount("cbc:TaxInclusiveAmount", net + tax)?;
            if !bill.charges.is_empty() {
                pen.amount("cbc:ChargeTotalAmount", bill.charges_minor())?;
            }
            let total = bill.total_minor();
            let paid = if bill.is_paid() { total } else { 0 };
            if paid != 0 {
                pen.amount("cbc:PrepaidAmount", paid)?;
            }
            if bill.rounding_minor != 0 {
                pen.amount("cbc:PayableRoundingAmount", bill.rounding_minor)?;
            }
            pen.amount("cbc:PayableAmount", total - paid)
        })
    }
}

fn written(bill: &Bill) -> io::Result<Vec<u8>> {
    let mut pen = Pen {
        to: Writer::new(Vec::new()),
        currency: bill.currency,
    };
    let declaration = BytesDecl::new("1.0", Some("UTF-8"), None);
    pen.to.write_event(Event::Decl(declaration))?;
    let (root, kind, type_code) = match bill.kind {
        Kind::Invoice => ("Invoice", "cbc:InvoiceTypeCode", "380"),
        Kind::CreditNote => ("CreditNote", "cbc:CreditNoteTypeCode", "381"),
    };
    let own = format!("{NAMES}:{root}-2");
    let aggregates = format!("{NAMES}:CommonAggregateComponents-2");
    let basics = format!("{NAMES}:CommonBasicComponents-2");
    let start = BytesStart::new(root).with_attributes([
        ("xmlns", own.as_str()),
        ("xmlns:cac", aggregates.as_str()),
        ("xmlns:cbc", basics.as_str()),
    ]);
    pen.to.write_event(Event::Start(start))?;
    if bill.currency.exponent() <= 2 {
        pen.text("cbc:CustomizationID", PROFILE)?;
    }
    pen.text("cbc:ID", &bill.name)?;
    pen.text("cbc:IssueDate", &bill.issued_on.to_string())?;
    if bill.kind == Kind::Invoice {
        let due = bill.due_on.map(|day| day.to_string());
        pen.some("cbc:DueDate", due.as_deref())?;
    }
    pen.text(kind, type_code)?;
    pen.some("cbc:Note", bill.reason.as_deref())?;
    pen.text("cbc:DocumentCurrencyCode", bill.currency.code())?;
    pen.around("cac:OrderReference", |pen| {
        pen.text(
            "cbc:ID",
            bill.reference.as_ref().unwrap_or(&bill.order_number),
        )?;
        pen.text("cbc:SalesOrderID", &bill.order_number)
    })?;
    if let Some((name, day)) = &bill.corrects {
        pen.around("cac:BillingReference", |pen| {
            pen.around("cac:InvoiceDocumentReference", |pen| {
                pen.text("cbc:ID", name)?;
                pen.text("cbc:IssueDate", &day.to_string())
            })
        })?;
    }
    pen.party("cac:AccountingSupplierParty", &bill.seller)?;
    pen.party("cac:AccountingCustomerParty", &bill.buyer)?;
    pen.delivery(bill)?;
    pen.payment(bill)?;
    for charge in &bill.charges {
        pen.around("cac:AllowanceCharge", |pen| {
            pen.text("cbc:ChargeIndicator", "true")?;
            pen.text("cbc:AllowanceChargeReason", &charge.title)?;
            pen.amount("cbc:Amount", charge.net_minor)?;
            pen.tax_category("cac:TaxCategory", charge.category, charge.rate, false)
        })?;
    }
    pen.totals(bill)?;
    for line in &bill.items {
        pen.line(bill.kind, line)?;
    }
    pen.to.write_event(Event::End(BytesEnd::new(root)))?;
    Ok(pen.to.into_inner())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn nothing_that_somebody_wrote_ends_its_element() {
        let mut bill = samples::bill(1);
        bill.buyer.name = "</cbc:Name><evil a=\"b\"> & \u{1b}]]> 'ß'".to_owned();
        let xml = bill_ubl(&bill)
            .map(|rendered| rendered.bytes)
            .unwrap_or_default();
        let xml = String::from_utf8(xml).expect("UTF-8");
        assert!(!xml.contains("<evil"), "{xml}");
        assert!(xml.contains("&lt;evil"), "{xml}");
        assert!(!xml.contains('\u{1b}'), "{xml}");
    }

    #[test]
    fn the_same_facts_give_the_same_document() {
        let bill = samples::bill(3);
        assert_eq!(bill_ubl(&bill), bill_ubl(&bill));
    }
}
