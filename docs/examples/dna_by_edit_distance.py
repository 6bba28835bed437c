"""Which family is a DNA sequence of? The nearest sequences by edit distance say so.

Eight ancestors of 240 bases are drawn at random; each has 100 descendants, whose bases were
substituted, deleted and inserted at rates that differ from one to the next. Nobody aligns them: a
k-nearest-neighbours classifier with `metric="levenshtein"` compares sequences of any lengths, and
shows the ones that it goes by. Run it from anywhere, with a folder for what it draws:

    python docs/examples/dna_by_edit_distance.py build/dna
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from scalekern import KNeighborsClassifier
from scalekern.report.explanation import explanation_text, plot_explanation

BASES = np.array(list("ACGT"))
FAMILIES, DESCENDANTS, LENGTH = 8, 100, 240


def mutated(ancestor: np.ndarray, rate: float, rng: np.random.Generator) -> str:
    """Return a descendant: each base is substituted, deleted or joined by another at `rate`."""
    fate = rng.uniform(size=len(ancestor))
    strange = rng.choice(BASES, size=len(ancestor))
    bases: list[str] = []
    for base, other, f in zip(ancestor, strange, fate, strict=True):
        if f < rate:
            bases.append(other)
        elif f < 1.5 * rate:
            continue
        else:
            bases += [base, other] if f > 1 - rate / 2 else [base]
    return "".join(bases)


def sequences(seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Return the sequences, in random order, and the family of each."""
    rng = np.random.default_rng(seed)
    ancestors = rng.choice(BASES, size=(FAMILIES, LENGTH))
    pairs = [
        (mutated(ancestor, rng.uniform(0.05, 0.45), rng), f"family {letter}")
        for letter, ancestor in zip("ABCDEFGH", ancestors, strict=True)
        for _ in range(DESCENDANTS)
    ]
    order = rng.permutation(len(pairs))
    return [pairs[i][0] for i in order], np.array([pairs[i][1] for i in order])


def main(folder: Path) -> float:
    """Fit on three quarters, print what the rest scores and why, and draw one prediction."""
    texts, families = sequences()
    n = 3 * len(texts) // 4
    model = KNeighborsClassifier(5, weights="distance", metric="levenshtein")
    model.fit(texts[:n], families[:n])
    accuracy = float((model.predict(texts[n:]) == families[n:]).mean())
    lengths = sorted(map(len, texts))
    print(f"{n} sequences of {lengths[0]} to {lengths[-1]} bases, {FAMILIES} families")
    print(f"{len(texts) - n} others: accuracy {accuracy:.3f} (by chance {1 / FAMILIES:.3f})\n")
    # The one that the model is least sure of is the one to look at.
    asked = texts[n + int(model.predict_proba(texts[n:]).max(axis=1).argmin())]
    why = model.explain([asked])
    starts = [f"{texts[row][:24]}…" for row in why.row_id[0]]
    print(f"The least certain of them, {asked[:24]}…\n")
    print(explanation_text(why, 0, {"begins": starts}))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "dna.png"
    plot_explanation(why, names=starts, path=picture, title="Families by edit distance")
    print(f"\nDrawn in {picture}")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/dna"))
