-- Clicks, flat. Only the days that changed are made anew: late clicks change old days, too.
{{ config(materialized='incremental', unique_key='event_date') }}

select
    event_id,
    session_id,
    user_id,
    event_type,
    event_timestamp,
    _event_date as event_date,
    page.url as page_url,
    page.title as page_title,
    page.referrer as referrer,
    device.type as device_type,
    device.os as device_os,
    device.browser as device_browser,
    product_id,
    product.category as product_category,
    quantity,
    search.query as search_query,
    search.results as search_results,
    _extra as unknown_fields,
    _ingest_time as ingested_at
from {{ source('silver', 'clickstream') }}
where {{ headrace_touched('clickstream') }}
