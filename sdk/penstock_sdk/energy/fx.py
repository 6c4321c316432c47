"""Exchange rates at a time: fixed then or before, never after, as last corrected; missing or stale is an error.

>>> table = FxTable()
>>> table.add("EUR", "GBP", rate_nano=850_000_000, as_of_ns=1_000)
>>> table.rate("EUR", "GBP", at_ns=2_000, max_age_ns=5_000)
Fraction(17, 20)
>>> table.convert_micro(1_000_000, "GBP", "EUR", at_ns=2_000, max_age_ns=5_000)
1176471
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import msgspec

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import age_words, utc_words
from penstock_sdk.energy.money import Rounding, currency, rounded

__all__ = ["FxError", "FxFixing", "FxQuote", "FxTable"]

_NANO = 1_000_000_000


class FxError(EnergyError):
    """A rate that is not there, is too old, or is none.

    Attributes:
        base: the currency one unit of which was asked for.
        quote: the currency it was to be told in.
        at_ns: the time of the question, ns UTC.
        age_ns: how old the newest usable rate is; None where there is none.
    """

    def __init__(self, message: str, base: str, quote: str, at_ns: int, age_ns: int | None = None) -> None:
        super().__init__(message)
        self.base = base
        self.quote = quote
        self.at_ns = at_ns
        self.age_ns = age_ns


class FxFixing(msgspec.Struct, frozen=True, array_like=True):
    """One fixing of a pair: *rate_nano* 10^-9 of the quote currency for one of the base, from *as_of_ns* (UTC) on."""

    as_of_ns: int
    rate_nano: int
    version: int


class FxQuote(msgspec.Struct, frozen=True):
    """A rate and where it comes from.

    Attributes:
        rate: quote currency for one of the base, exact; above 0.
        as_of_ns: when it was fixed, ns UTC; of two legs the older.
        legs: the pairs used, as they are in the table, and the version of each.
    """

    rate: Fraction
    as_of_ns: int
    legs: tuple[tuple[str, str, int], ...]


class FxTable:
    """Exchange rates by pair and time; the same fixings in give the same rates out.

    A correction takes the place of its fixing, so a question about a time before it came is answered by it too: the
    table keeps what was fixed when, not what was known when. Whoever needs the rate that was used then keeps the quote.

    A pair is found as it was fixed, turned round, or over one currency that both have a rate with. The pair's own
    rate comes first while it is fresh; of several others the one with the newest older leg, then by currency code.
    """

    def __init__(self) -> None:
        self._fixings: dict[tuple[str, str], list[FxFixing]] = {}  # each list sorted by as_of_ns, no time twice

    def add(self, base: str, quote: str, rate_nano: int, as_of_ns: int, version: int = 0) -> None:
        """Take up one fixing; a higher version of the same time replaces it, a lower one is passed over.

        Args:
            base: ISO 4217 code of the currency one unit of which is priced.
            quote: ISO 4217 code of the currency it is priced in.
            rate_nano: 10^-9 of *quote* for one of *base*.
            as_of_ns: when it was fixed, ns UTC; fixings may come in any order.
            version: counts the corrections of one fixing.

        Raises:
            FxError: a rate of 0 or less, a pair of one currency, another rate under a version that is there.
            EnergyError: a currency is unknown.
        """
        pair = (currency(base).code, currency(quote).code)
        if base == quote:
            raise FxError(f"rate {base}/{quote} is of one currency; wanted two", base, quote, as_of_ns)
        if rate_nano <= 0:
            raise FxError(
                f"rate {base}/{quote} as of {utc_words(as_of_ns)} is {rate_nano} nano; wanted above 0: "
                "the feed has no rate there, leave it out",
                base, quote, as_of_ns,
            )  # fmt: skip
        fixings = self._fixings.setdefault(pair, [])
        at = bisect_right(fixings, as_of_ns, key=lambda each: each.as_of_ns)
        fixing = FxFixing(as_of_ns, rate_nano, version)
        known = fixings[at - 1] if at and fixings[at - 1].as_of_ns == as_of_ns else None
        if known is None:
            fixings.insert(at, fixing)
        elif version > known.version:
            fixings[at - 1] = fixing
        elif version == known.version and rate_nano != known.rate_nano:
            raise FxError(
                f"rate {base}/{quote} as of {utc_words(as_of_ns)}, version {version}, is {known.rate_nano} nano and "
                f"now {rate_nano}; a correction has a higher version",
                base, quote, as_of_ns,
            )  # fmt: skip

    def rate(self, base: str, quote: str, at_ns: int, max_age_ns: int) -> Fraction:
        """Return how many of *quote* one of *base* is worth by what was fixed up to *at_ns*; see `quote`."""
        return self.quote(base, quote, at_ns, max_age_ns).rate

    def quote(self, base: str, quote: str, at_ns: int, max_age_ns: int) -> FxQuote:
        """Return how many of *quote* one of *base* is worth, with the fixings used.

        Args:
            base: ISO 4217 code.
            quote: ISO 4217 code; of *base* itself the rate is 1.
            at_ns: fixed when at the latest, ns UTC; corrections that came later count.
            max_age_ns: fixings older than this at *at_ns* do not count.

        Raises:
            FxError: no rate, or none fresh enough; the message names pair, time, age and the way out.
            EnergyError: a currency is unknown.

        Cost: O(pairs + log fixings).
        """
        if currency(base) == currency(quote):
            return FxQuote(Fraction(1), at_ns, ())
        own = self._own(base, quote, at_ns)
        if own is not None and at_ns - own.as_of_ns <= max_age_ns:
            return own
        found = [cross for cross in self._crosses(base, quote, at_ns) if at_ns - cross.as_of_ns <= max_age_ns]
        if found:
            return max(found, key=lambda each: each.as_of_ns)  # the first of equals: the codes are in order
        raise self._missing(base, quote, at_ns, max_age_ns)

    def convert_micro(
        self,
        amount_micro: int,
        base: str,
        quote: str,
        at_ns: int,
        max_age_ns: int,
        rounding: Rounding = Rounding.HALF_EVEN,
    ) -> int:
        """Return *amount_micro* (10^-6 of *base*) in 10^-6 of *quote*, rounded once.

        Raises:
            FxError: as `quote`.
            EnergyError: a currency is unknown; EXACT, and the result is not whole.
        """
        exact = amount_micro * self.rate(base, quote, at_ns, max_age_ns)
        return rounded(exact, rounding, f"{base} in micro {quote}")

    def let_go(self, before_ns: int) -> None:
        """Forget what no question from *before_ns* on can need: all but the last fixing up to then of each pair."""
        for fixings in self._fixings.values():
            at = bisect_right(fixings, before_ns, key=lambda each: each.as_of_ns)
            del fixings[: max(at - 1, 0)]

    def snapshot(self) -> dict[str, list[tuple[int, int, int]]]:
        """Return everything, for `restore`: "EUR/GBP" to (as_of_ns, rate_nano, version) in time order."""
        return {
            f"{base}/{quote}": [(each.as_of_ns, each.rate_nano, each.version) for each in fixings]
            for (base, quote), fixings in sorted(self._fixings.items())
        }

    @classmethod
    def restore(cls, state: dict[str, list[tuple[int, int, int]]]) -> FxTable:
        """Return the table whose `snapshot` gave *state*.

        Raises:
            EnergyError: what is no fixing, as `add`.
        """
        table = cls()
        for pair, fixings in state.items():
            base, _, quote = pair.partition("/")
            for as_of_ns, rate_nano, version in fixings:
                table.add(base, quote, rate_nano, as_of_ns, version)
        return table

    def _last(self, pair: tuple[str, str], at_ns: int) -> FxFixing | None:
        fixings = self._fixings.get(pair, ())
        at = bisect_right(fixings, at_ns, key=lambda each: each.as_of_ns)
        return fixings[at - 1] if at else None

    def _own(self, base: str, quote: str, at_ns: int) -> FxQuote | None:
        """Return the newer of the pair's own fixing and the one of the pair turned round; as fixed, if equal."""
        direct, turned = self._last((base, quote), at_ns), self._last((quote, base), at_ns)
        if direct is not None and (turned is None or direct.as_of_ns >= turned.as_of_ns):
            return FxQuote(Fraction(direct.rate_nano, _NANO), direct.as_of_ns, ((base, quote, direct.version),))
        if turned is not None:
            return FxQuote(Fraction(_NANO, turned.rate_nano), turned.as_of_ns, ((quote, base, turned.version),))
        return None

    def _crosses(self, base: str, quote: str, at_ns: int) -> list[FxQuote]:
        """Return the rates over one common currency, by its code."""
        found = []
        for via in sorted({code for pair in self._fixings for code in pair} - {base, quote}):
            first, second = self._own(base, via, at_ns), self._own(via, quote, at_ns)
            if first is not None and second is not None:
                as_of_ns = min(first.as_of_ns, second.as_of_ns)
                found.append(FxQuote(first.rate * second.rate, as_of_ns, first.legs + second.legs))
        return found

    def _missing(self, base: str, quote: str, at_ns: int, max_age_ns: int) -> FxError:
        stale = self._crosses(base, quote, at_ns)
        own = self._own(base, quote, at_ns)
        newest = max([*([own] if own else []), *stale], key=lambda each: each.as_of_ns, default=None)
        if newest is None:
            pairs = ", ".join("/".join(pair) for pair in sorted(self._fixings)) or "none at all"
            way_out = "feed the pair, or both currencies against a third, with a fixing up to then"
            return FxError(
                f"no rate {base}/{quote} at {utc_words(at_ns)}: pairs with fixings are {pairs}; {way_out}",
                base, quote, at_ns,
            )  # fmt: skip
        age_ns = at_ns - newest.as_of_ns
        over = " and ".join(f"{left}/{right}" for left, right, _ in newest.legs)
        return FxError(
            f"rate {base}/{quote} at {utc_words(at_ns)} is stale: its newest fixing ({over}) is as of "
            f"{utc_words(newest.as_of_ns)}, {age_words(age_ns)} old, wanted at most {age_words(max_age_ns)}; "
            "feed a newer fixing or allow a greater age",
            base, quote, at_ns, age_ns,
        )  # fmt: skip
