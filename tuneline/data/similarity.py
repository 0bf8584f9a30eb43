"""Near duplicates by MinHash, each candidate checked by its exact Jaccard similarity."""

from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

SHINGLE = 4  # characters; short enough that a query of three words still has a dozen
PERMUTATIONS = 128
SLACK = 0.2  # candidates are looked for below the threshold, since MinHash only estimates: 1 in 100 is missed
SEED = 1


def shingles(text: str) -> frozenset[str]:
    """The text's overlapping runs of SHINGLE characters, white space folded, ends marked."""
    padded = f"^{' '.join(text.split())}$"
    return frozenset(padded[i : i + SHINGLE] for i in range(max(1, len(padded) - SHINGLE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| ÷ |a ∪ b|, 0 to 1."""
    return len(a & b) / len(a | b)


class Index:
    """Texts that can be asked for those at least `threshold` similar to another."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.lsh = MinHashLSH(threshold=max(0.1, threshold - SLACK), num_perm=PERMUTATIONS)
        self.sets: dict[str, frozenset[str]] = {}

    def add(self, key: str, signature: "Signature") -> None:
        if key not in self.sets:
            self.sets[key] = signature.shingles
            self.lsh.insert(key, signature.minhash, check_duplication=False)

    def similar(self, signature: "Signature") -> list[tuple[float, str]]:
        """(similarity, key) of each near text, nearest first."""
        found = [(jaccard(signature.shingles, self.sets[key]), key) for key in self.lsh.query(signature.minhash)]
        return sorted((pair for pair in found if pair[0] >= self.threshold), key=lambda p: (-p[0], p[1]))


class Signature:
    def __init__(self, text_shingles: frozenset[str], minhash: MinHash) -> None:
        self.shingles, self.minhash = text_shingles, minhash


def signatures(texts: Iterable[str]) -> list[Signature]:
    sets = [shingles(text) for text in texts]
    encoded = [[part.encode("utf-8", "surrogatepass") for part in sorted(one)] for one in sets]
    hashes = MinHash.bulk(encoded, num_perm=PERMUTATIONS, seed=SEED)
    return [Signature(one, minhash) for one, minhash in zip(sets, hashes, strict=True)]
