-- The shop's numbers, a row a day.
with events as (
    select
        event_date,
        count(*) filter (where event_source = 'clickstream') as clicks,
        count(distinct session_id) as sessions,
        count(distinct user_id) as active_users,
        count(*) filter (where event_type = 'product_view') as product_views,
        count(*) filter (where event_type = 'add_to_cart') as add_to_carts,
        count(*) filter (where event_type = 'checkout_started') as checkouts,
        count(*) filter (where event_source = 'transactions') as transactions,
        count(*) filter (where transaction_status = 'completed') as completed,
        count(*) filter (where transaction_status = 'refunded') as refunded,
        count(*) filter (where transaction_status = 'suspicious') as suspicious,
        coalesce(sum(amount) filter (where transaction_status = 'completed'), 0) as revenue
    from {{ ref('fct_events') }}
    group by event_date
),

tickets as (
    select
        opened_date,
        count(*) as tickets_opened,
        count(*) filter (where status = 'solved') as tickets_solved,
        avg(satisfaction) as satisfaction
    from {{ ref('stg_customer_support') }}
    group by opened_date
)

select
    dim_date.date_day,
    coalesce(events.clicks, 0) as clicks,
    coalesce(events.sessions, 0) as sessions,
    coalesce(events.active_users, 0) as active_users,
    coalesce(events.product_views, 0) as product_views,
    coalesce(events.add_to_carts, 0) as add_to_carts,
    coalesce(events.checkouts, 0) as checkouts,
    coalesce(events.transactions, 0) as transactions,
    coalesce(events.completed, 0) as completed,
    coalesce(events.refunded, 0) as refunded,
    coalesce(events.suspicious, 0) as suspicious,
    coalesce(events.revenue, 0) as revenue,
    round(coalesce(events.transactions, 0) / nullif(events.sessions, 0), 4) as conversion_rate,
    round(events.revenue / nullif(events.completed, 0), 2) as average_order,
    coalesce(tickets.tickets_opened, 0) as tickets_opened,
    coalesce(tickets.tickets_solved, 0) as tickets_solved,
    round(tickets.satisfaction, 2) as satisfaction
from {{ ref('dim_date') }} as dim_date
left join events on dim_date.date_day = events.event_date
left join tickets on dim_date.date_day = tickets.opened_date
