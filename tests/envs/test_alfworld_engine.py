"""ALFWorld's engine: the quirks that it keeps, and files that mean it ill."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentgym.errors import UsageError
from agentgym_envs.alfworld import writer
from agentgym_envs.alfworld.facts import Atom, Facts
from agentgym_envs.alfworld.game import MOST_BYTES, Game, load, parse
from agentgym_envs.alfworld.generate import make, plan
from agentgym_envs.alfworld.goals import wish
from agentgym_envs.alfworld.grammar import Grammar, Name
from agentgym_envs.alfworld.pddl import fingerprints, read_problem
from agentgym_envs.alfworld.words import grammar
from agentgym_envs.alfworld.world import World

GOLDEN = Path(__file__).parents[1] / "golden" / "alfworld"
PROBLEM = """
(define (problem p) (:domain alfred) (:init
  (atLocation agent1 loc_bar_0)
  (receptacleAtLocation Desk_bar_1 loc_bar_1) (receptacleType Desk_bar_1 DeskType)
  (receptacleAtLocation Drawer_bar_1 loc_bar_1) (receptacleType Drawer_bar_1 DrawerType) (openable Drawer_bar_1)
  (receptacleAtLocation Bed_bar_1 loc_bar_2) (receptacleType Bed_bar_1 BedType)
  (canContain DeskType PenType) (canContain DrawerType PenType) (canContain BedType BookType)
  (canContain DeskType MugType) (objectType Pen_bar_1 PenType) (pickupable Pen_bar_1)
  (inReceptacle Pen_bar_1 Desk_bar_1) (objectAtLocation Pen_bar_1 loc_bar_1) (objectType Pen_bar_2 PenType)
  (pickupable Pen_bar_2) (inReceptacle Pen_bar_2 Drawer_bar_1) (objectAtLocation Pen_bar_2 loc_bar_1)
  (objectType Mug_bar_1 MugType) (pickupable Mug_bar_1) (isReceptacleObject Mug_bar_1)
  (inReceptacle Mug_bar_1 Desk_bar_1) (inReceptacleObject Pen_bar_1 Mug_bar_1)
  (objectAtLocation Mug_bar_1 loc_bar_1)
 ) (:goal (and (exists (?r - receptacle) (exists (?o - object)
     (and (inReceptacle ?o ?r) (objectType ?o BookType) (receptacleType ?r BedType)))))))
"""


def content(**changes: Any) -> dict[str, Any]:
    made = make(plan("train", 0))
    return {**writer.data(made), **changes}


def small(dialect: str = "new") -> World:
    made = make(plan("train", 0, dialect=dialect))
    return World(Game.read({**writer.data(made), "pddl_problem": PROBLEM}))


def told(world: World, *commands: str) -> list[str | None]:
    return [world.step(command) for command in commands]


def test_a_later_look_at_the_start_sees_nothing():
    world = small()
    assert "you see a bed 1, a desk 1, and a drawer 1." in world.intro()
    assert world.step("look") == "You are in the middle of a room. Looking quickly around you, you see nothing."


def test_nobody_walks_to_where_he_is_nor_examines_what_he_does_not_hold():
    world = small()
    world.step("go to desk 1")
    assert not [c for c in world.commands if c in ("go to desk 1", "go to drawer 1", "examine pen 1", "examine pen 2")]
    assert {"examine desk 1", "examine drawer 1", "open drawer 1", "go to bed 1"} <= set(world.commands)


def test_what_is_taken_from_one_place_and_put_into_another_beside_it_is_seen_next_to_it():
    """Upstream remembers that it is not where it was; where two receptacles share a place, `look` says so."""
    world = small()
    told(world, "go to desk 1", "take pen 2 from desk 1", "open drawer 1", "move pen 2 to drawer 1")
    assert world.step("look") == "You are facing the desk 1, and drawer 1. Next to it, you see a pen 2."
    key = world.key
    told(world, "take pen 2 from drawer 1", "move pen 2 to desk 1")
    assert world.key != key
    assert world.step("look") == "You are facing the desk 1, and drawer 1. Next to it, you see a pen 2."
    told(world, "take pen 2 from desk 1", "move pen 2 to drawer 1")
    assert world.key == key


@pytest.mark.parametrize(
    ("dialect", "put", "said", "arrived"),
    [
        ("new", "move pen 2 to desk 1", "You move the pen 2 to the desk 1.", "You arrive at desk 1. "),
        ("old", "put pen 2 in/on desk 1", "You put the pen 2 in/on the desk 1.", "You arrive at loc 2. "),
    ],
)
def test_both_dialects(dialect, put, said, arrived):
    world = small(dialect)
    assert world.step("go to desk 1") == arrived + "On the desk 1, you see a mug 1, and a pen 2."
    assert told(world, "take pen 2 from desk 1", put) == ["You pick up the pen 2 from the desk 1.", said]
    assert ("help" in world.commands) == (dialect == "new")
    help_ = world.step("help")
    assert help_ is None if dialect == "old" else help_.startswith("Available commands:\n  look:  ")


def test_the_words_of_generated_games_are_upstreams():
    """Every text of upstream's grammar that a game can meet is said by ours, in both dialects."""
    for name, dialect in (
        ("extra_000", "old"),
        ("gen_pick_two_obj_and_place_trial_T20300000_315676_000000_plan", "new"),
    ):
        walk = json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))
        theirs = json.loads(walk["file"])
        sentence = re.search(r"Your task is to: ([^\"]*)\"", theirs["grammar"])
        assert sentence is not None
        ours = Game.read({**theirs, "grammar": grammar(sentence[1], dialect), "pddl_domain": writer.domain(dialect)})
        world = World(ours)
        assert world.intro() == walk["steps"][0]["obs"]
        for recorded in walk["steps"][1:]:
            assert (world.step(recorded["action"]) or "Nothing happens.") == recorded["obs"]
            assert list(world.commands) == recorded["admissible"]


def test_lists_come_in_the_order_of_names_and_variables_differ():
    facts = Facts({"in": [(2, 9), (1, 9), (3, 8)]}, {"at": {(5, 1), (4, 1)}})
    assert list(facts.answers((Atom("at", ("x", "y")),), {})) == [{"x": 4, "y": 1}, {"x": 5, "y": 1}]
    assert list(facts.answers((Atom("in", ("o", "r")), Atom("in", ("p", "r"))), {"r": 9})) == [
        {"r": 9, "o": 2, "p": 1},
        {"r": 9, "o": 1, "p": 2},
    ]
    assert list(facts.answers((Atom("at", ("x", "x")),), {})) == []
    assert list(facts.answers((Atom("nothing", ("x",)),), {})) == []


def test_the_domains_that_the_rules_were_written_from_are_known_and_no_other():
    text = writer.domain("new")
    assert "help" in fingerprints(text)
    assert "help" not in fingerprints(writer.domain("old"))
    assert fingerprints(text.upper() + "; a comment") == fingerprints(text)
    with pytest.raises(UsageError, match="the action 'heatobject' in a way that this engine does not know"):
        Game.read(content(pddl_domain=text.replace("(isHot ?o) (not (isCool ?o))", "(isHot ?o)")))
    with pytest.raises(UsageError, match="not ALFWorld's: it has no action GotoLocation"):
        Game.read(content(pddl_domain="(define (domain blocks))"))


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("(and (or (holds ?a ?o) (holds ?a ?p)))", "not understood: \\(or"),
        ("(and (not (holds ?a ?o)))", "not understood: \\(not"),
        ("(and (holds ?a", "cut off"),
        ("(" * 500, "nested deeper"),
        ("()", "the goal has a part that is not understood"),
        ("", "the goal is empty"),
    ],
)
def test_goals_that_are_not_understood_are_refused(goal, said):
    with pytest.raises(UsageError, match=said):
        read_problem(f"(define (:init (a b)) (:goal {goal})")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pddl_problem": "(:init)"}, "no \\(:init"),
        ({"pddl_problem": PROBLEM.replace("(atLocation agent1 loc_bar_0)", "")}, "where the player is"),
        ({"pddl_problem": PROBLEM.replace("receptacleAtLocation", "elsewhere")}, "no \\(receptacleAtLocation"),
        ({"pddl_problem": PROBLEM.replace("(openable Drawer_bar_1)", "(openable a b)")}, "2 arguments instead of 1"),
        ({"pddl_problem": None}, "no text 'pddl_problem'"),
        ({"grammar": ""}, "no rule 'intro'"),
        ({"grammar": 'grammar :: """{"intro": 3}"""'}, "block that is not understood"),
        ({"grammar": 'grammar :: """{nonsense"""'}, "block that is not understood"),
        ({"pddl_domain": 5}, "no text 'pddl_domain'"),
    ],
)
def test_games_with_a_part_missing_say_which(changes, said, tmp_path):
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps(content(**changes)))
    with pytest.raises(UsageError, match=f"{re.escape(str(path))}: .*{said}"):
        load(path)


def test_files_that_are_no_games_say_so(tmp_path):
    whole = json.dumps(content())
    for text, said in (
        ("", "damaged or cut off"),
        (whole[: len(whole) // 2], "damaged or cut off"),
        ("[]", "a JSON object is expected, not a list"),
        ("[" * 100_000, "damaged or cut off"),
        ("\x00\xff", "damaged or cut off"),
        ("{}", "no text 'pddl_domain'"),
        (" " * (MOST_BYTES + 1), "more than 4,000,000"),
    ):
        with pytest.raises(UsageError, match=f"game.tw-pddl: .*{said}"):
            parse(text, "game.tw-pddl")
    with pytest.raises(UsageError, match="no game file can be read there"):
        load(tmp_path / "nothing.tw-pddl")
    with pytest.raises(UsageError, match="no game file can be read there"):
        load(tmp_path)


def rules(**sentences: str) -> Grammar:
    base = {"intro": "x", "task": "x", "look.feedback": "x", "list_empty": "nothing", **sentences}
    text = json.dumps({name: [{"rhs": said}] for name, said in base.items()})
    return Grammar.parse(f'grammar :: """{text}""";\naction GotoLocation {{ template :: "go"; feedback :: "#x#"; }}')


@pytest.mark.parametrize(
    "sentence",
    [
        "{__import__('os').abort()}",
        "{o.__class__}",
        "{o.name.upper()}",
        "{open('x','w')}",
        "{'a' * 10**9}",
        "{o.name if o else 1}",
        "{[x for x in y]}",
        "{(lambda: 1)()}",
        "{o.name | nonsense}",
        "{o.name | a(b) or c(d)}",
    ],
)
def test_a_grammar_is_read_and_never_run(sentence):
    with pytest.raises(UsageError, match=r"not understood|stands for nothing"):
        rules(intro=sentence).tell("intro", Facts({}, {}), [Name("o", "apple 1")], {"o": 0})


def test_expressions_that_are_understood():
    names = [Name("a", "apple 1"), Name("e", "", "an")]
    understood = rules(
        one="{o.indefinite + ' ' + o.name}.",
        two="{e.name or e.id}/{o.name or o.id}/{o}",
        none="[{x.name | in(x:object, o:object)}]",
    )
    bound = {"o": 0, "e": 1}
    facts = Facts({}, {})
    assert [understood.tell(rule, facts, names, bound) for rule in ("one", "two", "none")] == [
        "a apple 1.",
        "e/apple 1/apple 1",
        "nothing",
    ]


def test_rules_without_end_are_cut_off():
    """Two to the power of 28 rules would take an hour: the test would run into its time limit."""
    circle = rules(a="#b#", b="#a#")
    doubling = rules(**{f"x{n}": f"#x{n + 1}##x{n + 1}#" for n in range(28)}, x28="")
    for endless, rule in ((circle, "a"), (doubling, "x0")):
        with pytest.raises(UsageError, match="does not come to an end"):
            endless.tell(rule, Facts({}, {}), [], {})
    with pytest.raises(UsageError, match="no rule 'y' that applies"):
        rules(x="#y#").tell("x", Facts({}, {}), [], {})


def test_a_goal_of_no_known_form_plays_without_an_expert():
    other = PROBLEM.replace("(objectType ?o BookType)", "(objectType ?o BookType) (isSliced ?o)")
    world = World(Game.read(content(pddl_problem=other)))
    assert wish(world.game) is None
    assert world.step("go to bed 1") == "You arrive at bed 1. On the bed 1, you see nothing."


def test_a_goal_of_things_that_do_not_exist_is_never_met():
    world = small()
    told(world, "go to desk 1", "take pen 2 from desk 1")
    assert not world.won
    asked = wish(world.game)
    assert asked is not None
    assert (asked.kind, asked.place) == ("book", "bed")
