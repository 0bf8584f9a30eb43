"""Bidding the truth: sealed-bid first- and second-price auctions with values drawn uniformly from [0, 1].

What a bidder earns by shading or exaggerating in each auction, what the seller earns on average and how much that
varies, what a wrong idea of the number of rivals costs, and what a reserve price brings. Simulated revenues are
printed beside the closed formulas.
"""

import math

import numpy as np
from matplotlib.axes import Axes

ROUNDS = 200_000
BIDDERS = (2, 3, 5, 10)
FACTORS = np.linspace(0.4, 1.3, 28)  # both 2/3 and 1 are among them
RESERVES = np.linspace(0.0, 0.9, 19)
STYLES = ("o-", "s--", "^:", "x-.")


def draw(n: int, seed: int, rounds: int = ROUNDS) -> np.ndarray:
    return np.random.default_rng(seed).random((rounds, n))


def shaded(values: np.ndarray, n: int, reserve: float = 0.0) -> np.ndarray:
    """Equilibrium bids of the first-price auction among n bidders; 0 (no bid) below the reserve."""
    floor = np.maximum(values, 1e-12)
    bids = values * (n - 1) / n + reserve**n / (n * floor ** (n - 1))
    return np.where(values >= reserve, bids, 0.0)


def first_price(values: np.ndarray, reserve: float = 0.0) -> np.ndarray:
    """The seller's revenue in each round, all bidders in equilibrium."""
    return shaded(values, values.shape[1], reserve).max(axis=1)


def second_price(values: np.ndarray, reserve: float = 0.0) -> np.ndarray:
    """The seller's revenue in each round, all bidders truthful."""
    if values.shape[1] == 1:
        second, best = np.zeros(len(values)), values[:, 0]
    else:
        second, best = np.partition(values, -2, axis=1)[:, -2:].T
    return np.where(best >= reserve, np.maximum(second, reserve), 0.0)


def profit(values: np.ndarray, bids: np.ndarray, rival: np.ndarray, second: bool) -> np.ndarray:
    """The first bidder's profit in each round, against the highest rival bid."""
    price = rival if second else bids
    return np.where(bids > rival, values - price, 0.0)


def profit_by_factor(n: int, second: bool) -> np.ndarray:
    """Mean profit of one bidder that bids factor × value while the others keep to the equilibrium."""
    values = draw(n, seed=10 + n)
    own, others = values[:, 0], values[:, 1:]
    rival = (others if second else shaded(others, n)).max(axis=1)
    return np.array([profit(own, factor * own, rival, second).mean() for factor in FACTORS])


def formula_by_factor(n: int, factor: float) -> float:
    """The same mean profit in the second-price auction in closed form, for factors up to 1."""
    return factor ** (n - 1) * (1 - factor * (n - 1) / n) / (n + 1)


def misjudged_share(n: int, believed: int) -> float:
    """Share of the equilibrium profit kept in a first-price auction by a bidder that takes n for `believed`."""
    values = draw(n, seed=30 + n)
    own, rival = values[:, 0], shaded(values[:, 1:], n).max(axis=1)
    right = profit(own, shaded(own, n), rival, second=False).mean()
    return profit(own, shaded(own, believed), rival, second=False).mean() / right


def revenue_formula(n: int, reserve: float) -> float:
    """Expected revenue of either auction with a reserve price."""
    return 2 * n / (n + 1) * (1 - reserve ** (n + 1)) - (1 - reserve**n)


def spread_formula(n: int) -> tuple[float, float]:
    """Standard deviation of the revenue, first-price and second-price, no reserve."""
    highest = n / ((n + 1) ** 2 * (n + 2))
    runner_up = 2 * (n - 1) / ((n + 1) ** 2 * (n + 2))
    return (n - 1) / n * math.sqrt(highest), math.sqrt(runner_up)


def risk_averse_revenue(n: int, exponent: float) -> float:
    """Simulated first-price revenue when each bidder values a profit x as x^exponent."""
    return float((draw(n, seed=50 + n).max(axis=1) * (n - 1) / (n - 1 + exponent)).mean())


def best_averse_factor(n: int, exponent: float) -> float:
    """The share of its value that maximises a bidder's expected x^exponent, rivals bidding the averse equilibrium."""
    slope = (n - 1) / (n - 1 + exponent)
    factors = np.linspace(0.01, slope, 1000)
    wins = (factors / slope) ** (n - 1)
    return float(factors[np.argmax(wins * (1 - factors) ** exponent)])


def ring_revenue(n: int, members: int) -> float:
    """Second-price revenue when the first `members` bidders agree that only the keenest of them bids."""
    values = draw(n, seed=60 + n)
    ring = values[:, :members].max(axis=1, keepdims=True)
    return float(second_price(np.hstack([ring, values[:, members:]])).mean())


def profit_against_factor(ax: Axes) -> None:
    n = 3
    ax.plot(FACTORS, profit_by_factor(n, second=True), "o-", label="second price", markersize=4, markevery=3)
    ax.plot(FACTORS, profit_by_factor(n, second=False), "s--", label="first price", markersize=4, markevery=3)
    ax.axhline(0.0, color="0.6", linewidth=0.8)
    ax.set_xlabel("bid as a share of the value")
    ax.set_ylabel("mean profit per auction")
    ax.legend(fontsize=7)


def revenue_against_reserve(ax: Axes) -> None:
    for n, style in zip((1, 2, 3, 5), STYLES, strict=True):
        values = draw(n, seed=40 + n)
        simulated = [second_price(values, reserve).mean() for reserve in RESERVES]
        ax.plot(RESERVES, simulated, style, label=f"{n} bidder{'s' if n > 1 else ''}", markersize=4)
    ax.axvline(0.5, color="0.6", linewidth=0.8)
    ax.set_xlabel("reserve price")
    ax.set_ylabel("mean revenue")
    ax.set_ylim(-0.03, 0.95)
    ax.legend(fontsize=7, ncol=2, loc="upper left")


def print_deviation() -> None:
    for second in (True, False):
        gains = profit_by_factor(3, second)
        best = int(np.argmax(gains))
        print("second" if second else "first", "price, best factor", round(FACTORS[best], 2), f"{gains[best]:.4f}")
        print("  ", {f"{f:.2f}": round(float(g), 4) for f, g in zip(FACTORS, gains, strict=True)})
    for factor in (0.5, 0.8, 0.9):
        print("kept in the second-price auction at", factor, round(formula_by_factor(3, factor) * 12, 4))


def print_revenue() -> None:
    for n in BIDDERS:
        values = draw(n, seed=20 + n, rounds=5 * ROUNDS)
        one, two = first_price(values), second_price(values)
        difference = one - two
        print(
            f"n={n}: theory {(n - 1) / (n + 1):.4f} first {one.mean():.4f} second {two.mean():.4f}",
            f"difference {difference.mean():.5f} ± {difference.std() / math.sqrt(len(values)):.5f}",
            f"sd {one.std():.4f} {two.std():.4f} theory {spread_formula(n)[0]:.4f} {spread_formula(n)[1]:.4f}",
        )


def print_day(auctions: int = 1000, n: int = 5) -> None:
    """Mean and standard deviation of the takings of many independent auctions."""
    first, second = (spread * math.sqrt(auctions) for spread in spread_formula(n))
    print(f"{auctions} auctions, n={n}: mean {auctions * (n - 1) / (n + 1):.0f}, sd {first:.2f} and {second:.2f}")


def print_beliefs() -> None:
    for n in (2, 5, 10):
        print(f"share of profit kept, n={n}:", {m: f"{misjudged_share(n, m):.3f}" for m in (2, 3, 5, 10, 20)})


def print_reserve() -> None:
    for n in (1, 2, 3, 5, 10):
        values = draw(n, seed=40 + n)
        plain, best = revenue_formula(n, 0.0), revenue_formula(n, 0.5)
        print(
            f"n={n}: reserve 0 {plain:.4f}, 0.5 {best:.4f}, gain {best / plain - 1 if plain else math.nan:.4f};",
            f"simulated second {second_price(values, 0.5).mean():.4f} first {first_price(values, 0.5).mean():.4f};",
            f"unsold {0.5**n:.4f};",
            f"at 0.8 {revenue_formula(n, 0.8):.4f}, change {revenue_formula(n, 0.8) / plain - 1 if plain else 0:.4f}",
        )


def print_limits() -> None:
    print("risk-averse (root of profit), first price, n = 2:", round(risk_averse_revenue(2, 0.5), 4))
    print("   best reply to 2/3 of the value:", round(best_averse_factor(2, 0.5), 4))
    for members in (1, 2, 3, 4, 5):
        print(f"ring of {members} among 5, second-price revenue:", round(ring_revenue(5, members), 4))


if __name__ == "__main__":
    print_deviation()
    print_revenue()
    print_day()
    print_beliefs()
    print_reserve()
    print_limits()
