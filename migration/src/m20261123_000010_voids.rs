//! One void of a payment is under way at a time; another authorisation may be voided after it.

crate::step!(
    r#"
DROP INDEX payment_transaction_one_live_void;

CREATE UNIQUE INDEX payment_transaction_one_void_under_way ON payment_transaction(payment_id)
    WHERE kind = 'VOID' AND state IN ('READY', 'SENT', 'UNKNOWN');
"#,
    r#"
DROP INDEX payment_transaction_one_void_under_way;

CREATE UNIQUE INDEX payment_transaction_one_live_void ON payment_transaction(payment_id)
    WHERE kind = 'VOID' AND state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED');
"#
);
