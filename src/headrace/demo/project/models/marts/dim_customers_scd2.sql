-- Customers through time (SCD type 2): a row per version of a profile, with the time in which it was true.
select
    user_id || '@' || strftime(updated_at, '%Y-%m-%dT%H:%M:%S.%fZ') as customer_version,
    user_id,
    name,
    email,
    city,
    country,
    postal_code,
    loyalty_tier,
    marketing_consent,
    updated_at as valid_from,
    lead(updated_at) over versions as valid_to,
    lead(updated_at) over versions is null as is_current
from {{ ref('stg_customer_profiles') }}
window versions as (partition by user_id order by updated_at)
