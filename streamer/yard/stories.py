"""What happens in a yard: each function tells one story at a time and enters it in the day's diary, if it fits."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from streamer.yard.diary import Diary
from streamer.yard.things import COLOURS, PAINTS
from streamer.yard.visits import Span, Visit

GATE_AHEAD_SECONDS = 3.0
NUM_LOOKS = 48
"""Hair, skin and trousers that can be told apart."""
FALL_SHARE = 0.1


@dataclass(frozen=True)
class Household:
    """Who lives here: what they drive for years, their dog, and what they wear today."""

    night_car: str
    day_car: str
    dog: str
    shirts: tuple[str, str]
    looks: tuple[int, int]


class Storyteller:
    """Tells stories about one day of one household, with `rng`'s choices."""

    def __init__(self, rng: Random, diary: Diary, household: Household) -> None:
        self._rng, self._diary, self._household = rng, diary, household

    def passing(self, time_seconds: float) -> bool:
        """A car or truck passes on the street."""
        kind = self._rng.choice(("car", "car", "truck"))
        return self._diary.enter(self._drive(kind, self._paint(), time_seconds))

    def delivery(self, time_seconds: float) -> bool:
        """A truck stops, a courier brings a parcel to the door, a resident takes it in minutes or hours later."""
        rng, truck, shirt, looks = self._rng, self._paint(), self._paint(), self._some_looks()
        colour = rng.choice(COLOURS["parcel"])
        spots = ("step", "bench") if rng.random() < 0.65 else ("bench", "step")
        come, at_door, gone = rng.uniform(10, 13), rng.uniform(16, 30), rng.uniform(10, 13)
        stopped = time_seconds + 14
        first = stopped + rng.uniform(6, 12)
        second, third, last = first + come, first + come + at_door, first + come + at_door + gone
        left = last + rng.uniform(6, 12)
        courier = (
            self._person("path", shirt, looks, first, second, "in"),
            self._person("door", shirt, looks, second, third),
            self._person("path", shirt, looks, third, last, "out"),
        )
        passage = Span(first - GATE_AHEAD_SECONDS, last + GATE_AHEAD_SECONDS)
        driven = (
            self._drive("truck", truck, time_seconds),
            self._parked("truck", truck, stopped, left),
            self._drive("truck", truck, left + 2),
        )
        for vehicle in (driven, (self._drive("truck", truck, stopped - 6, left, manner="stop"),)):
            for _ in range(4):
                taken = second + 6 + 240 * 60 ** rng.random()  # 4 minutes to 4 hours, mostly within the hour
                resident, its_looks = self._resident()
                taker = self._person("door", resident, its_looks, taken - rng.uniform(5, 9), taken + rng.uniform(5, 10))
                for spot in spots:
                    parcel = Visit(spot, "parcel", colour, second + 6, taken, looks=self._some_looks())
                    if self._diary.enter(*vehicle, *courier, parcel, taker, passages=(passage,)):
                        return True
        return False

    def visitor(self, time_seconds: float) -> bool:
        """Somebody comes on foot or by bicycle, goes in, and leaves some time later."""
        rng, shirt, looks = self._rng, self._paint(), self._some_looks()
        first = time_seconds + rng.uniform(4, 9)
        arrival, entered = self._arrival(shirt, looks, first, at_door=rng.uniform(12, 30))
        departure, out = self._departure(
            shirt, looks, entered + 60 * 6 * 14 ** rng.random(), at_door=rng.uniform(8, 14)
        )
        people = (*arrival, *departure)
        passages = (
            Span(first - GATE_AHEAD_SECONDS, arrival[0].end_seconds + GATE_AHEAD_SECONDS),
            Span(departure[1].start_seconds - GATE_AHEAD_SECONDS, out + GATE_AHEAD_SECONDS),
        )
        if rng.random() < 0.55:
            return self._diary.enter(*people, passages=passages)
        bicycle = self._bicycle(time_seconds, out + rng.uniform(2, 6))
        return self._diary.enter(*people, *bicycle, passages=passages)

    def walk(self, time_seconds: float) -> bool:
        """A resident goes out through the gate and comes back some time later."""
        rng, (shirt, looks) = self._rng, self._resident()
        departure, out = self._departure(shirt, looks, time_seconds, at_door=rng.uniform(8, 14))
        back = out + 60 * rng.uniform(10, 80)
        arrival, _ = self._arrival(shirt, looks, back, at_door=rng.uniform(8, 14))
        passages = (
            Span(departure[1].start_seconds - GATE_AHEAD_SECONDS, out + GATE_AHEAD_SECONDS),
            Span(back - GATE_AHEAD_SECONDS, arrival[0].end_seconds + GATE_AHEAD_SECONDS),
        )
        return self._diary.enter(*departure, *arrival, passages=passages)

    def caller(self, time_seconds: float) -> bool:
        """Somebody comes in at the gate, looks about and goes again."""
        visit = self._person(
            "path", self._paint(), self._some_looks(), time_seconds, time_seconds + self._rng.uniform(14, 40), "stroll"
        )
        passage = Span(time_seconds - GATE_AHEAD_SECONDS, visit.end_seconds + GATE_AHEAD_SECONDS)
        return self._diary.enter(visit, passages=(passage,))

    def errand(self, time_seconds: float) -> bool:
        """The household's second car comes home for a while by day."""
        rng, colour, (shirt, looks) = self._rng, self._household.day_car, self._resident()
        start = time_seconds + 14
        end = start + 60 * rng.uniform(8, 70)
        car = self._parked("car", colour, start, end)
        home = self._person("door", shirt, looks, start + 6, start + 6 + rng.uniform(10, 16))
        away = self._person("door", shirt, looks, end - rng.uniform(19, 24), end - 8)
        return self._diary.enter(
            self._drive("car", colour, time_seconds), car, home, away, self._drive("car", colour, end + 2)
        )

    def homecoming(self, car: Visit) -> bool:
        """The night's car, entered before, comes home; its driver goes to the door."""
        shirt, looks = self._resident()
        start = car.start_seconds
        home = self._person("door", shirt, looks, start + 6, start + 6 + self._rng.uniform(10, 16))
        return self._diary.enter(self._drive("car", car.colour, start - 14), home)

    def leaving(self, car: Visit) -> bool:
        """The night's car, entered before, leaves in the morning."""
        shirt, looks = self._resident()
        end = car.end_seconds
        away = self._person("door", shirt, looks, end - self._rng.uniform(19, 24), end - 8)
        return self._diary.enter(away, self._drive("car", car.colour, end + 2))

    def garden(self, time_seconds: float) -> bool:
        """Somebody walks on the lawn, or mows it."""
        rng = self._rng
        shirt, looks = self._resident() if rng.random() < 0.6 else (self._paint(), self._some_looks())
        mows = rng.random() < 0.35
        end = time_seconds + (rng.uniform(90, 300) if mows else rng.uniform(15, 60))
        return self._diary.enter(self._person("lawn", shirt, looks, time_seconds, end, "mow" if mows else "stroll"))

    def dog(self, time_seconds: float) -> bool:
        """The household's dog, or a neighbour's, is out for some minutes."""
        rng = self._rng
        coat = self._household.dog if rng.random() < 0.7 else rng.choice(COLOURS["dog"])
        end = time_seconds + 30 * 8 ** rng.random()
        return self._diary.enter(self._visit("dog", "dog", coat, time_seconds, end, looks=self._some_looks()))

    def climber(self, time_seconds: float) -> bool:
        """Rare: a person climbs the fence."""
        end = time_seconds + self._rng.uniform(14, 40)
        looks = self._some_looks()
        return self._diary.enter(self._visit("fence top", "climber", self._paint(), time_seconds, end, looks=looks))

    def smoke(self, time_seconds: float) -> bool:
        """Rare: smoke behind the bushes."""
        end = time_seconds + self._rng.uniform(100, 480)
        return self._diary.enter(self._visit("smoke", "smoke", "", time_seconds, end, looks=self._some_looks()))

    def _arrival(self, shirt: str, looks: int, start: float, *, at_door: float) -> tuple[tuple[Visit, Visit], float]:
        """From the gate to the door and in; and when it is done."""
        middle = start + self._rng.uniform(10, 13)
        end = middle + at_door
        path = self._person("path", shirt, looks, start, middle, "in")
        return (path, self._person("door", shirt, looks, middle, end)), end

    def _departure(self, shirt: str, looks: int, start: float, *, at_door: float) -> tuple[tuple[Visit, Visit], float]:
        """From the door to the gate and out; and when it is done."""
        middle = start + at_door
        end = middle + self._rng.uniform(10, 13)
        door = self._person("door", shirt, looks, start, middle)
        return (door, self._person("path", shirt, looks, middle, end, "out")), end

    def _bicycle(self, start: float, end: float) -> tuple[Visit, ...]:
        """It leans on the fence; now and then it falls over and lies there until its rider comes back."""
        colour, looks, way = self._paint(), self._some_looks(), (self._rng.random(), 0.0)
        falls = start + (end - start) * self._rng.uniform(0.25, 0.75)
        if self._rng.random() >= FALL_SHARE:
            return (Visit("fence", "bicycle", colour, start, end, "", way, looks),)
        return (
            Visit("fence", "bicycle", colour, start, falls, "", way, looks),
            Visit("fence", "fallen bicycle", colour, falls, end, "", way, looks),
        )

    def _drive(self, kind: str, colour: str, start: float, end: float | None = None, manner: str = "pass") -> Visit:
        end = start + self._rng.uniform(10, 11.5) if end is None else end
        return self._visit("street", kind, colour, start, end, manner, looks=self._some_looks())

    def _parked(self, kind: str, colour: str, start: float, end: float) -> Visit:
        return self._visit("driveway", kind, colour, start, end, looks=self._some_looks())

    def _person(self, lane: str, shirt: str, looks: int, start: float, end: float, manner: str = "") -> Visit:
        looks = looks % NUM_LOOKS + NUM_LOOKS * self._rng.randrange(
            1000
        )  # looks the same, though each visit has its number
        return self._visit(lane, "person", shirt, start, end, manner, looks=looks)

    def _visit(
        self, lane: str, kind: str, colour: str, start: float, end: float, manner: str = "", *, looks: int
    ) -> Visit:
        return Visit(lane, kind, colour, start, end, manner, (self._rng.random(), self._rng.random()), looks)

    def _resident(self) -> tuple[str, int]:
        who = self._rng.randrange(2)
        return self._household.shirts[who], self._household.looks[who]

    def _paint(self) -> str:
        return self._rng.choice(PAINTS)

    def _some_looks(self) -> int:
        return self._rng.randrange(65_536)
