-- The days of fct_daily_summary add up to what is in silver: every click, every transaction, every cent.
with summed as (
    select
        sum(clicks) as clicks,
        sum(transactions) as transactions,
        sum(revenue) as revenue
    from {{ ref('fct_daily_summary') }}
),

counted as (
    select
        (select count(*) from {{ source('silver', 'clickstream') }}) as clicks,
        count(*) as transactions,
        coalesce(sum(total_amount) filter (where status = 'completed'), 0) as revenue
    from {{ source('silver', 'transactions') }}
)

select *
from summed, counted
where
    summed.clicks <> counted.clicks
    or summed.transactions <> counted.transactions
    or summed.revenue <> counted.revenue
