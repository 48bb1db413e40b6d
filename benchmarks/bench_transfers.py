"""Ten million transfers, gold built all the while: is the sum over all accounts zero in every version?

    python benchmarks/bench_transfers.py --json

The project, what is sent and what is looked at are in `transfers.py`. Ends with exit 1 where any version was wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import report
import transfers

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    """Live it and print."""
    parser = report.options(__doc__)
    parser.add_argument("--transfers", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=1, help="how often `up` is killed")
    given = parser.parse_args()
    figures: dict[str, Any] = {}

    def bench(folder: Path) -> dict[str, Any]:
        figures.update(
            transfers.run(
                folder / "bank", count=given.transfers, accounts=given.accounts, seed=given.seed, kills=given.kills
            )
        )
        return figures

    report.report(given, bench)
    if figures["faults"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
