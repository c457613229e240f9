"""Words of runs: frequent ones by author, TF-IDF vectors, how near runs are to each other, a map of them.

As the paper (TESSY, arXiv 2604.14164) shows its data: TF-IDF vectors of whole responses, their first two
principal components, cosines of responses to the same prompt, words for 1,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessy.metrics.similarity import idf
from tessy.report.reading import WORD, Read

__all__ = ["compare", "frequent"]

_VOCABULARY = 3000
"""Words that vectors have a place for: those in most texts."""
_SHOWN = 25
_LEAST = 3
"""Texts that a word must be in to be counted among the vocabulary, unless there are fewer."""
Vectors = NDArray[np.float32]


def frequent(read: Read) -> dict[str, Any]:
    """The most frequent words, and how often each author uses them in 1,000 of his own."""
    used: dict[str, Counter[str]] = {}
    for text in read.worded:
        for author, start, end in text.spans:
            used.setdefault(author, Counter()).update(WORD.findall(text.content[start:end].lower()))
    totals = {author: sum(counter.values()) for author, counter in used.items()}
    every = sum(used.values(), Counter())
    # Ties by the alphabet: a report must not depend on the order of anything.
    words = sorted(every, key=lambda word: (-every[word], word))[:_SHOWN]
    return {
        "words": words,
        "totals": totals,
        "rates": {
            author: [round(1000 * counter[word] / max(1, totals[author]), 2) for word in words]
            for author, counter in sorted(used.items())
        },
    }


def compare(reads: Sequence[Read]) -> dict[str, Any]:
    """Where each text of each run stands on the map, the runs' centroids, and their similarity.

    The similarity of two runs is the mean cosine over the prompts that both have answered; of runs without a
    common prompt, the cosine of their mean vectors. A run with itself has none to be compared with.
    """
    vectors = _vectors(reads)
    if vectors is None:
        return {"points": [], "centroids": [], "similarity": [], "explained": []}
    bounds = np.cumsum([0, *(len(read.worded) for read in reads)])
    parts = [vectors[a:b] for a, b in pairwise(bounds)]
    places, explained = _principal(vectors)
    clouds = [places[a:b] for a, b in pairwise(bounds)]
    return {
        "points": [np.round(cloud, 3).tolist() for cloud in clouds],
        "centroids": [np.round(cloud.mean(0), 3).tolist() if len(cloud) else None for cloud in clouds],
        "similarity": [
            [_similarity(reads, parts, i, j) for j in range(len(reads))] for i in range(len(reads))
        ],
        "explained": [round(float(share), 4) for share in explained],
    }


def _vectors(reads: Sequence[Read]) -> Vectors | None:
    texts = [Counter(WORD.findall(text.content.lower())) for read in reads for text in read.worded]
    documents = Counter(word for text in texts for word in text)
    least = min(_LEAST, max(1, len(texts) // 2))
    known = sorted((w for w, n in documents.items() if n >= least), key=lambda w: (-documents[w], w))
    places = {word: i for i, word in enumerate(known[:_VOCABULARY])}
    if len(texts) < 2 or not places:
        return None
    vectors = np.zeros((len(texts), len(places)), np.float32)
    for n, text in enumerate(texts):
        total = max(1, sum(text.values()))
        for word, count in text.items():
            if word in places:
                vectors[n, places[word]] = count / total
    vectors *= idf(len(texts), [documents[word] for word in places]).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths == 0, 1, lengths)
    return vectors


def _principal(vectors: Vectors) -> tuple[Vectors, NDArray[np.float64]]:
    """The first two principal components of each text, and the shares of the variance that they hold."""
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    # Fewer texts than words: the small matrix has the same non-zero values.
    values, sides = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(values)[::-1][:2]
    axes = sides[:, order] * np.sqrt(np.maximum(values[order], 0))
    # The sign of an axis is arbitrary: the text farthest out stands on its positive side.
    axes *= np.where(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0) < 0, -1, 1)
    return axes.astype(np.float32), values[order] / max(values.sum(), 1e-12)


def _similarity(reads: Sequence[Read], parts: Sequence[Vectors], i: int, j: int) -> float | None:
    if i == j or not len(parts[i]) or not len(parts[j]):
        return None
    others: dict[str, list[int]] = {}
    for n, text in enumerate(reads[j].worded):
        others.setdefault(text.prompt, []).append(n)
    cosines = [
        float(parts[i][n] @ parts[j][m])
        for n, text in enumerate(reads[i].worded)
        for m in others.get(text.prompt, ())
    ]
    if cosines:
        return round(sum(cosines) / len(cosines), 4)
    one, two = parts[i].mean(0), parts[j].mean(0)
    return round(float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two) or 1)), 4)
