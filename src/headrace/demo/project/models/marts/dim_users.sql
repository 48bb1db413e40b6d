-- Everybody who shops here, as they are now. Whoever clicks before their profile is known has a row as well: a fact
-- never waits for its dimension.
with latest as (
    select * from {{ ref('dim_customers_scd2') }} where is_current
),

seen as (
    select
        user_id,
        min(event_timestamp) as first_seen_at,
        max(event_timestamp) as last_seen_at,
        count(distinct session_id) as sessions,
        count(*) filter (where transaction_status = 'completed') as orders,
        coalesce(sum(amount) filter (where transaction_status = 'completed'), 0) as revenue
    from {{ ref('fct_events') }}
    group by user_id
)

select
    coalesce(latest.user_id, seen.user_id) as user_id,
    latest.name,
    latest.email,
    latest.city,
    latest.country,
    coalesce(latest.loyalty_tier, 'unknown') as loyalty_tier,
    latest.marketing_consent,
    latest.valid_from as profile_since,
    latest.user_id is null as is_inferred,
    seen.first_seen_at,
    seen.last_seen_at,
    coalesce(seen.sessions, 0) as sessions,
    coalesce(seen.orders, 0) as orders,
    coalesce(seen.revenue, 0) as revenue
from latest
full join seen on latest.user_id = seen.user_id
