"""Tests whose p-values hold for any suspect: the answers stay fixed, the key's secret is redrawn by its law.

>>> from forensics.statistics import binomial_test
>>> result = binomial_test(51, 64)
>>> result.pvalue <= 1e-6
True
>>> low, high = result.confidence_interval(0.95)

Every test returns a `Result`; invalid input raises `ValueError("invalid ...")`. No files, no models.
"""

from forensics.statistics.auc import (
    Auc,
    auc,
    auc_of_rank_sum,
    critical_rank_sum,
    most_doubled,
    power_subset,
    subset_size,
)
from forensics.statistics.binomial import BinomialResult, binomial_test, blocks_test, labels_test
from forensics.statistics.calibration import (
    allowed_rejections,
    binomial_outcomes,
    rank_outcomes,
    size_by_enumeration,
    subset_outcomes,
)
from forensics.statistics.direction import direction_test
from forensics.statistics.intervals import Interval, bounded_mean, bounded_mean_upper, clopper_pearson, upper_limit
from forensics.statistics.monte_carlo import monte_carlo_test
from forensics.statistics.multiplicity import LIMIT, HolmResult, adjusted_p, holm, n_star
from forensics.statistics.power import critical_value, power_binomial, power_ranks, sample_size
from forensics.statistics.published import fisher_exact, ks_two_sample, pearson_chi_square
from forensics.statistics.ranks import class_ranks, rank_sum_test
from forensics.statistics.result import FLOOR, Result, floored
from forensics.statistics.sequential import SequentialResult, sequential_test
from forensics.statistics.signs import signs_test
from forensics.statistics.strength import bayes_cap, bayes_factor_binomial, p_to_e
from forensics.statistics.subset import midranks, quantised, subset_bound, subset_test

__all__ = [
    "Auc",
    "BinomialResult",
    "FLOOR",
    "HolmResult",
    "Interval",
    "LIMIT",
    "Result",
    "SequentialResult",
    "adjusted_p",
    "allowed_rejections",
    "auc",
    "auc_of_rank_sum",
    "most_doubled",
    "bayes_cap",
    "bayes_factor_binomial",
    "binomial_outcomes",
    "binomial_test",
    "bounded_mean",
    "bounded_mean_upper",
    "blocks_test",
    "class_ranks",
    "clopper_pearson",
    "critical_rank_sum",
    "critical_value",
    "direction_test",
    "fisher_exact",
    "floored",
    "holm",
    "ks_two_sample",
    "labels_test",
    "midranks",
    "monte_carlo_test",
    "n_star",
    "p_to_e",
    "pearson_chi_square",
    "power_binomial",
    "power_ranks",
    "power_subset",
    "quantised",
    "rank_outcomes",
    "rank_sum_test",
    "sample_size",
    "sequential_test",
    "signs_test",
    "size_by_enumeration",
    "subset_bound",
    "subset_outcomes",
    "subset_size",
    "subset_test",
    "upper_limit",
]
