"""Pages that the tests add to the sample wiki: what a live wiki has and a crawler stumbles over."""

from __future__ import annotations

SPECIAL = 'Q&A: "100% gold"? a/b + c;d=e'
QUOTES = "Côte d'Ivoire’s “Games” – part 1"
JAPANESE = "東京オリンピック"
ARABIC = "الألعاب الأولمبية"
LINKS = [f"Numbered {n:03}" for n in range(520)]
"""more than the API gives in one answer of a list; none of them exists"""

ODD = {
    "Odd start": "Links: " + ", ".join(f"[[{title}]]" for title in (
        "Plain redirect", "Double redirect", "Section redirect", "Broken redirect", "Loop one", "Loop two", "Loop of itself",
        "Redirect out of bounds", "Odd (disambiguation)", "Never written", "Out of bounds", SPECIAL, QUOTES, JAPANESE, ARABIC,
        "Empty page", "Page of many links", "Talk:Odd start", ":Category:Things", "odd start", "Target#Later", "wikipedia:Tokyo",
    )) + ".\n",
    "Target": "The target of redirects.\n\n== Later ==\nA later section.\n",
    "Plain redirect": "#REDIRECT [[Target]]",
    "Double redirect": "#REDIRECT [[Plain redirect]]",
    "Section redirect": "#REDIRECT [[Target#Later]]",
    "Broken redirect": "#REDIRECT [[No such page]]",
    "Loop one": "#REDIRECT [[Loop two]]",
    "Loop two": "#REDIRECT [[Loop one]]",
    "Loop of itself": "#REDIRECT [[Loop of itself]]",
    "Redirect out of bounds": "#REDIRECT [[Out of bounds]]",
    "Out of bounds": "A page that the topic does not admit. [[Behind the bounds]]",
    "Behind the bounds": "Linked from there alone.",
    "Odd (disambiguation)": "'''Odd''' may be:\n* [[Behind the bounds]]\n\n__DISAMBIG__",
    "Talk:Odd start": "What people say of the page.",
    SPECIAL: 'A title of characters that addresses treat specially.\n\n== R&D? 50% + "more" ==\nText of that section.\n',
    QUOTES: "A title with an apostrophe, curly quotes and a dash.\n",
    JAPANESE: "'''東京オリンピック'''は、2021年に東京都で開催された。\n\n== 概要 ==\n33競技339種目が行われた。\n",
    ARABIC: "'''الألعاب الأولمبية''' حدث رياضي.\n\n== تاريخ ==\nبدأت الألعاب عام 1896.\n",
    "Empty page": "",
    "Page of many links": "Many links: " + " ".join(f"[[{title}]]" for title in LINKS),
}  # fmt: skip

CATEGORIES = {
    "Thing zero": "A thing of no category.",
    "Thing one": "The first thing. [[Category:Things]]",
    "Thing two": "The second thing. [[Category:Things]]",
    "Unlike the others": "A page of the category whose title the topic does not admit. [[Category:Things]]",
    "Thing three": "The third thing. [[Category:Deeper things]]",
    "Thing four": "The fourth thing. [[Category:Deepest things]]",
    "Category:Things": "Things. [[Category:Deepest things]]",  # a circle
    "Category:Deeper things": "Deeper things. [[Category:Things]]",
    "Category:Deepest things": "The deepest things. [[Category:Deeper things]]",
}

MEMBERS = [f"Member {n:03}" for n in range(502)]
"""more than the API lists of a category in one answer"""
CROWD = dict.fromkeys(MEMBERS, "One of many. [[Category:Crowd]]")

ORBIT = {
    "Orbit 1": "The centre of " + ", ".join(f"[[Orbit {n}]]" for n in range(2, 10)) + ".\n\n== Path ==\nA circle around it.\n",
    **{f"Orbit {n}": f"Body {n} goes around [[Orbit 1]].\n\n== Path ==\nCircle number {n}.\n" for n in range(2, 10)},
}
"""for faults: one page, and eight that it links to"""

REFRESH = {
    "Refresh start": "Begins with [[Refresh stays]], [[Refresh edited]], [[Refresh deleted]], [[Refresh moved]], [[Refresh turned]] and [[Refresh unlinked]].",
    "Refresh stays": "Stays as it is, and links to [[Refresh created]], which is not there at first.\n\n== Part ==\nOf the page that stays.",
    "Refresh edited": "As it was at first.\n\n== Part ==\nA section that stays.",
    "Refresh deleted": "To be deleted.",
    "Refresh moved": "To be moved.",
    "Refresh turned": "To be turned into a redirect.",
    "Refresh unlinked": "To be linked no more.",
}

PAGES = {**ODD, **CATEGORIES, **CROWD, **ORBIT, **REFRESH}
