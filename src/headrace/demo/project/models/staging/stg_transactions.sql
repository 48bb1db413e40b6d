-- Transactions as they are now, flat.
select
    transaction_id,
    session_id,
    user_id,
    transaction_timestamp,
    _event_date as event_date,
    updated_at,
    status,
    currency,
    total_amount,
    payment.method as payment_method,
    payment.card_last4 as card_last4,
    len(items) as item_lines,
    list_sum(list_transform(items, lambda item: item.quantity)) as item_quantity,
    items,
    _ingest_time as ingested_at
from {{ source('silver', 'transactions') }}
