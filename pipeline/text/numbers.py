"""Small numbers in words and in figures."""

from __future__ import annotations

_ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER_WORDS = (*_ONES, *(tens + unit for tens in _TENS for unit in ("", *_ONES[1:10])))
"""0 to 99, as SQuAD's normalisation leaves them (it drops hyphens)"""
OTHER_FORM = {str(n): word for n, word in enumerate(NUMBER_WORDS)} | {word: str(n) for n, word in enumerate(NUMBER_WORDS)}
"""the word for a figure, the figure for a word"""
