"""Data that comes with the package; ATTRIBUTION.md beside this file names its authors and licence."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

COUPON_LABEL = "Y"
COUPON_RESPONDENT = (
    "gender", "age", "maritalStatus", "has_children", "education", "occupation", "income", "car",
    "Bar", "CoffeeHouse", "CarryAway", "RestaurantLessThan20", "Restaurant20To50",
)  # fmt: skip
"""The columns that describe the respondent: together they name the group a row belongs to."""


def coupon_path() -> Path:
    """The in-vehicle coupon recommendation set: 12,684 rows, 25 categorical columns, label COUPON_LABEL."""
    return Path(str(files(__name__) / "coupon.csv.gz"))
