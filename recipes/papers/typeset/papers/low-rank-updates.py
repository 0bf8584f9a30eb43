"""What rank buys in a low-rank update: error against rank, the price, and the scale factor.

Square matrices stand for the change of a weight matrix. They are built from random rotations and a chosen sequence of
singular values, normalised to Frobenius norm one, and approximated by a product B·A of two thin matrices: by the
truncated singular value decomposition, which is the best possible, or by stochastic gradient training of both factors.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

SIZE = 256  # rows and columns of the matrices that are decomposed
RANKS = (1, 2, 4, 8, 16, 32, 64)
TRAINED_SIZE = 128
TRAINED_RANKS = (1, 2, 4, 8, 16, 32, 64, 128)
STEPS, BATCH = 150, 32
TUNED_RANK, TUNED_SCALE = 8, 2.0
RATES = 10 ** np.arange(-2.75, -0.9, 0.25)
SEEDS = (11, 12, 13)
RULES: dict[str, Callable[[int], float]] = {
    "constant": lambda rank: TUNED_SCALE,
    "1/√rank": lambda rank: TUNED_SCALE * (TUNED_RANK / rank) ** 0.5,
    "1/rank": lambda rank: TUNED_SCALE * TUNED_RANK / rank,
}


def unit(values: np.ndarray) -> np.ndarray:
    """The same values with Euclidean norm one."""
    return values / np.linalg.norm(values)


def power_law(exponent: float, size: int = SIZE) -> np.ndarray:
    """Singular values that fall as a power of their index."""
    return unit(np.arange(1, size + 1) ** -exponent)


def spectra() -> dict[str, np.ndarray]:
    """The singular values under study, from the slowest to the fastest decay."""
    noise = np.linalg.svd(np.random.default_rng(1).normal(size=(SIZE, SIZE)), compute_uv=False)
    return {
        "noise": unit(noise),
        "power 1/2": power_law(0.5),
        "power 1": power_law(1.0),
        "power 2": power_law(2.0),
        "exponential": unit(np.exp(-np.arange(SIZE) / 8)),
    }


def rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def matrix(values: np.ndarray, seed: int) -> np.ndarray:
    """A matrix with the given singular values between two random rotations."""
    rng = np.random.default_rng(seed)
    return (rotation(rng, len(values)) * values) @ rotation(rng, len(values))


def truncated(update: np.ndarray, rank: int) -> np.ndarray:
    """The best approximation of that rank, in the Frobenius norm."""
    left, values, right = np.linalg.svd(update)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def best_errors(values: np.ndarray, ranks: tuple[int, ...]) -> list[float]:
    """The relative error of the best approximation, by the discarded singular values."""
    return [float(np.linalg.norm(values[rank:]) / np.linalg.norm(values)) for rank in ranks]


def rank_for(values: np.ndarray, error: float) -> int:
    """The smallest rank whose best approximation has at most that relative error."""
    return next(rank for rank in range(len(values) + 1) if best_errors(values, (rank,))[0] <= error)


def discrepancy() -> float:
    """The largest gap between the formula and the error of an approximation that was computed."""
    gaps = []
    for seed, values in enumerate(spectra().values()):
        update = matrix(values, seed)
        gaps += [
            abs(np.linalg.norm(update - truncated(update, rank)) - best_errors(values, (rank,))[0]) for rank in (4, 32)
        ]
    return max(gaps)


def output_errors(rank: int) -> tuple[float, float]:
    """Error of the outputs for noise under uneven inputs: the best weights, then the best outputs."""
    rng = np.random.default_rng(2)
    update = rng.normal(size=(SIZE, SIZE))
    root = rotation(rng, SIZE) * np.arange(1, SIZE + 1) ** -0.5  # root of the inputs' covariance
    wanted = update @ root
    blind = np.linalg.norm(wanted - truncated(update, rank) @ root)
    aware = np.linalg.norm(wanted - truncated(wanted, rank))
    return float(blind / np.linalg.norm(wanted)), float(aware / np.linalg.norm(wanted))


class Adam:
    """Adam with the usual constants."""

    def __init__(self, rate: float) -> None:
        self.rate, self.step = rate, 0
        self.mean = self.square = 0.0

    def change(self, gradient: np.ndarray) -> np.ndarray:
        self.step += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.step), self.square / (1 - 0.999**self.step)
        return -self.rate * mean / (np.sqrt(square) + 1e-12)


def trained_error(rank: int, scale: float, rate: float, seed: int, steps: int = STEPS) -> float:
    """Relative error after training both factors with Adam on random inputs, the rate falling to zero."""
    target = matrix(power_law(1.0, TRAINED_SIZE), 3)
    rng = np.random.default_rng(seed)
    left, right = np.zeros((TRAINED_SIZE, rank)), rng.normal(size=(rank, TRAINED_SIZE)) / TRAINED_SIZE**0.5
    for_left, for_right = Adam(rate), Adam(rate)
    for step in range(steps):
        inputs = rng.normal(size=(TRAINED_SIZE, BATCH))
        inner = right @ inputs
        miss = (scale * left @ inner - target @ inputs) / BATCH
        gradients = scale * miss @ inner.T, scale * left.T @ miss @ inputs.T
        left += (1 - step / steps) * for_left.change(gradients[0])
        right += (1 - step / steps) * for_right.change(gradients[1])
    return float(np.linalg.norm(target - scale * left @ right))


def fixed_factor_error(rank: int) -> float:
    """Relative error with the best left factor for a random right factor that stays as it is."""
    target = matrix(power_law(1.0, TRAINED_SIZE), 3)
    right = np.linalg.qr(np.random.default_rng(6).normal(size=(TRAINED_SIZE, rank)))[0]
    return float(np.linalg.norm(target - target @ right @ right.T))


def mean_error(rank: int, rule: str, rate: float) -> float:
    """Mean error after training over the seeds."""
    return float(np.mean([trained_error(rank, RULES[rule](rank), rate, seed) for seed in SEEDS]))


def carried_errors(rule: str, rate: float) -> list[float]:
    """The error at every rank, with the rate that suits the tuned rank."""
    return [mean_error(rank, rule, rate) for rank in TRAINED_RANKS]


def best_rate(rank: int, rule: str) -> float:
    """The rate of the grid with the smallest error."""
    return float(min(RATES, key=lambda rate: mean_error(rank, rule, rate)))


def first_step(rank: int, draws: int = 50) -> tuple[float, float]:
    """First-order fall of the loss in the first step at rate and scale one: plain descent and Adam, mean of draws."""
    rng = np.random.default_rng(4)
    gradient = matrix(power_law(1.0, TRAINED_SIZE), 5)
    slopes = gradient @ (rng.normal(size=(draws, TRAINED_SIZE, rank)) / TRAINED_SIZE**0.5)
    return float((slopes**2).sum() / draws), float(np.abs(slopes).sum() / draws)


def error_against_rank(ax: Axes) -> None:
    """Figure 1: the best relative error against the rank for five spectra."""
    markers = ("o-", "s--", "^-", "v--", "D:")
    for (name, values), marker in zip(spectra().items(), markers, strict=True):
        ax.plot(RANKS, best_errors(values, RANKS), marker, color="black", mfc="white", markersize=4, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(RANKS, [str(rank) for rank in RANKS])
    ax.set_xlabel("rank")
    ax.set_ylabel("relative error of the update")
    ax.set_ylim(0, 1.45)
    ax.set_yticks(np.arange(0, 1.1, 0.2))
    ax.legend(fontsize="small", loc="upper center", ncols=2)


def rate_carried_over(ax: Axes) -> None:
    """Figure 2: the error after training against the rank, at the rate tuned for rank 8, for three scales."""
    rate = best_rate(TUNED_RANK, "constant")
    for rule, marker in zip(RULES, ("o-", "s--", "^-."), strict=True):
        label = f"scale {rule}"
        ax.plot(
            TRAINED_RANKS, carried_errors(rule, rate), marker, color="black", mfc="white", markersize=4, label=label
        )
    bound = best_errors(power_law(1.0, TRAINED_SIZE), TRAINED_RANKS)
    ax.plot(TRAINED_RANKS, bound, ":", color="black", label="best possible")
    ax.set_xscale("log", base=2)
    ax.set_xticks(TRAINED_RANKS, [str(rank) for rank in TRAINED_RANKS])
    ax.set_xlabel("rank")
    ax.set_ylabel("relative error after training")
    ax.set_ylim(0, None)
    ax.legend(fontsize="small")


def print_errors() -> None:
    """Sections 2 and 3: the best errors, uneven inputs, and training."""
    for name, values in spectra().items():
        errors = ", ".join(
            f"{rank}: {error:.3f}" for rank, error in zip(RANKS, best_errors(values, RANKS), strict=True)
        )
        print(f"{name}: {errors}; rank for an error of 0.3: {rank_for(values, 0.3)}, of 0.1: {rank_for(values, 0.1)}")
    print(f"formula and computation differ by at most {discrepancy():.1e}")
    for rank in (4, 16, 64):
        print(f"uneven inputs, rank {rank}: blind {output_errors(rank)[0]:.3f}, aware {output_errors(rank)[1]:.3f}")
    for rank in (8, 32):
        bound = best_errors(power_law(1.0, TRAINED_SIZE), (rank,))[0]
        scale = RULES["1/rank"](rank)
        both = [trained_error(rank, scale, 0.01, 11, steps=steps) for steps in (STEPS, 1000)]
        print(f"rank {rank}: best {bound:.3f}; both trained {both[0]:.3f}, {both[1]:.3f} after 1000 steps")
        print(f"  right fixed {fixed_factor_error(rank):.3f}, expected {(1 - rank / TRAINED_SIZE) ** 0.5:.3f}")


def print_costs(width: int = 4096, matrices: int = 128) -> None:
    """Section 4: parameters and memory of 128 square matrices of width 4096."""
    full = width**2
    print(f"full: {full} parameters a matrix, {full * matrices / 1e9:.2f} G in all, {full * matrices * 2 / 1e9:.1f} GB")
    print(f"full training at 16 bytes: {full * matrices * 16 / 1e9:.1f} GB")
    for rank in (8, 16, 64, 256):
        thin = 2 * rank * width
        print(
            f"rank {rank}: {thin} a matrix ({100 * thin / full:.2f} %), {thin * matrices / 1e6:.1f} M in all; "
            f"training {thin * matrices * 16 / 1e6:.0f} MB, file {thin * matrices * 2 / 1e6:.1f} MB"
        )


def print_scales() -> None:
    """Section 5: the first step, the best rates, and a rate carried to other ranks."""
    for rank in (2, 8, 32, 128):
        plain, adam = first_step(rank)
        print(f"first step, rank {rank}: plain {plain:.3f}, Adam {adam:.1f}")
    for rule in RULES:
        rates = {rank: best_rate(rank, rule) for rank in (2, 8, 32, 128)}
        found = (f"{rank}: {rate:.2g} (error {mean_error(rank, rule, rate):.3f})" for rank, rate in rates.items())
        print(f"best rate, scale {rule}:", ", ".join(found))
    rate = best_rate(TUNED_RANK, "constant")
    for rule in RULES:
        errors = zip(TRAINED_RANKS, carried_errors(rule, rate), strict=True)
        print(f"rate {rate:.2g}, scale {rule}:", ", ".join(f"{rank}: {error:.3f}" for rank, error in errors))
    print("best possible:", [f"{error:.3f}" for error in best_errors(power_law(1.0, TRAINED_SIZE), TRAINED_RANKS)])


if __name__ == "__main__":
    print_errors()
    print_costs()
    print_scales()
