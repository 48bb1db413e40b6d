"""Jobs: what runs on a schedule inside `up`, or when asked: builds, upkeep, expiry, checks of freshness."""
