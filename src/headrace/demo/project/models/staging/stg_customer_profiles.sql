-- Every version of every profile, flat.
select
    user_id,
    updated_at,
    name,
    email,
    address.city as city,
    address.country as country,
    address.postal_code as postal_code,
    loyalty_tier,
    marketing_consent,
    _ingest_time as ingested_at
from {{ source('silver', 'customer_profiles') }}
