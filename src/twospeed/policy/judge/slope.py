"""Slope: how much of a duration the size of the prompt explains, learned from the stable version only.

log duration ~ level of the moment + b1 x + b2 x^2, x = log prompt tokens minus its mean, within +-CLIP. The level drops
out because every block is centred first, so load never looks like prompt size. Sums only: two of them add up.
"""

from typing import Any

import numpy as np

from twospeed.policy.judge.observation import Floats

RIDGE = 20.0  # calls' worth of belief that prompts explain nothing
CLIP = 3.0  # log units from the mean prompt
START = 8.0  # log of the mean prompt before any has been seen


class Slope:
    """One regression per duration."""

    def __init__(self) -> None:
        self._prompts = np.zeros(2)  # calls, sum of log prompts
        self._products = np.zeros((2, 2))
        self._answers = np.zeros(2)

    def features(self, prompts: Floats) -> Floats:
        """Return float[2, n]; calls without a known prompt count as average ones."""
        count, total = self._prompts
        centred = np.clip(prompts - (total / count if count else START), -CLIP, CLIP)
        known = np.nan_to_num(centred)
        return np.stack([known, known * known - 1.0 * np.isfinite(prompts)])

    def expected(self, features: Floats) -> Floats:
        """Return what prompt size adds to each log duration."""
        explained: Floats = np.linalg.solve(self._products + RIDGE * np.eye(2), self._answers) @ features
        return explained

    def learn(self, prompts: Floats, features: Floats, values: Floats) -> None:
        """Take the stable calls of one block. Args: values: log durations."""
        known = np.isfinite(prompts)
        if known.sum() < 2:
            return
        centred = features[:, known] - features[:, known].mean(axis=1, keepdims=True)
        self._products += centred @ centred.T
        self._answers += centred @ (values[known] - values[known].mean())
        self._prompts += (known.sum(), prompts[known].sum())

    def merge(self, other: "Slope") -> None:
        """Add what another has learned."""
        self._prompts, self._products = self._prompts + other._prompts, self._products + other._products
        self._answers = self._answers + other._answers

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists."""
        return {
            "prompts": self._prompts.tolist(),
            "products": self._products.tolist(),
            "answers": self._answers.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Slope":
        """Build from what `to_plain` returned."""
        slope = cls()
        slope._prompts, slope._products = np.array(plain["prompts"]), np.array(plain["products"])
        slope._answers = np.array(plain["answers"])
        return slope
