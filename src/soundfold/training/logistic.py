"""Logistic regression at its optimum: the one that scikit-learn finds, whose import takes longer than most fits here.

The loss is the weighted cross entropy, plus half the squared length of the weights over `c`; biases are free. It is
convex, and scipy's L-BFGS-B finds its minimum, to the same tolerance as scikit-learn does.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["fit_logistic"]

_MOST_ITERATIONS = 1_000
"""The presets need 17 to 178 on real sounds; only values that differ a thousandfold in size, which none are that were
standardised, were seen on their way after a thousand, with `c` from 1,000 on."""
_NEAR_ENOUGH = 1e-4
"""Largest gradient at the end; ten times as much halves the time, and shows in the second digit of small fits."""

Numbers = npt.NDArray[np.float64]


def fit_logistic(
    values: np.ndarray, targets: np.ndarray, weight: np.ndarray, c: float, *, several: bool
) -> tuple[Numbers, Numbers]:
    """Return weights (classes, values) and bias (classes,).

    Its steps are too short to be divided among threads: whoever calls it keeps BLAS to one (`threadpool_limits`).

    Args:
        values: (n, values) float32.
        targets: (n, classes) 0 and 1: one 1 a row, unless several.
        weight: (n,) what each row counts.
        c: weight of the data against the size of the weights, above 0.
        several: each class is an answer of its own, yes or no, in place of one of them all.
    """
    # here and not above: in each of several processes, most of which fit no regression
    from scipy.optimize import minimize

    size = values.shape[1]
    aims = np.ascontiguousarray(targets, dtype=np.float32)
    counts = (weight / weight.sum()).astype(np.float32)[:, np.newaxis]
    pull = 1 / (c * weight.sum())
    entropy = _of_each if several else _of_one

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        found = flat.reshape(-1, size + 1)
        logits = values @ found[:, :-1].T.astype(np.float32) + found[:, -1].astype(np.float32)
        cost, wrong = entropy(logits, aims)
        wrong *= counts
        slope = np.empty_like(found)
        slope[:, :-1] = wrong.T @ values + pull * found[:, :-1]
        slope[:, -1] = wrong.sum(axis=0)
        return float((cost * counts).sum() + pull / 2 * (found[:, :-1] ** 2).sum()), slope.ravel()

    options = {"maxiter": _MOST_ITERATIONS, "maxls": 50, "gtol": _NEAR_ENOUGH, "ftol": 64 * np.finfo(float).eps}
    start = np.zeros(aims.shape[1] * (size + 1))
    end = minimize(loss, start, method="L-BFGS-B", jac=True, options=options).x.reshape(-1, size + 1)
    return end[:, :-1], end[:, -1]


def _of_one(logits: np.ndarray, aims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cross entropy (n, 1) of rows of which one class is right, and its slope (n, classes)."""
    logits -= logits.max(axis=1, keepdims=True)
    told = (logits * aims).sum(axis=1, keepdims=True)
    powers = np.exp(logits, out=logits)
    total = powers.sum(axis=1, keepdims=True)
    cost = np.log(total) - told
    powers /= total
    powers -= aims
    return cost, powers


def _of_each(logits: np.ndarray, aims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cross entropy (n, classes) of classes that are right or not, each for itself, and its slope."""
    cost = np.logaddexp(0, logits) - logits * aims
    return cost, 0.5 + 0.5 * np.tanh(0.5 * logits) - aims
