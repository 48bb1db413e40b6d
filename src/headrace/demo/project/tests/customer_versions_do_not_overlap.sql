-- At any time, at most one version of a customer is true.
select earlier.customer_version, later.customer_version as overlaps
from {{ ref('dim_customers_scd2') }} as earlier
inner join {{ ref('dim_customers_scd2') }} as later
    on earlier.user_id = later.user_id and earlier.valid_from < later.valid_from
where earlier.valid_to is null or earlier.valid_to > later.valid_from
