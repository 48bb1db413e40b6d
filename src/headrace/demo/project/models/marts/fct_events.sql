-- What happened: one row per click and per transaction.
{{ config(materialized='incremental', unique_key='event_date') }}

{% set changed -%}
({{ headrace_touched('clickstream', 'event_date') }} or {{ headrace_touched('transactions', 'event_date') }})
{%- endset %}

select
    event_id,
    'clickstream' as event_source,
    event_type,
    event_timestamp,
    event_date,
    user_id,
    session_id,
    device_type,
    product_id,
    cast(null as varchar) as transaction_status,
    cast(null as decimal(18, 2)) as amount
from {{ ref('stg_clickstream') }}
where {{ changed }}

union all

select
    transaction_id,
    'transactions',
    'transaction',
    transaction_timestamp,
    event_date,
    user_id,
    session_id,
    null,
    null,
    status,
    total_amount
from {{ ref('stg_transactions') }}
where {{ changed }}
