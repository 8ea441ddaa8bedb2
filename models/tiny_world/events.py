"""The events of Tiny World, and the state that decides which of them are possible."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WorldEvent:
    """An event or a fact. The same event can be rendered in several languages."""


@dataclass(frozen=True)
class Is(WorldEvent):
    """Somebody is in a place (the opening of a story)."""

    person: str
    place: str


@dataclass(frozen=True)
class Lies(WorldEvent):
    """A thing lies in a place."""

    thing: str
    place: str


@dataclass(frozen=True)
class Holds(WorldEvent):
    """Somebody has a thing (a fact, not an action)."""

    person: str
    thing: str


@dataclass(frozen=True)
class DoorIs(WorldEvent):
    """The door of a place has a colour (a fact, not an action)."""

    place: str
    colour: str


@dataclass(frozen=True)
class Moves(WorldEvent):
    """Somebody goes to a place, with all that they carry."""

    person: str
    place: str


@dataclass(frozen=True)
class Takes(WorldEvent):
    """Somebody picks up a thing that lies where they are."""

    person: str
    thing: str


@dataclass(frozen=True)
class Drops(WorldEvent):
    """Somebody puts down a thing that they hold."""

    person: str
    thing: str


@dataclass(frozen=True)
class Gives(WorldEvent):
    """Somebody gives a thing that they hold to somebody who is with them."""

    person: str
    thing: str
    receiver: str


@dataclass(frozen=True)
class Paints(WorldEvent):
    """Somebody paints the door of a place."""

    person: str
    place: str
    colour: str


@dataclass(frozen=True)
class Feels(WorldEvent):
    """Somebody is in a mood."""

    person: str
    mood: str


@dataclass(frozen=True)
class Thanks(WorldEvent):
    """Somebody thanks the one who has just given them something."""

    person: str
    giver: str


@dataclass
class WorldState:
    """The current state. A fact that no event has stated is unknown, and events that depend on it are impossible."""

    place_of: dict[str, str] = field(default_factory=dict)
    """Person → place."""
    holder_of: dict[str, str] = field(default_factory=dict)
    """Thing → person."""
    lies_in: dict[str, str] = field(default_factory=dict)
    """Thing → place, for things that nobody holds."""
    door_colour: dict[str, str] = field(default_factory=dict)
    """Place → colour."""
    mood_of: dict[str, str] = field(default_factory=dict)
    """Person → mood."""
    last_gift: tuple[str, str] | None = None
    """(giver, receiver) of the last event, if it was a gift."""

    def problem(self, event: WorldEvent) -> str | None:
        """Return why the event cannot happen now, as a sentence; None if it can."""
        match event:  # each kind once, the most frequent first, because millions of events are tried for one corpus
            case Moves(person, place):
                if self.place_of.get(person) == place:
                    return f"{person} is in the {place} already."
            case Is(person, place):
                if self.place_of.get(person, place) != place:
                    return f"{person} is in the {self.place_of[person]}, not in the {place}."
            case Takes(person, thing):
                if thing in self.holder_of:
                    return f"{self.holder_of[thing]} has the {thing}."
                if person not in self.place_of:
                    return f"Nobody knows where {person} is."
                if self.lies_in.get(thing) != self.place_of[person]:
                    return f"The {thing} is not where {person} is."
            case Gives(person, thing, receiver):
                if self.holder_of.get(thing) != person:
                    return f"{person} does not have the {thing}."
                if person == receiver:
                    return f"{person} cannot give anything to themselves."
                if self.place_of.get(person, "") != self.place_of.get(receiver):
                    return f"{person} and {receiver} are not in the same place."
            case Lies(thing, place):
                if thing in self.holder_of:
                    return f"{self.holder_of[thing]} has the {thing}."
                if self.lies_in.get(thing, place) != place:
                    return f"The {thing} is in the {self.lies_in[thing]}, not in the {place}."
            case Paints(person, place, colour):
                if self.place_of.get(person) != place:
                    return f"{person} is not at the {place} door."
                if self.door_colour.get(place) == colour:
                    return f"The {place} door is {colour} already."
            case Drops(person, thing):
                if self.holder_of.get(thing) != person:
                    return f"{person} does not have the {thing}."
                if person not in self.place_of:
                    return f"Nobody knows where {person} is."
            case Holds(person, thing):
                if thing in self.lies_in or self.holder_of.get(thing, person) != person:
                    return f"The {thing} is somewhere else."
            case DoorIs(place, colour):
                if self.door_colour.get(place, colour) != colour:
                    return f"The {place} door is {self.door_colour[place]}, not {colour}."
            case Thanks(person, giver):
                if self.last_gift != (giver, person):
                    return f"{giver} has not just given anything to {person}."
        return None

    def apply(self, event: WorldEvent) -> None:
        """Apply the event; asserts that it is possible."""
        problem = self.apply_if_possible(event)
        assert problem is None, problem

    def apply_if_possible(self, event: WorldEvent) -> str | None:
        """Apply the event, or return why it cannot happen now, as `problem` does."""
        problem = self.problem(event)
        if problem is not None:
            return problem
        self.last_gift = None
        match event:
            case Is(person, place) | Moves(person, place):
                self.place_of[person] = place
            case Lies(thing, place):
                self.lies_in[thing] = place
            case Takes(person, thing) | Holds(person, thing):
                self.holder_of[thing] = person
                self.lies_in.pop(thing, None)
            case Drops(person, thing):
                del self.holder_of[thing]
                self.lies_in[thing] = self.place_of[person]
            case Gives(person, thing, receiver):
                self.holder_of[thing] = receiver
                self.last_gift = (person, receiver)
            case Paints(_, place, colour) | DoorIs(place, colour):
                self.door_colour[place] = colour
            case Feels(person, mood):
                self.mood_of[person] = mood
        return None
