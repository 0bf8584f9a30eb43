"""MinHash near duplicates by simulation: how well signatures estimate, and what banding misses and lets through.

A text is 300 words drawn from 20,000 with frequencies that fall as 1/rank; a near duplicate is the same text with
some words replaced, either here and there or in one block. A text is compared as its set of three-word shingles. All
true similarities are computed from the sets themselves.
"""

from functools import cache

import numpy as np
from matplotlib.axes import Axes

WORDS, VOCABULARY = 300, 20_000
WIDTH = 3
HASHES = 128
PAIRS = 2000
BANDINGS = ((64, 2), (32, 4), (25, 5), (21, 6), (16, 8), (8, 16))
THRESHOLD = 0.8

Array = np.ndarray


def mix(values: Array) -> Array:
    """The finaliser of splitmix64."""
    z = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw_words(count: int, rng: np.random.Generator) -> Array:
    """Words by their rank, the word of rank r with a probability that falls as 1/r."""
    return np.searchsorted(cumulative(), rng.random(count)).astype(np.uint64)


@cache
def cumulative() -> Array:
    """Cumulative probabilities of the vocabulary."""
    mass = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    return mass / mass[-1]


def shingles(words: Array, width: int = WIDTH) -> Array:
    """The set of hashed runs of so many consecutive words."""
    hashed = np.zeros(len(words) - width + 1, dtype=np.uint64)
    for i in range(width):
        hashed = mix(hashed + words[i : i + len(hashed)] + np.uint64(0x9E3779B97F4A7C15))
    return np.unique(hashed)


def jaccard(a: Array, b: Array) -> float:
    """Shared members over all members."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def scattered(words: Array, share: float, rng: np.random.Generator) -> Array:
    """A copy in which each word is replaced with a probability."""
    return np.where(rng.random(len(words)) < share, draw_words(len(words), rng), words)


def block(words: Array, share: float, rng: np.random.Generator) -> Array:
    """A copy in which one run of words is replaced."""
    length = round(share * len(words))
    start = rng.integers(0, len(words) - length + 1)
    copy = words.copy()
    copy[start : start + length] = draw_words(length, rng)
    return copy


def predicted_jaccard(share: float | Array, width: int = WIDTH) -> float | Array:
    """Similarity after scattered edits: a shingle survives when none of its words was replaced."""
    kept = (1 - share) ** width
    return kept / (2 - kept)


def edit_share(similarity: float | Array, width: int = WIDTH) -> float | Array:
    """The share of scattered edits that leaves a similarity."""
    return 1 - (2 * similarity / (1 + similarity)) ** (1 / width)


def signature(members: Array, seeds: Array) -> Array:
    """The smallest hash of the set under each of the seeded functions, its upper 32 bits."""
    return (mix(members[None, :] ^ seeds[:, None]).min(axis=1) >> np.uint64(32)).astype(np.uint32)


def make_seeds(count: int = HASHES) -> Array:
    """Seeds of the hash functions."""
    return np.random.default_rng(1).integers(0, 2**63, count, dtype=np.uint64)


@cache
def corpus(boilerplate: int = 0) -> tuple[Array, Array, list[Array]]:
    """Signatures of PAIRS texts and of their edited copies, the true similarity of each pair, and the sets."""
    rng, seeds = np.random.default_rng(2), make_seeds()
    header = draw_words(boilerplate, rng)
    signatures, truth, sets = [], [], []
    for target in rng.uniform(0.05, 0.99, PAIRS):
        text = draw_words(WORDS, rng)
        copy = scattered(text, edit_share(target), rng)
        a, b = (shingles(np.concatenate([header, words])) for words in (text, copy))
        truth.append(jaccard(a, b))
        sets += [a, b]
        signatures += [signature(a, seeds), signature(b, seeds)]
    return np.array(signatures), np.array(truth), sets


def collide(a: Array, b: Array, bands: int, rows: int) -> Array:
    """Which pairs of signatures agree in all rows of at least one band."""
    same = (a[:, : bands * rows] == b[:, : bands * rows]).reshape(len(a), bands, rows)
    return same.all(axis=2).any(axis=1)


def s_curve(similarity: float | Array, bands: int, rows: int) -> float | Array:
    """The probability that a pair becomes a candidate."""
    with np.errstate(divide="ignore"):
        return -np.expm1(bands * np.log1p(-(similarity**rows)))


def middle(bands: int, rows: int) -> float:
    """The similarity at which half of the pairs become candidates."""
    return (1 - 0.5 ** (1 / bands)) ** (1 / rows)


def candidates(signatures: Array, bands: int, rows: int) -> set[tuple[int, int]]:
    """All pairs of texts that share a bucket in some band."""
    found = set()
    for band in range(bands):
        buckets: dict[bytes, list[int]] = {}
        for number, row in enumerate(signatures[:, band * rows : (band + 1) * rows]):
            bucket = buckets.setdefault(row.tobytes(), [])
            found.update((other, number) for other in bucket)
            bucket.append(number)
    return found


def banding_curves(ax: Axes) -> None:
    """Figure: share of pairs that become candidates, by true similarity, three bandings of 128 hashes."""
    signatures, truth, _ = corpus()
    grid = np.linspace(0, 1, 200)
    edges = np.linspace(0.05, 0.95, 10)
    for (bands, rows), line, marker in (((32, 4), "-", "o"), ((16, 8), "--", "s"), ((8, 16), ":", "^")):
        hit = collide(signatures[::2], signatures[1::2], bands, rows)
        groups = np.digitize(truth, edges)
        shares = [(truth[groups == g].mean(), hit[groups == g].mean()) for g in range(1, len(edges) + 1)]
        ax.plot(grid, s_curve(grid, bands, rows), line, color="black", linewidth=1)
        ax.plot(*zip(*shares, strict=True), marker, color="black", mfc="white", label=f"{bands} × {rows}")
    ax.set_xlabel("true Jaccard similarity")
    ax.set_ylabel("share of pairs found")
    ax.legend(title="bands × rows")


def edited_similarity(share: float, edit: object, width: int, texts: int = 100) -> float:
    """Mean similarity of texts and their copies with a share of the words edited."""
    rng = np.random.default_rng(4)
    values = []
    for _ in range(texts):
        words = draw_words(WORDS, rng)
        values.append(jaccard(shingles(words, width), shingles(edit(words, share, rng), width)))
    return float(np.mean(values))


def edits(ax: Axes) -> None:
    """Figure: similarity against the share of replaced words, scattered or in one block."""
    grid = np.linspace(0, 0.3, 100)
    shares = np.linspace(0.02, 0.3, 8)
    for width, line in ((3, "-"), (5, "--")):
        ax.plot(100 * grid, predicted_jaccard(grid, width), line, color="black", linewidth=1)
    for edit, width, marker in ((scattered, 3, "o"), (scattered, 5, "s"), (block, 3, "^")):
        values = [edited_similarity(share, edit, width) for share in shares]
        label = f"{'scattered' if edit is scattered else 'block'}, w = {width}"
        ax.plot(100 * shares, values, marker, color="black", mfc="white", label=label)
    ax.axhline(THRESHOLD, color="grey", linewidth=0.6)
    ax.set_ylim(0, 1.05)
    ax.set_xlabel("words replaced (%)")
    ax.set_ylabel("Jaccard similarity")
    ax.legend(fontsize="small", loc="upper right")


def report_estimates() -> None:
    """Errors of the estimate by similarity, and of shorter signatures."""
    signatures, truth, _ = corpus()
    same = signatures[::2] == signatures[1::2]
    for count in (32, 64, 128):
        error = same[:, :count].mean(axis=1) - truth
        expected = np.sqrt((truth * (1 - truth)).mean() / count)
        print(f"{count} hashes: root mean square error {np.sqrt((error**2).mean()):.4f}, expected {expected:.4f}")
    for low, high in ((0.45, 0.55), (0.75, 0.85), (0.9, 1.0)):
        inside = (truth >= low) & (truth < high)
        error = same[inside].mean(axis=1) - truth[inside]
        print(f"{low} to {high}: {inside.sum()} pairs, error {error.std():.4f}, worst {abs(error).max():.3f}")
    near = (truth >= 0.75) & (truth < 0.85)
    wrong = ((same[near].mean(axis=1) >= THRESHOLD) != (truth[near] >= THRESHOLD)).mean()
    print(f"on the wrong side of {THRESHOLD} between 0.75 and 0.85: {wrong:.3f}")


def report_bands() -> None:
    """Table 1: misses and false candidates among all pairs of the corpus."""
    signatures, truth, sets = corpus()
    planted = {(2 * i, 2 * i + 1) for i in range(PAIRS)}
    near = truth >= THRESHOLD
    print(f"{len(signatures)} texts, {near.sum()} pairs at {THRESHOLD} or more")
    for bands, rows in BANDINGS:
        found = candidates(signatures, bands, rows)
        similar = np.array([jaccard(sets[a], sets[b]) for a, b in found])
        hit = collide(signatures[::2], signatures[1::2], bands, rows)
        expected = (1 - s_curve(truth[near], bands, rows)).mean()
        print(
            f"{bands} x {rows}: middle {middle(bands, rows):.3f}, candidates {len(found)}, missed {(~hit[near]).sum()}"
            f" {(~hit[near]).mean():.4f} (expected {expected:.4f}), false {(similar < THRESHOLD).sum()}"
            f" {(similar < THRESHOLD).mean():.3f}, unrelated {len(found - planted)}"
            f", below 0.5 {(similar < 0.5).sum()}"
        )


def report_edits() -> None:
    """What a threshold means in words replaced."""
    for width in (3, 5, 8):
        print(f"w {width}: similarity 0.8 at {100 * edit_share(THRESHOLD, width):.2f} % scattered edits")
    single = [f"{100 * share:.0f} % {edited_similarity(share, scattered, 1):.3f}" for share in (0.1, 0.15, 0.2, 0.25)]
    print("single words, scattered:", ", ".join(single))
    for share in (0.04, 0.1, 0.2):
        values = [edited_similarity(share, edit, w) for edit, w in ((scattered, 3), (scattered, 5), (block, 3))]
        print(f"{share:.0%}: scattered w 3, w 5, block w 3:", ", ".join(f"{v:.3f}" for v in values))
        print(f"  predicted {predicted_jaccard(share):.3f}, {predicted_jaccard(share, 5):.3f}")


def collision_by_header(minima: Array, bands: int, rows: int) -> tuple[Array, Array]:
    """For each set of header minima: the rate of unrelated candidates, and the share of texts in the fullest bucket."""
    bucket = (1 - minima[..., : bands * rows]) ** (WORDS - WIDTH + 1)
    bucket = bucket.reshape(*minima.shape[:-1], bands, rows).prod(axis=-1)
    return -np.expm1(np.log1p(-(bucket**2)).sum(axis=-1)), bucket.max(axis=-1)


def unrelated_pairs(count: int) -> tuple[Array, Array]:
    """Numbers of texts that are not copies of each other."""
    left, right = np.random.default_rng(9).integers(0, PAIRS, (2, count))
    return 2 * left[left != right], 2 * right[left != right]


def report_boilerplate(header: int) -> None:
    """Unrelated pairs that become candidates when all texts carry the same header."""
    left, right = unrelated_pairs(300_000)
    signatures, truth, sets = corpus(header)
    background = np.mean([jaccard(sets[a], sets[b]) for a, b in zip(left[:2000], right[:2000], strict=True)])
    print(f"header of {header}: unrelated pairs share {background:.4f}, {(truth >= THRESHOLD).sum()} near")
    for bands, rows in BANDINGS:
        rate = collide(signatures[left], signatures[right], bands, rows).mean()
        expected = s_curve(background, bands, rows)
        print(f"  {bands} x {rows}: {rate:.2e}, curve {expected:.2e}, of 1e6 texts {expected * 5e11:.2e}")


def report_luck(header: int, draws: int = 20_000) -> None:
    """How the choice of seeds spreads the rate of unrelated candidates: ideal hashes, the header's smallest values."""
    members = header - WIDTH + 1
    minima = 1 - np.random.default_rng(10).random((draws, HASHES)) ** (1 / members)
    for bands, rows in ((32, 4), (25, 5), (16, 8)):
        rate, fullest = collision_by_header(minima, bands, rows)
        low, high, top = np.quantile(rate, (0.5, 0.95, 0.99))
        print(f"  {bands} x {rows}: mean {rate.mean():.2e}, median {low:.2e}, 95 % {high:.2e}, 99 % {top:.2e}")
        print(f"    a bucket of 1 % of the texts: {(fullest > 0.01).mean():.4f}, of 10 %: {(fullest > 0.1).mean():.4f}")


def report_removal(header: int) -> None:
    """What remains in common when shingles found in more than 1 % of the texts are left out."""
    _, _, sets = corpus(header)
    values, counts = np.unique(np.concatenate(sets[::2]), return_counts=True)
    common = values[counts > 0.01 * PAIRS]
    cleaned = [np.setdiff1d(members, common, assume_unique=True) for members in sets[::2]]
    left, right = unrelated_pairs(2000)
    background = np.mean([jaccard(cleaned[a // 2], cleaned[b // 2]) for a, b in zip(left, right, strict=True)])
    print(f"{len(common)} shingles left out, {np.mean([len(c) for c in cleaned]):.1f} a text remain: {background:.5f}")
    print(f"  unrelated candidates of 1e6 texts, 16 x 8: {s_curve(background, 16, 8) * 5e11:.1e}")


def report_costs() -> None:
    """Memory and operations for a million texts."""
    pairs, evaluations = 1e6 * (1e6 - 1) / 2, HASHES * (WORDS - WIDTH + 1)
    print(f"{pairs:.2e} pairs, {pairs * 1e-6 / 86400:.1f} days at 1 microsecond; {evaluations} hashes a text")
    print(
        f"{4 * HASHES} bytes a signature, {1e6 * 50e-6:.0f} s at 50 microseconds; {16e6 * 12 / 1e6:.0f} MB of buckets"
    )


if __name__ == "__main__":
    report_costs()
    report_estimates()
    report_bands()
    report_edits()
    report_boilerplate(0)
    report_boilerplate(60)
    report_luck(60)
    report_removal(60)
