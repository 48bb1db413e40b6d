-- What the shop sells: reference data, a seed.
select
    product_id,
    product_name,
    category,
    brand,
    unit_price,
    launched_on
from {{ ref('product_catalog') }}
