"""The grammar of generated games: ALFWorld's sentences, so that a player of one reads the other, in either dialect.

The rules are written anew in upstream's notation, without those that no game uses; that the engines say the same by
them is tested against transcripts and, where it is installed, against the upstream engine.
"""

from __future__ import annotations

import functools
import json

SENTENCE = "THE TASK IN WORDS"
INSIDE = "[{o.indefinite + ' ' + o.name | inreceptacle(o:object, r:receptacle)}]"
HERE = "atlocation(a:agent, l:location) & receptacleatlocation(r:receptacle, l:location)"
FLOOR = (
    "atlocation(a:agent, l:location) & objectatlocation(o:object, l:location) & "
    "receptacleatlocation(r:receptacle, l:location) & not_inreceptacle(o:object, r:receptacle)"
)
ROOM = "You are in the middle of a room. Looking quickly around you, you see #list_appliances#."
HELP = (
    ("look", "look around your current location"),
    ("inventory", "check your current inventory"),
    ("go to (receptacle)", "move to a receptacle"),
    ("open (receptacle)", "open a receptacle"),
    ("close (receptacle)", "close a receptacle"),
    ("take (object) from (receptacle)", "take an object from a receptacle"),
    ("move (object) to (receptacle)", "place an object in or on a receptacle"),
    ("examine (something)", "examine a receptacle or an object"),
    ("use (object)", "use an object"),
    ("heat (object) with (receptacle)", "heat an object using a receptacle"),
    ("clean (object) with (receptacle)", "clean an object using a receptacle"),
    ("cool (object) with (receptacle)", "cool an object using a receptacle"),
    ("slice (object) with (object)", "slice an object using a sharp object"),
)
STATES = (
    (("isclean", "ishot", "issliced"), "This is a hot and clean sliced {o.name}."),
    (("isclean", "iscool", "issliced"), "This is a cool and clean sliced {o.name}."),
    (("isclean", "issliced"), "This is a clean sliced {o.name}."),
    (("ishot", "issliced"), "This is a hot sliced {o.name}."),
    (("iscool", "issliced"), "This is a cool sliced {o.name}."),
    (("isclean", "ishot"), "This is a hot and clean {o.name}."),
    (("isclean", "iscool"), "This is a cool and clean {o.name}."),
    (("ishot",), "This is a hot {o.name}."),
    (("isclean",), "This is a clean {o.name}."),
    (("iscool",), "This is a cold {o.name}."),
    (("sliceable", "issliced"), "This is a sliced {o.name}."),
)
"""What examining an object tells of its states; the first that holds is said."""

Rules = dict[str, list[tuple[str, str]]]


def _rules(dialect: str) -> Rules:
    """Name to sentences with their conditions."""
    put = "You move the {o.name} to the {r.name}." if dialect == "new" else "You put the {o.name} in/on the {r.name}."
    arrived = "r" if dialect == "new" else "lend"
    told = [(" & ".join(f"{state}(o:object)" for state in states), text) for states, text in STATES]
    held = "{o.indefinite + ' ' + o.name | holds(a:agent, o:object)}"
    return {
        "intro": [("", "-= Welcome to TextWorld, ALFRED! =-\n\n#look.feedback#\n\n#task#")],
        "task": [("", f"Your task is to: {SENTENCE}")],
        "look.feedback": [
            (HERE, f"You are facing the [{{r.name | {HERE}}}]. Next to it, you see #on_the_floor#."),
            ("", ROOM),
        ],
        "on_the_floor": [(FLOOR, f"[{{#overview(o)# | {FLOOR}}}]"), ("", "nothing")],
        "list_appliances": [
            (
                "receptacleatlocation(r:receptacle, l:location)",
                "[{#overview(r)# | receptacleatlocation(r:receptacle, l:location)}]",
            ),
            ("", "nothing"),
        ],
        "overview(o)": [("", "{o.indefinite} {o.name}")],
        "overview(r)": [("", "{r.indefinite} {r.name or r.id}")],
        "list_empty": [("", "nothing")],
        "list_separator": [("", ", ")],
        "list_last_separator": [("", ", and ")],
        "inventory.feedback": [
            ("holdsany(a:agent)", f"You are carrying: [{held}]."),
            ("", "You are not carrying anything."),
        ],
        "help.feedback": [("", "Available commands:\n" + "".join(_help_line(*pair) for pair in HELP))],
        "examineReceptacle.feedback": [
            (
                "openable(r:receptacle) & opened(r:receptacle)",
                f"The {{r.name}} is open. In it, you see {INSIDE}.",
            ),
            ("openable(r:receptacle)", "The {r.name} is closed."),
            ("", f"On the {{r.name}}, you see {INSIDE}."),
        ],
        "examineObject.feedback": [
            (
                "isreceptacleobject(o:object)",
                "This is a normal {o.name}. In it, you see "
                "[{o2.indefinite + ' ' + o2.name | inreceptacleobject(o2:object, o:object)}].",
            ),
            *told,
            ("", "There's nothing special about {o.name}."),
        ],
        "GotoLocation.feedback": [("", f"You arrive at {{{arrived}.name}}. #examineReceptacle.feedback#")],
        "OpenObject.feedback": [("", "You open the {r.name}. #examineReceptacle.feedback#")],
        "CloseObject.feedback": [("", "You close the {r.name}.")],
        "PickupObject.feedback": [("", "You pick up the {o.name} from the {r.name}.")],
        "PutObject.feedback": [("", put)],
        "CleanObject.feedback": [("", "You clean the {o.name} using the {r.name}.")],
        "HeatObject.feedback": [("", "You heat the {o.name} using the {r.name}.")],
        "CoolObject.feedback": [("", "You cool the {o.name} using the {r.name}.")],
        "ToggleObject.feedback": [("", "You turn on the {o.name}.")],
        "SliceObject.feedback": [("", "You sliced the {co.name} with the {ko.name}.")],
    }


def _help_line(command: str, what: str) -> str:
    # Upstream's table is one space short in the line of "move".
    width = 33 if command.startswith("move") else 35
    return f"  {command + ':':<{max(width - 2, len(command) + 3)}}{what}\n"


def _commands(dialect: str) -> dict[str, str]:
    """Action to the words that ask for it."""
    return {
        "look": "look",
        "inventory": "inventory",
        "help": "help",
        "examineReceptacle": "examine {r}",
        "examineObject": "examine {o}",
        "GotoLocation": "go to [{r.name | receptacleatlocation(r:receptacle, lend:location)}]",
        "OpenObject": "open {r}",
        "CloseObject": "close {r}",
        "PickupObject": "take {o} from {r}",
        "PutObject": "move {o} to {r}" if dialect == "new" else "put {o} in/on {r}",
        "CleanObject": "clean {o} with {r}",
        "HeatObject": "heat {o} with {r}",
        "CoolObject": "cool {o} with {r}",
        "ToggleObject": "use {o}",
        "SliceObject": "slice {co} with {ko}",
    }


@functools.cache
def _whole(dialect: str) -> str:
    rules = {
        name: [{"condition": condition, "rhs": text} if condition else {"rhs": text} for condition, text in sentences]
        for name, sentences in _rules(dialect).items()
    }
    blocks = [f'grammar :: """\n{json.dumps(rules, indent=1)}\n""";\n']
    for action, command in _commands(dialect).items():
        blocks.append(f'action {action} {{\n    template :: "{command}";\n    feedback :: "#{action}.feedback#";\n}}\n')
    return "\n".join(blocks)


def grammar(sentence: str, dialect: str = "new") -> str:
    """The grammar of a game.

    Args:
        sentence: the task in words.
        dialect: `new` ("move X to Y", "You arrive at desk 1.", with `help`) or `old` ("put X in/on Y", "at loc 6.").
    """
    text = _whole(dialect).replace(SENTENCE, json.dumps(sentence)[1:-1])
    if dialect == "old":
        return text.replace('action help {\n    template :: "help";\n    feedback :: "#help.feedback#";\n}\n', "")
    return text
