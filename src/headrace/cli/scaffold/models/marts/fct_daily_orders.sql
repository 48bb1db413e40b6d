-- One row per day and currency: how many orders were placed, and what they came to.
select
    cast(ordered_at as date) as order_date,
    currency,
    count(*) as orders,
    count(distinct customer_id) as customers,
    sum(amount) as revenue
from {{ ref('stg_orders') }}
where status <> 'cancelled'
group by 1, 2
