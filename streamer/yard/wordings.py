"""How people ask about the yard: for each kind of question, wordings to learn from and others held out for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wordings:
    """Templates; {a} is "a red car", {the} "the red car", {thing} "car", {things} "cars", {span} "in the last hour"."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, *, held_out: bool) -> tuple[str, ...]:
        return self.held_out if held_out else self.train


DESCRIBE = Wordings(
    (
        "What is in the yard now?",
        "What is happening?",
        "What do you see?",
        "What can you see right now?",
        "Describe the yard.",
        "What's going on?",
        "What is there at the moment?",
        "Tell me what you see now.",
        "Who and what is in the yard?",
        "what is happening now",
        "What is going on at the moment?",
        "Who is there now?",
        "What is to be seen?",
        "Tell me what is there.",
    ),
    ("What is going on now?", "Tell me what is in the yard.", "What do you see at the moment?", "what is there now"),
)
PRESENCE = Wordings(
    (
        "Is there {a}?",
        "Do you see {a}?",
        "Is {a} there now?",
        "Can you see {a}?",
        "Is there {a} in the yard?",
        "Do you see {a} at the moment?",
        "{a} there now?",
        "Can you see {a} now?",
        "Is {a} in the yard?",
        "Is there {a} right now?",
        "Do you see {a} in the yard?",
    ),
    ("Is there {a} now?", "Can you see {a} in the yard?", "Is {a} there at the moment?"),
)
PRESENCE_OF_ANY = Wordings(("any {things}?", "Are there any {things}?"), ("Do you see any {things}?",))
COUNT = Wordings(
    (
        "How many {things} are there?",
        "How many {things} do you see?",
        "How many {things} are in the yard now?",
        "Count the {things}.",
        "how many {things}",
        "What is the number of {things} now?",
        "How many {things} can be seen?",
        "Can you count the {things}?",
        "Number of {things}?",
        "How many {things} right now?",
        "Tell me how many {things} there are.",
        "How many {things} can you find?",
        "Count all {things} in the picture.",
    ),
    ("How many {things} can you see?", "How many {things} are there now?", "Count the {things} in the yard."),
)
COLOUR = Wordings(
    (
        "What colour is the {thing}?",
        "What color is the {thing}?",
        "Which colour has the {thing}?",
        "the {thing}, what colour?",
        "Tell me the colour of the {thing}.",
        "What is the colour of the {thing}?",
        "Which color is the {thing}?",
        "Which colour does the {thing} have?",
        "What colour is that {thing}?",
    ),
    ("Which colour is the {thing}?", "What colour has the {thing}?", "what is the color of the {thing}"),
)
GATE = Wordings(
    (
        "Is the gate open?",
        "Is the gate closed?",
        "Is the gate open or closed?",
        "How is the gate?",
        "Did someone leave the gate open?",
        "Is the gate shut?",
        "Is the gate open at the moment?",
        "gate closed?",
        "Is the gate closed or open?",
        "Is the gate still open?",
    ),
    ("Is the gate open now?", "gate open or closed?", "Is the gate closed now?"),
)
LAMP = Wordings(
    (
        "Is the lamp on?",
        "Is the light on?",
        "Is the door lamp on or off?",
        "Is the lamp off?",
        "Is the light at the door on?",
        "lamp on or off?",
        "Is the lamp on at the moment?",
        "Is the light off?",
        "Is the lamp on or off?",
    ),
    ("Is the lamp on now?", "Is the light on or off?", "Is the door lamp on?"),
)
DAY = Wordings(
    (
        "Is it day or night?",
        "Is it dark?",
        "Is it night?",
        "Is it day?",
        "Is it light outside?",
        "Is it dark outside?",
        "Is it day now?",
        "Is it dark at the moment?",
        "day or night?",
    ),
    ("Is it night or day?", "Is it night now?", "is it dark now"),
)

RECENT = Wordings(
    (
        "What happened in the last minute?",
        "Who came by in the last minute?",
        "What came by in the last minute?",
        "What happened just now?",
        "Who or what came by just now?",
        "Did anything happen in the last minute?",
        "what was there in the last minute",
        "What came in the past minute?",
        "Who came just now?",
        "What came by just now?",
        "Did anything come by in the last minute?",
        "What did you see in the past minute?",
    ),
    ("Who or what came by in the last minute?", "What happened in the past minute?", "Did anything come just now?"),
)
RECENT_DID = Wordings(
    (
        "Did {a} come by in the last minute?",
        "Did {a} come just now?",
        "Was {a} here in the last minute?",
        "Did you see {a} come in the last minute?",
        "Did {a} come in the past minute?",
        "{a} in the last minute?",
        "Did {a} come by in the past minute?",
        "Was {a} here just now?",
        "Did you see {a} in the last minute?",
    ),
    ("Did {a} come in the last minute?", "Did {a} come by just now?", "Did you see {a} come just now?"),
)

DID = Wordings(
    (
        "Did {a} come?",
        "Did {a} come by?",
        "Was {a} here?",
        "Was there {a} earlier?",
        "Did you see {a} earlier?",
        "Has {a} come by?",
        "Did {a} come earlier?",
        "Has there been {a}?",
        "did you see {a} before",
        "Has {a} been here?",
        "Have you seen {a}?",
        "Did you see {a} come by?",
        "Did {a} come here?",
    ),
    ("Was {a} here earlier?", "Has {a} come?", "Did {a} come by earlier?", "Did you see {a} come?"),
)
WHEN = Wordings(
    (
        "When did {the} come?",
        "When did {the} come by?",
        "When was {the} here?",
        "At what time did {the} come?",
        "What time did {the} come?",
        "When did you see {the}?",
        "when was there {a}",
        "When did {a} come?",
        "What time was {a} here?",
        "When did you see {a} come?",
        "At what time was {the} here?",
        "At what time did you see {the}?",
    ),
    ("When was {a} here?", "At what time did {a} come by?", "when did you see {a}", "What time did {the} come by?"),
)
OFTEN = Wordings(
    (
        "How often did {a} come?",
        "How many times did {a} come?",
        "How often did you see {a}?",
        "How often was {a} here?",
        "How many times was there {a}?",
        "How often did {a} come by?",
        "how often {a}",
        "How many times was {a} here?",
        "How often have you seen {a}?",
        "How often has {a} come?",
        "How many times did you see {a} come?",
    ),
    ("How many times did you see {a}?", "How many times did {a} come by?", "How often was there {a}?"),
)
FIRST = Wordings(
    (
        "What came first, {the} or {the_other}?",
        "Which came first, {the} or {the_other}?",
        "What was here first, {the} or {the_other}?",
        "Did {the} or {the_other} come first?",
        "What did you see first, {the} or {the_other}?",
        "Which was first, {the} or {the_other}?",
        "Did you see {the} or {the_other} first?",
        "Was {the} or {the_other} here first?",
        "first {the} or {the_other}?",
        "Which one came first, {the} or {the_other}?",
    ),
    (
        "Which was here first, {the} or {the_other}?",
        "Which did you see first, {the} or {the_other}?",
        "what was first, {the} or {the_other}",
    ),
)
LAST_VEHICLE = Wordings(
    (
        "What was the last vehicle?",
        "Which vehicle came last?",
        "What was the last vehicle that came?",
        "Which vehicle was the last one?",
        "Tell me the last vehicle.",
        "What vehicle came by last?",
        "last vehicle?",
        "Which vehicle did you see last?",
        "What was the last vehicle here?",
        "Which vehicle came by last?",
    ),
    ("Which was the last vehicle?", "What vehicle came last?", "What was the last vehicle that you saw?"),
)
GATE_WHEN = Wordings(
    (
        "When was the gate opened?",
        "When did someone open the gate?",
        "When was the gate last opened?",
        "At what time was the gate opened?",
        "When did the gate open?",
        "When was the gate opened the last time?",
        "When was the gate open last?",
        "At what time did someone open the gate?",
        "When did the gate open the last time?",
    ),
    ("When did the gate last open?", "At what time did the gate open?", "when did someone last open the gate"),
)

GATE_LONG = Wordings(
    (
        "How long was the gate open?",
        "How long was the gate open the last time?",
        "For how long was the gate open?",
        "How long did the gate stay open?",
        "How long has the gate been open?",
        "how long gate open",
        "For how long did the gate stay open?",
        "How long has the gate been open now?",
        "For how long is the gate open?",
        "How long was the gate left open?",
    ),
    (
        "For how long has the gate been open?",
        "How long did the gate stay open the last time?",
        "How long is the gate open?",
    ),
)
LONG = Wordings(
    (
        "How long was {the} here?",
        "How long was {the} there?",
        "How long did {the} stay?",
        "For how long was {the} here?",
        "For how long did {the} stay?",
        "How long has {the} been here?",
        "How much time did {the} stay?",
        "For how long has {the} been here?",
        "How long did you see {the}?",
        "How long was {the} in the yard?",
    ),
    ("For how long was {the} there?", "How long did {the} stay here?", "how long has {the} been there"),
)

SUMMARY = Wordings(
    (
        "What happened {span}?",
        "Who and what came by {span}?",
        "Tell me what happened {span}.",
        "What came by {span}?",
        "Summarise what happened {span}.",
        "What did you see {span}?",
        "Give me a summary of what happened {span}.",
        "what was there {span}",
        "Summarise what came by {span}.",
        "Tell me what you saw {span}.",
        "What happened here {span}?",
        "Tell me who came {span}.",
        "summary {span}",
    ),
    (
        "Tell me who and what came by {span}.",
        "Summarize what you saw {span}.",
        "What happened in the yard {span}?",
        "Summary of what happened {span}?",
    ),
)

UNKNOWABLE = Wordings(
    (
        "What is his name?",
        "Who is that?",
        "What is the number plate?",
        "What are they talking about?",
        "How old is the driver?",
        "Where does the car come from?",
        "What is in the parcel?",
        "What do they think?",
        "What is the name of the dog?",
        "Whose car is that?",
        "Where is the truck going?",
        "Who sent the parcel?",
        "What does the person want?",
        "How much did the bicycle cost?",
        "What will happen tomorrow?",
        "Is the driver happy?",
        "What is the phone number of the person?",
        "Why did the person come?",
    ),
    (
        "What is her name?",
        "Whose dog is that?",
        "Who is the driver?",
        "Where does the parcel come from?",
        "How old is the dog?",
        "Why did the car come?",
        "What are they thinking?",
    ),
)
CLASSES = ("now", "recent", "past", "duration", "never", "unknowable", "summary")
BY_CLASS: dict[str, tuple[Wordings, ...]] = {
    "now": (DESCRIBE, PRESENCE, PRESENCE_OF_ANY, COUNT, COLOUR, GATE, LAMP, DAY),
    "recent": (RECENT, RECENT_DID),
    "past": (DID, WHEN, OFTEN, FIRST, LAST_VEHICLE, GATE_WHEN),
    "duration": (GATE_LONG, LONG),
    "never": (DID, WHEN),
    "unknowable": (UNKNOWABLE,),
    "summary": (SUMMARY,),
}
