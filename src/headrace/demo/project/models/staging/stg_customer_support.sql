-- Support tickets as they are now, flat.
select
    ticket_id,
    user_id,
    transaction_id,
    opened_at,
    _event_date as opened_date,
    updated_at,
    case when status = 'solved' then updated_at end as solved_at,
    channel,
    category,
    priority,
    status,
    subject,
    len(messages) as message_count,
    satisfaction,
    _ingest_time as ingested_at
from {{ source('silver', 'customer_support') }}
