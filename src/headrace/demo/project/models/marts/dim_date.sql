-- Every day from the first event to the last, without gaps.
with days as (
    select unnest(generate_series(min(event_date), max(event_date), interval 1 day))::date as date_day
    from {{ ref('fct_events') }}
)

select
    date_day,
    cast(strftime(date_day, '%Y%m%d') as integer) as date_key,
    year(date_day) as year,
    quarter(date_day) as quarter,
    month(date_day) as month,
    monthname(date_day) as month_name,
    day(date_day) as day_of_month,
    isodow(date_day) as day_of_week,
    dayname(date_day) as day_name,
    weekofyear(date_day) as iso_week,
    isodow(date_day) >= 6 as is_weekend
from days
