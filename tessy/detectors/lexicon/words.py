"""The words of style, by what may stand around them.

Written from the labelling guidelines of the style spans (lead-ins are style up to the first word of the
problem; discourse markers at the start of a sentence; filler sentences; generic labels), sorted by which
of them hold in real reasoning text. All are lower case, without punctuation, with a straight apostrophe.

Three places matter: the *start* of a sentence or line, *going on* with a stretch of style, and the
*middle* of anything else. ``WORDS`` are style there by themselves; a pair holds only with the word that
follows, and an exception takes that word away from its list.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "CLOSING",
    "ENDS",
    "GO_ON",
    "LABELS",
    "MIDDLE",
    "OPENING",
    "START",
    "STOPS",
    "Place",
    "is_abbreviation",
]

OPENING = "([{*_\"'“‘-#>–—•"
CLOSING = ")]}*_\"'”’"
STOPS = ".,:;?!…。，：；？！、"
ENDS = frozenset(".:;?!…。：；？！")
"""What ends a sentence, or comes before a new start."""

_ABBREVIATIONS = frozenset("e.g. i.e. vs. etc. cf. approx. fig. eq. dr. mr. mrs. st.".split())


def is_abbreviation(word: str) -> bool:
    """Whether a word's full stop ends no sentence."""
    return word.lower().lstrip(OPENING) in _ABBREVIATIONS


def _pairs(table: str) -> Mapping[str, frozenset[str]]:
    pairs: dict[str, frozenset[str]] = {}
    for line in table.strip().splitlines():
        word, _, following = line.partition(":")
        pairs[word.strip()] = pairs.get(word.strip(), frozenset()) | frozenset(following.split())
    return pairs


class Place:
    """The words that are style at one kind of place."""

    def __init__(self, words: str, *, pairs: str = "", exceptions: str = "") -> None:
        self.words: frozenset[str] = frozenset(words.split())
        self.pairs: Mapping[str, frozenset[str]] = _pairs(pairs)
        self.exceptions: Mapping[str, frozenset[str]] = _pairs(exceptions)

    def style(self, word: str) -> bool | None:
        """Whether the word is style here; ``None`` if that takes the next word."""
        if word in self.pairs or word in self.exceptions:
            return None
        return word in self.words

    def style_before(self, word: str, following: str) -> bool:
        """The same, once the next word is known (empty at the end of a sentence)."""
        if word in self.words:
            return following not in self.exceptions.get(word, ())
        return following in self.pairs.get(word, ())


LABELS = frozenset(
    """
    analysis answer approach attempt case check conclusion confirmation constraints correction critique
    decision draft edge evaluation example examples explanation final goal hint idea implementation
    interpretation issue key method note notes objective observation option outline plan possibilities
    possibility potential problem process proof question reasoning refinement request response result
    review revised sketch solution step strategy structure summary task thinking thought thoughts
    verification verify
    """.split()
)
"""Generic headings: style at the start of a line when a colon follows ("Step 2:", "Edge cases:")."""

_DISCOURSE = """
    so but wait then alternatively now however maybe first hmm therefore thus also actually next perhaps
    okay ok alright oh ah aha well yes yeah yep nope finally hence similarly indeed likely probably
    possibly potentially specifically typically additionally again overall still good great perfect right
    correct nice cool sure secondly thirdly lastly furthermore moreover meanwhile conversely consequently
    accordingly nevertheless nonetheless anyway besides basically essentially technically intuitively
    clearly obviously interestingly importantly ultimately eventually presumably admittedly honestly
    frankly hopefully unfortunately
"""
"""They open a sentence and, later in a stretch of style, keep it going."""

_LEADS = """
    let let's i we i'll we'll i'm we're i've we've we'd me need should might means like note recall
    remember recalling rereading re-reading thinking considering reconsidering looking putting that that's
    not
"""
"""First words of lead-ins ("Let me check if …", "We need to find …", "That means …")."""

START = Place(
    f"""
    {_DISCOURSE} {_LEADS} or another potential according better here hold otherwise question something
    step analyze identify formulate goal testing solve draft drafting answer reasoning done conclusion
    alternative interpretation implementation will did doesn't final
    """,
    pairs="""
    and: maybe that's so finally now then also perhaps since
    for: example instance now
    the: question key goal idea trick approach point tricky plan
    in: that this our short summary other conclusion any fact essence particular general
    this: gives means seems way suggests implies would looks feels approach confirms makes sounds
    to: find be summarize recap check verify confirm solve double-check make start begin see
    is: there that this it
    there: must might seems should
    what: if about else now
    how: about do can should would to
    no: . wait that's i that need not problem
    check: . whether again
    it's: important possible also helpful worth like just about clear getting
    it: seems looks might appears sounds makes
    on: the second
    after: that all
    does: that this
    can: i we
    do: i we
    could: there it this that we i
    just: to making
    same: thing here with goes
    checks: out
    all: right
    once: again
    as: for before
    at: this first
    going: back with
    back: to
    moving: on
    given: this
    """,
    exceptions="""
    i: am just pick < have sit wonder =
    that: would could
    let: x y z n k a b c m p s t f g r
    first: equation term row column number person part few
    right: triangle side hand angle now
    like: terms
    otherwise: return if
    """,
)

_GLUE = """
    to that a is this that's it's it what's there's here's there what where which how why whether by about
    of with on as at out up down off into through before without again here now then and or but so also
    too just not no any some another other more much many same different all given everything anything
    something thing things like them these
"""
"""Grammar that carries a lead-in on to its end."""

_MODALS = """
    i me my we us our i'll i'm i've i'd we'll we're we've we'd can can't could couldn't should shouldn't
    would wouldn't will won't might must may be was are isn't aren't wasn't don't didn't doesn't does do
    did have haven't got need let let's gives give it'll that'll able going supposed trying
"""

_THINKING = """
    think thought thinking know knowing see say want wants wonder believe guess suspect realize notice
    recall remember recalling figure understand understanding consider considering assume assuming
    assumption imagine double-check re-read reread reread recheck re-check re-examine examine verify
    confirm check ensure test reconsider rethink revisit conclude decide summarize recap mean means seem
    seems appears look looks looking sounds feels makes suggests implies works expects
"""
"""Verbs of thinking and telling; what is thought or told comes after them."""

_GENERIC = """
    find note interpret misread used compute calculate determine solve analyze analyse evaluate simplify
    proceed start try attempt make take use write list include provide give show get go come read handle
    break choose pick denote call mention discuss explain describe explore outline plan respond produce
    comply suggest search match compare relate follow specify clarify stick keep hold fix address miss
    mistake error help done made work ask asked asking asks says stated mentioned phrased written putting
    missing getting intended based
"""
"""Verbs that could stand in any solution; a verb of the task itself ends the lead-in."""

_TALK = """
    problem question answer example examples case cases step steps approach way part point points idea key
    trick goal task process method solution reasoning calculation calculations conclusion result
    interpretation statement wording response request code user user's context setup structure standard
    formula angle test list issue issues possibility possibilities alternative options chance terms words
    mind sense bit fact reality confusion mistakes error errors potential exact main actual typo logic
    instruction instructions
"""
"""Nouns of talking about a solution."""

_RATING = """
    maybe sure right wrong correct correctly true good better best fine great safe okay hmm clear clearly
    careful carefully straightforward simple simpler tricky hard complicated confusing ambiguous odd
    plausible reasonable possible likely similar common typical classic helpful important thorough brief
    consistent confident certain unsure together exactly directly differently else back above earlier
    following first second one sometimes finally maybe
"""

GO_ON = Place(
    f"{_DISCOURSE} {_GLUE} {_MODALS} {_THINKING} {_GENERIC} {_TALK} {_RATING} according",
    pairs="""
    the: problem question correct steps key best case same request response safety common context
    the: information scenario setup approach corrected example task
    if: there's there any that's that this
    in: this a that terms reality some our mind
    for: example instance sure this now
    add: them it
    an: example error alternative
    they: mean
    worry: about
    checks: out
    adds: up
    lines: up
    holds: up true
    from: scratch here there
    each: step
    over: again this that
    """,
    exceptions="""
    how: many much long far old
    a: rating number function list
    there: are
    write: a
    produce: a
    given: that away
    it: should says
    something: that
    this: was
    take: the
    at: least
    we: cannot
    as: long
    which: is
    it's: just a
    next: three two
    there's: a no
    """,
)

MIDDLE = Place(
    "i'll let's perhaps hmm wait",
    pairs="""
    but: maybe i perhaps i'm wait note let actually let's that's that we
    so: maybe i perhaps yes probably i'll let's we'll
    i: need should think guess believe
    right: .
    maybe: the it's i they it
    or: maybe perhaps
    we: could
    now: let let's
    okay: so let
    """,
)
