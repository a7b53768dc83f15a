"""Which texts are most like a text: the nearest rival's record and a prompt's examples."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

# enough to tell two texts apart, and few enough that equal ones are equal on every processor
SIMILARITY_DIGITS = 9


class Neighbours:
    """Texts, ready to be asked which of them are nearest to another.

    Likeness is the cosine of TF-IDF vectors of words and pairs of neighbouring words (Salton &
    Buckley, 1988), as scikit-learn computes it by default. Of equally near texts the first counts,
    also where no word is known.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        # a second's import that only those pay who ask
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.size = len(texts)
        self.vectorizer = TfidfVectorizer(ngram_range=(1, 2))
        try:
            self.vectors = self.vectorizer.fit_transform(_composed(texts))
        except ValueError:  # not one word of two letters in all the texts
            self.vectors = None

    def nearest(self, text: str, k: int) -> list[int]:
        """Places of the ``k`` nearest texts, the nearest first; fewer where there are not so many."""
        if self.vectors is None:
            return list(range(min(k, self.size)))
        similarity = (
            (self.vectors @ self.vectorizer.transform(_composed([text])).T).toarray().ravel()
        )
        order = (-similarity.round(SIMILARITY_DIGITS)).argsort(kind="stable")
        return [int(place) for place in order[:k]]


def _composed(texts: Sequence[str]) -> list[str]:
    # in Unicode's other form an accent would end a word
    return [normalize("NFC", text) for text in texts]
