"""WebShop: every recorded transcript of the upstream engine to the letter, and the environment over the engine."""

from __future__ import annotations

import gzip
import json
import re
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import registry
from agentgym.check import check
from agentgym.env import EnvSpec, TextEnv
from agentgym.errors import UsageError
from agentgym.types import Step, Task
from agentgym_envs.webshop import GENERATED, REAL, catalogue, pages
from agentgym_envs.webshop.env import THANKS, WebShop, parse
from agentgym_envs.webshop.nouns import light
from agentgym_envs.webshop.reward import Judge
from agentgym_envs.webshop.site import Site

EXTRA = ("bm25s", "rapidfuzz", "Stemmer")
pytestmark = pytest.mark.skipif(not all(map(find_spec, EXTRA)), reason="needs the extra webshop")
GOLDEN = Path(__file__).parents[1] / "golden" / "webshop"
WALKS = sorted(p.name.removesuffix(".json.gz") for p in GOLDEN.glob("*_h[01]_*.json.gz"))
PAGE = re.compile(r"/search_results/[^/]+/(.*)/(\d+)$")


def load(name: str) -> Any:
    return json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue of the transcripts as upstream's files."""
    made = tmp_path_factory.mktemp("data")
    for name in ("items_shuffle_1000", "items_ins_v2_1000", "items_human_ins"):
        (made / f"{name}.json").write_bytes(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))
    return made


@pytest.fixture(scope="module")
def rankings() -> dict[str, list[str]]:
    """What upstream's search found: product numbers by query, with `?` for those on pages nobody looked at."""
    found: dict[str, list[str]] = {}
    for name in WALKS:
        for step in load(name)["steps"]:
            match = PAGE.search(step.get("url", ""))
            if match:
                total = int(re.search(r"results: (\d+)", step["text"])[1])  # type: ignore[index]
                ranked = found.setdefault(match[1].replace("+", " "), ["?"] * total)
                shown = re.findall(r"button\] (B0\w{8}) \[", step["text_rich"])
                ranked[10 * int(match[2]) - 10 : 10 * int(match[2]) - 10 + len(shown)] = shown
    return found


def test_the_transcripts_are_there():
    assert len(WALKS) == 33
    rewards = [load(name)["steps"][-1]["reward"] for name in WALKS]
    assert rewards.count(1.0) == 19
    assert {0.0, 0.1, 0.2, 1.0} == set(rewards)


@pytest.mark.parametrize("name", WALKS)
def test_a_transcript_of_upstream_is_reproduced_to_the_letter(name, folder, rankings):
    walk = load(name)
    prices = load(f"goals_human{walk['human_goals']}")["prices"]
    shelf = catalogue.shelf(catalogue.in_folder(str(folder)))
    # A result on a page nobody looked at stands in for all others.
    rank = lambda query: [max(0, shelf.row(asin)) for asin in rankings[query]]  # noqa: E731
    site = Site(shelf, walk["goal"]["instruction_text"], show_attributes=True, rank=rank)
    judge = Judge(walk["goal"], light)
    for step in walk["steps"]:
        verb, argument = parse(step["action"] or "")
        reward, pieces = 0.0, None
        if verb == "search" and argument:
            site.search(argument)
        elif verb == "click" and argument in site.clickable and argument not in ("search", "buy now"):
            site.click(argument)
        elif verb == "click" and argument == "buy now" and argument in site.clickable:
            product = site.product
            assert product is not None
            chosen = dict(site.state.options)
            worth = judge.worth(product._replace(pricing=(prices[product.asin],)), chosen.values())
            reward, pieces = worth.reward, pages.score_page(product.asin, chosen, worth.reward)
            told, recorded = worth.details, step["verbose"]
            # The share of nouns is another tagger's: what it decides, the type, must be the same.
            assert told | {"title_score": 0} == recorded | {"title_score": 0}
        shown = site.pieces if pieces is None else pieces
        assert pages.render(shown, "text") == step["text"]
        assert pages.render(shown, "text_rich", site.state.address, site.state.visited) == step["text_rich"]
        clickable = [] if pieces is not None else list(site.clickable)
        assert clickable == step["available"]["clickables"]
        assert reward == step.get("reward", 0.0)


@pytest.mark.parametrize(("kind", "number"), [("synthetic", 0), ("human", 1)])
def test_goals_are_upstreams_in_upstreams_order(kind, number, folder):
    recorded = load(f"goals_human{number}")
    files = catalogue.in_folder(str(folder))
    mine, shelf = catalogue.goals(files, kind), catalogue.shelf(files)
    assert len(mine) == len(recorded["goals"])
    for index, theirs in enumerate(recorded["goals"]):
        ours = mine[index]
        text = [re.sub(r", and price lower than .*", "", goal["instruction_text"]) for goal in (ours, theirs)]
        assert text[0] == text[1]
        for key in ("asin", "category", "query", "name", "product_category", "attributes", "goal_options"):
            assert ours[key] == theirs[key]
        # Bounds are drawn: ours must be one that upstream could have drawn.
        above = [10.0 * n for n in range(1, 100) if 10.0 * n > shelf.product(shelf.row(ours["asin"])).price][:4]
        assert ours["price_upper"] in above[1:]
        assert ours["instruction_text"].endswith(f", and price lower than {ours['price_upper']:.2f} dollars")


def test_prices_are_in_the_range_that_is_shown(folder):
    shelf = catalogue.shelf(catalogue.in_folder(str(folder)))
    prices = load("goals_human0")["prices"]
    for product in map(shelf.product, range(len(shelf))):
        low, high = min(product.pricing, default=100.0), max(product.pricing, default=100.0)
        assert low <= product.price <= high
        assert low <= prices[product.asin] <= high
        assert product.price == shelf._product(shelf.row(product.asin)).price


def test_our_own_ranking_is_close_to_upstreams(folder, rankings):
    shelf = catalogue.shelf(catalogue.in_folder(str(folder)))
    shares = []
    for query, ranked in rankings.items():
        rows = shelf.search.rows(query, 50)
        assert len(rows) == len(ranked)
        shares.append(len({shelf.product(row).asin for row in rows[:10]} & set(ranked[:10])) / 10)
    assert sum(shares) / len(shares) >= 0.95


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "text_rich", "previous_observations": 1, "previous_actions": 2, "goals": "synthetic"},
    ],
)
def test_it_keeps_the_rules(options):
    findings = check(GENERATED, quick=True, options={"products": 200, **options})
    assert [f"{f.name}: {f.detail}" for f in findings if not f.ok] == []


def test_it_keeps_the_rules_with_real_data(folder):
    findings = check(REAL, quick=True, options={"path": str(folder), "mode": "text_rich", "show_attributes": True})
    assert [f"{f.name}: {f.detail}" for f in findings if not f.ok] == []


def made(spec: EnvSpec = GENERATED, **options: Any) -> TextEnv:
    return registry.make(spec, **options)


def walked(env: TextEnv, task: Task, most: int = 20) -> list[Step]:
    env.reset(seed=0, options={"task": task})
    steps: list[Step] = []
    while len(steps) < most and not (steps and steps[-1].terminated):
        action = env.oracle()
        assert action is not None
        steps.append(env.step(action))
    return steps


@pytest.mark.parametrize("kind", ["human", "synthetic"])
def test_the_shopper_is_worth_more_than_nine_tenths(kind):
    with_tasks = [registry.tasks(GENERATED, split, goals=kind) for split in ("train", "heldout")]
    assert len(with_tasks[0]) >= 500
    env = made()
    rewards = [walked(env, task)[-1].reward for tasks in with_tasks for task in tasks[:60]]
    assert sum(rewards) / len(rewards) > 0.98


def test_the_shopper_does_as_well_on_upstreams_schema(folder):
    for kind in ("human", "synthetic"):
        tasks = registry.tasks(REAL, "heldout", path=str(folder), goals=kind)
        rewards = [walked(made(REAL), task)[-1].reward for task in tasks]
        assert sum(rewards) / len(rewards) >= 0.9


def test_the_shopper_finds_its_way_from_anywhere():
    task = registry.tasks(GENERATED, "train")[0]
    env = made()
    for first in (
        ["search[lamp]", "click[next >]"],
        ["search[<q> floor lamps]", "click[%s]", "click[description]"],
        ["search[shoes]", "click[%s]", "search[red]", "click[< prev]"],
    ):
        observation = env.reset(seed=0, options={"task": task})[0]
        for action in first:
            shown = [a for a in observation.actions or () if re.fullmatch(r"click\[b[0-9a-z]{9}\]", a)]
            observation = env.step(action.replace("click[%s]", shown[0] if shown else "")).observation
        for _ in range(15):
            action = env.oracle()
            assert action is not None
            step = env.step(action)
            if step.terminated:
                break
        assert step.reward == 1.0


def test_held_out_products_are_in_no_training_goal():
    for kind in ("human", "synthetic"):
        train, heldout = (registry.tasks(GENERATED, split, goals=kind) for split in ("train", "heldout"))
        trained = {task.data["goal"]["asin"] for task in train}
        assert trained.isdisjoint(task.data["goal"]["asin"] for task in heldout)


def test_the_score_page_is_never_shown():
    task = registry.tasks(GENERATED, "train")[0]
    for mode in pages.MODES:
        last = walked(made(mode=mode), task)[-1]
        assert last.observation.text == THANKS
        assert last.info["score"] == last.reward == 1.0


def test_a_purchase_is_told_in_parts():
    # Somebody who would pay much gets tea.
    task = max(registry.tasks(GENERATED, "train")[:50], key=lambda task: task.data["goal"]["price_upper"])
    env = made()
    env.reset(seed=0, options={"task": task})
    observation = env.step("search[herbal tea]").observation
    wrong = next(a for a in observation.actions or () if re.fullmatch(r"click\[b[0-9a-z]{9}\]", a))
    assert env.step(wrong).info["rewards"] == {"type": 0.0, "attributes": 0.0, "options": 0.0, "price": 0.0}
    last = env.step("click[Buy Now]")
    assert last.terminated
    assert not last.info["success"]
    assert set(last.info["rewards"]) == set(GENERATED.components)
    assert sum(last.info["rewards"].values()) == pytest.approx(last.reward)
    assert last.info["rewards"]["type"] < 0.0 <= last.info["rewards"]["price"]
    assert 0 <= last.info["progress"] < 1


def test_history_goes_before_the_page_as_upstream_has_it():
    task = registry.tasks(GENERATED, "train")[0]
    plain, told = made(), made(previous_observations=2, previous_actions=1)
    texts = [env.reset(seed=0, options={"task": task})[0].text for env in (plain, told)]
    assert texts[0] == texts[1]
    seen = [texts[0]]
    for action in ("search[lamp]", "click[nothing]", "click[next >]"):
        seen.append(plain.step(action).observation.text)
        now = told.step(action).observation.text
    # As upstream: the latest earlier page before the latest action, then the page; older pages in front.
    assert now == " [SEP] ".join([seen[1], seen[2], "click[next >]", seen[3]])


def test_only_the_verb_is_taken_to_the_letter():
    task = registry.tasks(GENERATED, "train")[0]
    env = made()
    first = env.reset(seed=0, options={"task": task})[0].text
    for wrong in ("Search[lamp]", "search[]", "search", "click[search]", "click[buy now]", "think[x]", " search[lamp]"):
        step = env.step(wrong)
        assert step.info["fault"] == "invalid"
        assert step.observation.text == first
        assert step.reward == 0
    one = env.step("search[LAMP] and so on").observation.text
    assert "Page 1" in one
    assert env.step("click[NEXT >]").observation.text != one
    assert env.step("x" * 100_000).info["fault"] == "invalid"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_actions_are_read_as_upstreams_pattern_reads_them(text):
    for action in (text, f"search[{text}]", f"{text}[{text}]{text}"):
        match = re.match(r"(.+)\[(.+)\]", action)
        assert parse(action) == ((match[1], match[2].lower()) if match else ("", ""))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from(["search[a]", "click[< prev]", "click[next >]"]))))
def test_no_action_raises(actions):
    env = made(products=50)
    env.reset(seed=0, options={"task": registry.tasks(GENERATED, "train", products=50)[0]})
    for action in actions:
        for tried in (action, f"search[{action}]", f"click[{action}]"):
            step = env.step(tried)
            assert step.reward == 0
            assert isinstance(step.observation.text, str)


def test_two_environments_share_nothing_that_changes():
    tasks = registry.tasks(GENERATED, "train")
    alone = [[(s.observation.text, s.reward) for s in walked(made(), task)] for task in tasks[:8]]
    found: dict[int, list[Any]] = {}

    def play(index: int) -> None:
        found[index] = [(s.observation.text, s.reward) for s in walked(made(), tasks[index])]

    threads = [threading.Thread(target=play, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(8)] == alone


def test_a_snapshot_is_plain_and_of_one_catalogue():
    tasks = registry.tasks(GENERATED, "train")
    env = made()
    env.reset(seed=0, options={"task": tasks[0]})
    for _ in range(2):
        env.step(env.oracle() or "")
    kept = json.loads(json.dumps(env.snapshot()))
    other = made(products=50)
    other.reset(seed=0, options={"task": registry.tasks(GENERATED, "train", products=50, seed=3)[0]})
    with pytest.raises(UsageError, match="there is no product"):
        other.restore(kept)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"goal": {}},
        {"goal": {"asin": "B1"}, "catalogue": {"products": 50}},
        {"goal": "x", "catalogue": {"products": 50}},
    ],
)
def test_a_task_of_something_else_is_refused(data):
    with pytest.raises(UsageError, match="'odd'"):
        made().reset(options={"task": Task("odd", data=data)})


def test_a_task_without_a_catalogue_is_refused():
    goal = registry.tasks(GENERATED, "train", products=50)[0].data["goal"]
    for named in (None, {}, {"path": None}, {"products": 3}):
        with pytest.raises(UsageError):
            made().reset(options={"task": Task("odd", data={"goal": goal, "catalogue": named})})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "html"}, "mode must be one of text, text_rich"),
        ({"previous_actions": -1}, "previous_actions"),
        ({"previous_observations": True}, "previous_observations"),
        ({"tagger": "nltk"}, "tagger"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(UsageError, match=said):
        WebShop(**options)


@pytest.mark.parametrize("options", [{"goals": "all"}, {"products": 10}, {"seed": -1}, {"products": 1.5}])
def test_options_of_tasks_are_checked(options):
    with pytest.raises(UsageError):
        registry.tasks(GENERATED, "train", **options)
