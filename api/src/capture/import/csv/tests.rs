#![allow(clippy::unwrap_used)]

use super::*;

const HEAD: &str = "external_reference,placed_at,customer_name,ship_line1,ship_city,ship_country,\
                    sku,quantity,unit_price,discount,promotion_codes,payment_method\n";

fn read(rows: &str) -> Vec<Entry> {
    orders(format!("{HEAD}{rows}").as_bytes(), "web")
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn faults(entry: &Entry) -> Vec<(u64, Code, String)> {
    entry
        .submission
        .as_ref()
        .unwrap_err()
        .iter()
        .map(|fault| {
            let field = fault.problem.field.as_ref().map(|path| path.join("."));
            (fault.row, fault.problem.code, field.unwrap_or_default())
        })
        .collect()
}

#[test]
fn c1_rows_of_one_reference_are_the_lines_of_one_order() {
    let entries = read(
        "R-1,2026-03-01,Ann,\"1, High St\",Graz,AT,MUG,2,9.90,1.5,TEN FREE,external\n\
         R-1,,,,,,TIN,1,,,,\n\
         R-2,2026-03-01 10:30:00.000,Bob,2 Low St,Wien,AT,MUG,1,,,,CARD\n",
    );
    assert_eq!(entries.len(), 2);
    let first = entries[0].submission.as_ref().unwrap();
    assert_eq!(first.external_reference.as_deref(), Some("R-1"));
    assert_eq!(first.shipping_address.line1, "1, High St");
    assert_eq!(first.promotion_codes, ["TEN", "FREE"]);
    assert_eq!(first.payment.method, PaymentMethod::External);
    assert_eq!(first.lines.len(), 2);
    assert_eq!(first.lines[0].discount, "1.5".parse().ok());
    assert_eq!(first.lines[1].unit_price, None);
    assert_eq!(entries[0].line_rows, [2, 3]);
    let second = entries[1].submission.as_ref().unwrap();
    assert_eq!(
        second.placed_at.unwrap().to_rfc3339(),
        "2026-03-01T10:30:00+00:00"
    );
}

#[test]
fn c1_a_row_that_cannot_be_read_refuses_its_order_with_its_number_and_the_others_flow() {
    let entries = read(
        "R-1,,Ann,1 High St,Graz,AT,MUG,2,,,,EXTERNAL\n\
         R-1,,,,,,TIN,two,1.2.3,,,\n\
         R-2,,Bob,2 Low St,Wien,AT,MUG,1,,,,EXTERNAL\n\
         R-3,soon,Cid,3 Mid St,Wien,AT,MUG,1,,,,barter\n\
         R-4,too,few\n\
         ,,Dan,4 End St,Wien,AT,MUG,1,,,,EXTERNAL\n\
         R-5,,Eve,5 End St,Wien,AT,MUG,1,,,,EXTERNAL\n\
         R-5,,Eva,,,,MUG,1,,,,\n",
    );
    assert_eq!(entries.len(), 6);
    assert_eq!(
        faults(&entries[0]),
        [
            (
                3,
                Code::QuantityInvalid,
                "input.lines.1.quantity".to_owned()
            ),
            (3, Code::AmountInvalid, "input.lines.1.unitPrice".to_owned()),
        ]
    );
    assert!(entries[1].submission.is_ok());
    assert_eq!(
        faults(&entries[2]),
        [
            (5, Code::InvalidInput, "input.placedAt".to_owned()),
            (5, Code::PaymentInvalid, "input.payment.method".to_owned()),
        ]
    );
    assert_eq!(
        faults(&entries[3]),
        [(6, Code::InvalidInput, String::new())]
    );
    assert_eq!(entries[3].reference.as_deref(), Some("R-4"));
    // Whether an order needs a reference is for the import to say, not for the reader.
    assert!(entries[4].submission.is_ok() && entries[4].reference.is_none());
    assert_eq!(
        faults(&entries[5]),
        [(9, Code::InvalidInput, "input.customer.name".to_owned())]
    );
}

#[test]
fn c1_a_row_that_is_not_utf_8_is_refused_by_itself() {
    let mut file = HEAD.as_bytes().to_vec();
    file.extend_from_slice(b"R-1,,\xff\xfe,1 High St,Graz,AT,MUG,2,,,,EXTERNAL\n");
    file.extend_from_slice(b"R-2,,Bob,1 High St,Graz,AT,MUG,2,,,,EXTERNAL\n");
    let entries: Vec<Entry> = orders(file.as_slice(), "web")
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        faults(&entries[0]),
        [(2, Code::InvalidInput, String::new())]
    );
    assert!(entries[1].submission.is_ok());
}

#[test]
fn c1_unknown_missing_and_doubled_columns_refuse_the_file() {
    let refused = |head: &str| orders(head.as_bytes(), "web").err().map(|error| error.0);
    assert!(
        refused("sku,quantity,payment_method\n")
            .unwrap()
            .contains("external_reference")
    );
    assert!(
        refused(&HEAD.replace("placed_at", "colour"))
            .unwrap()
            .contains("colour")
    );
    assert!(
        refused(&HEAD.replace("placed_at", "sku"))
            .unwrap()
            .contains("twice")
    );
    assert!(refused("").unwrap().contains("missing"));
    assert_eq!(refused(&HEAD.to_uppercase()), None);
}

#[test]
fn c1_an_order_of_more_lines_than_one_may_have_is_still_held_in_little_memory() {
    let row = "R-1,,Ann,1 High St,Graz,AT,MUG,1,,,,EXTERNAL\n";
    let entries = read(&row.repeat(MOST_LINES + 500));
    assert_eq!(entries.len(), 1);
    assert_eq!(
        entries[0].submission.as_ref().unwrap().lines.len(),
        MOST_LINES + 1
    );
}
